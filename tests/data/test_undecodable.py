"""A DICOM file with a sound header and damaged pixels is left out like others, and costs nobody else's decoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import chest, damaged_pixels, radiograph, write
from PIL import Image

from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.dataset import Dataset, take
from al_cxr.data.dicom import known
from al_cxr.data.sources.dicom import DicomSource
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.store import PixelStore
from al_cxr.data.undecodable import without_undecodable

WHY = "DICOM: damaged or truncated"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes with four radiographs each; the pixels of one are damaged."""
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "cache"))
    for c, label in enumerate(("normal", "sick")):
        for i in range(4):
            write(tmp_path / "set" / label / f"{i}.dcm", radiograph(chest(seed=i + 4 * c), PatientID=f"{label}{i}"))
    (tmp_path / "set" / "normal" / "1.dcm").write_bytes(damaged_pixels(radiograph(chest(seed=1))))
    return tmp_path / "set"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that were decoded."""
    names: list[str] = []
    whole = decode.read

    def noted(data: bytes, size: int, name: str, *rest: object) -> decode.Reading:
        names.append(name)
        return whole(data, size, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(decode, "read", noted)
    return names


def load(folder: Path) -> Dataset:
    return DicomSource(path=str(folder)).read()


def settled(folder: Path, progress: bool = False) -> Dataset:
    return without_undecodable(load(folder), lambda: load(folder), 32, progress=progress)


def test_it_is_left_out_and_said_and_the_others_are_not_decoded_again(
    archive: Path, read: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = settled(archive, progress=True)
    assert "warning   1 of 8 images cannot be decoded, e.g. normal/1.dcm: DICOM: " in capsys.readouterr().out
    ((name, reason),) = dataset.left_out
    assert name == "normal/1.dcm" and reason.startswith(WHY) and any("left out" in note for note in dataset.notes)
    assert len(read) == 9 and read.count("normal/1.dcm") == 2
    store = PixelStore.open(dataset.images, 32, progress=False)
    assert len(store) == 7 and len(read) == 9
    stores = [path for path in (archive.parent / "cache").iterdir() if (path / "pixels.u8").exists()]
    assert len(stores) == 1
    fresh = PixelStore.open(dataset.images, 32, archive.parent / "another", progress=False)
    assert np.array_equal(store.pixels, fresh.pixels) and store.fingerprint == fresh.fingerprint
    assert store.notes == fresh.notes


def test_a_later_start_knows_it_without_decoding_until_the_file_is_repaired(archive: Path, read: list[str]) -> None:
    first = settled(archive)
    read.clear()
    assert load(archive).left_out == first.left_out and settled(archive).images.key == first.images.key and not read
    write(archive / "normal" / "1.dcm", radiograph(chest(seed=1), PatientID="normal1"))
    assert len(settled(archive)) == 8 and not settled(archive).left_out


def test_another_decoder_or_rule_tries_again(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(archive)
    assert len(load(archive)) == 7
    monkeypatch.setattr(known, "_version", lambda package: "a later one")
    assert len(load(archive)) == 8


def test_a_file_that_goes_missing_after_it_was_listed_is_left_out(archive: Path) -> None:
    dataset = load(archive)
    (archive / "sick" / "3.dcm").unlink()
    assert len(without_undecodable(dataset, lambda: load(archive), 32, progress=False)) == 6


def test_a_copy_of_a_damaged_image_takes_its_place(archive: Path) -> None:
    good = radiograph(chest(seed=1))
    (archive / "normal" / "1.dcm").write_bytes(damaged_pixels(good))
    write(archive / "normal" / "2a.dcm", good)
    assert [reason for _, reason in load(archive).left_out] == [
        "DICOM: a second file of one image (the same SOPInstanceUID as normal/1.dcm)"
    ]
    dataset = settled(archive)
    assert [name for name, _ in dataset.left_out] == ["normal/1.dcm"] and len(dataset) == 8
    assert len(PixelStore.open(dataset.images, 32, progress=False)) == 8


def test_some_of_the_images_are_left_out_as_all_are(archive: Path) -> None:
    def some() -> Dataset:
        dataset = load(archive)
        return take(dataset, np.flatnonzero(dataset.table["label"] == "normal"))

    dataset = without_undecodable(some(), some, 32, progress=False)
    assert dataset.table["image"].tolist() == [f"normal/{i}.dcm" for i in (0, 2, 3)]


def test_an_image_that_is_no_dicom_is_an_error_as_ever(archive: Path) -> None:
    Image.fromarray(chest(seed=9).astype(np.uint8)).save(archive / "sick" / "9.png")
    (archive / "sick" / "8.png").write_bytes(b"nothing")

    def both() -> Dataset:
        return FolderSource(path=str(archive)).read()

    dataset = without_undecodable(both(), both, 32, progress=False)
    assert len(dataset) == 9 and [name for name, _ in dataset.left_out] == ["normal/1.dcm"]
    with pytest.raises(UserError, match=r"1 of 9 images cannot be used:\n  sick/8.png: not an image"):
        PixelStore.open(dataset.images, 32, progress=False)


def test_where_no_image_is_left_one_line_says_why(archive: Path) -> None:
    for path in archive.glob("*/*.dcm"):
        path.write_bytes(damaged_pixels(radiograph(chest(seed=len(path.name)))))
    with pytest.raises(UserError, match="no image that can be used: 8 DICOM files were left out: 8 damaged") as caught:
        settled(archive)
    assert "\n" not in str(caught.value)


def test_without_a_cache_that_can_be_written_it_stays_an_error_that_names_it(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known.Known, "save", lambda self: None)
    dataset = settled(archive)
    with pytest.raises(UserError, match=r"1 of 8 images cannot be used:\n  normal/1.dcm: DICOM: damaged"):
        PixelStore.open(dataset.images, 32, progress=False)
