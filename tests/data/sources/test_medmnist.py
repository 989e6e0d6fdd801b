"""MedMNIST sets: read from their files, fetched only when asked to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from source_files import archive, complete, counts

from al_cxr.core.errors import UserError
from al_cxr.data.dataset import SPLITS
from al_cxr.data.load import load_data
from al_cxr.data.sources.medmnist import MedmnistSource
from al_cxr.data.store import PixelStore


def test_medmnist(tmp_path: Path) -> None:
    source = archive(tmp_path, pixels=64)
    dataset = complete(source)
    assert dataset.name == "pneumoniamnist-64" and dataset.classes == ("normal", "pneumonia")
    assert counts(dataset) == {"train": [3, 3], "val": [2, 2], "test": [1, 1]}
    assert "CC BY 4.0" in dataset.attribution and dataset.notes == ()
    stored = np.load(tmp_path / "pneumoniamnist_64.npz")
    pixels, digest, *_ = dataset.images.read(7, 64)
    assert np.array_equal(pixels, stored["val_images"][1]) and len(digest) == 64
    assert dataset.images.name(7) == "val-00001" == dataset.table["image"][7]
    assert dataset.images.read(7, 28)[0].shape == (28, 28)
    assert len(PixelStore.open(dataset.images, 28, tmp_path / "cache", progress=False)) == 12


def test_medmnist_in_colour_becomes_grey_and_small_is_noted(tmp_path: Path) -> None:
    changes: dict[str, Any] = {f"{split}_images": np.full((9, 28, 28, 3), [255, 0, 0], np.uint8) for split in SPLITS}
    changes |= {f"{split}_labels": np.arange(9, dtype=np.uint8)[:, None] % 9 for split in SPLITS}
    dataset = complete(archive(tmp_path, "pathmnist", **changes))
    assert len(dataset.classes) == 9 and dataset.classes[0] == "adipose"
    assert set(dataset.images.read(0, 28)[0].flat) == {76}  # 0.299 of 255
    assert dataset.notes == ("stored at 28 px and enlarged to 64 px",)


def test_medmnist_mistakes(tmp_path: Path) -> None:
    def source(flag: str, pixels: int = 64) -> MedmnistSource:
        return MedmnistSource.model_validate(
            {"kind": "medmnist", "flag": flag, "pixels": pixels, "root": str(tmp_path / "none")}
        )

    with pytest.raises(UserError, match=r"pneumoniamnist_64\.npz: no such file; fetch https.*or set download: true"):
        complete(source("pneumoniamnist"))
    with pytest.raises(UserError, match="chestmnist is multi-label"):
        complete(source("chestmnist"))
    with pytest.raises(UserError, match="organmnist3d is 3-D"):
        complete(source("organmnist3d"))
    with pytest.raises(UserError, match="did you mean 'pneumoniamnist'"):
        complete(source("pneumonia_mnist"))
    with pytest.raises(UserError, match="known: pathmnist"):
        complete(source("?"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_images": None}, "has no val_images and val_labels"),
        ({"val_images": np.zeros((4, 30, 30), np.uint8)}, r"val_images has shape \(4, 30, 30\)"),
        ({"val_images": np.zeros((0, 28, 28), np.uint8), "val_labels": np.zeros((0, 1), np.uint8)}, "shape"),
        ({"val_labels": np.zeros((3, 1), np.uint8)}, r"val_labels has shape \(3, 1\), expected \(4, 1\)"),
        ({"val_labels": np.zeros((4, 14), np.uint8)}, "one label an image"),
        ({"val_labels": np.full((4, 1), 2, np.uint8)}, "does not fit"),
        ({"val_labels": np.zeros((4, 1))}, "float64.*not an array of bytes"),
        ({"val_labels": np.array([[len]] * 4, dtype=object)}, "object.*not an array of bytes"),
        ({"val_labels": np.zeros((4, 1), np.uint8)}, "no image of class 'pneumonia' in the val split"),
    ],
)
def test_a_broken_medmnist_file(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        complete(archive(tmp_path, **changes))


def test_a_damaged_medmnist_file(tmp_path: Path) -> None:
    source = archive(tmp_path)
    path = tmp_path / "pneumoniamnist.npz"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"pneumoniamnist\.npz: not a whole \.npz file.*fetch it again"):
        complete(source)
    path.write_bytes(data[:2000] + bytes(100) + data[2100:])
    dataset = complete(source)
    with pytest.raises(UserError, match="train_images is damaged"):
        PixelStore.open(dataset.images, 28, tmp_path / "cache", progress=False)


def test_medmnist_is_fetched_only_when_asked_and_never_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = archive(tmp_path / "there")
    published = (tmp_path / "there" / "pneumoniamnist.npz").read_bytes()
    fetched: list[str] = []

    def download(self: Any) -> None:
        fetched.append(self.root)
        Path(self.root, "pneumoniamnist.npz").write_bytes(published)

    import medmnist as package

    monkeypatch.setattr(package.PneumoniaMNIST, "download", download)
    asked = there.model_copy(update={"download": True})
    assert len(complete(asked)) == 12 and not fetched
    new = asked.model_copy(update={"root": str(tmp_path / "new")})
    assert len(complete(new)) == 12 and len(fetched) == 1
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["pneumoniamnist.npz"]

    def fail(self: Any) -> None:
        raise RuntimeError("Automatic download failed!")

    monkeypatch.setattr(package.PneumoniaMNIST, "download", fail)
    with pytest.raises(UserError, match=r"pneumoniamnist\.npz: Automatic download failed"):
        complete(asked.model_copy(update={"root": str(tmp_path / "newer")}))
    assert list((tmp_path / "newer").iterdir()) == []


def test_what_was_fetched_is_named_so_that_it_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(tmp_path / "there")
    published = (tmp_path / "there" / "pneumoniamnist.npz").read_bytes()

    import medmnist as package

    def download(self: Any) -> None:
        Path(self.root, "pneumoniamnist.npz").write_bytes(published)

    monkeypatch.setattr(package.PneumoniaMNIST, "download", download)
    name = MedmnistSource(pixels=28).fetch(tmp_path / "new")
    assert name == f"medmnist:pneumoniamnist-28@{tmp_path / 'new'}"
    assert len(load_data(name)) == 12
