"""Files from outside: names with accents are found however they are coded, and broken DICOM is called so."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from al_cxr.bundles.inputs import find_inputs
from al_cxr.cli.__main__ import main
from al_cxr.core.errors import UserError
from al_cxr.data.sources.manifest import ManifestSource

DICOM = bytes(128) + b"DICM" + bytes(200)


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def picture(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), grey, np.uint8)).save(path)


@pytest.mark.parametrize(("on_disk", "in_csv"), [(composed, decomposed), (decomposed, composed)])
def test_accents_may_be_coded_either_way(on_disk, in_csv, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    names = ["Müller/é.png", "plain/b.png", "plain/ñandú Å.png"]
    for grey, name in enumerate(names, start=100):
        picture(tmp_path / on_disk(name), grey)
    lines = [f"{in_csv(name)},{label}" for name, label in zip(names, ("sick", "normal", "sick"), strict=True)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    dataset = ManifestSource(kind="manifest", path=str(tmp_path / "list.csv")).read()
    assert [int(dataset.images.read(i, 8).pixels[0, 0]) for i in range(3)] == [100, 101, 102]
    assert [dataset.images.name(i) for i in range(3)] == [in_csv(name) for name in names] and dataset.notes == ()
    inputs = find_inputs(tmp_path / "list.csv")
    assert len(inputs.names) == 3 and inputs.skipped == []


def test_one_file_named_in_both_ways_stands_there_twice(tmp_path: Path) -> None:
    picture(tmp_path / composed("é.png"), 1)
    text = f"path,label\n{composed('é.png')},sick\n{decomposed('é.png')},normal\n"
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"row 3: .*the same path as in row 2"):
        ManifestSource(kind="manifest", path=str(tmp_path / "list.csv")).read()


def test_two_files_that_differ_only_in_that_are_an_error(tmp_path: Path) -> None:
    picture(tmp_path / composed("é.png"), 1)
    picture(tmp_path / decomposed("é.png"), 2)
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this disk does not tell them apart")
    (tmp_path / "list.csv").write_text(f"path,label\n{composed('é.png')},sick\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"row 2: .*2 names on the disk that differ only in how accents are coded"):
        ManifestSource(kind="manifest", path=str(tmp_path / "list.csv")).read()
    assert "accents" in find_inputs(tmp_path / "list.csv").skipped[0][1]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main([*arguments])
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_folders_and_lists_of_broken_dicom_are_said_to_be_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("normal", "sick"):
        for name in ("1.dcm", "IM0002"):
            file = tmp_path / "set" / label / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(DICOM)
    (tmp_path / "list.csv").write_text("path,label\nset/normal/1.dcm,normal\nset/sick/IM0002,sick\n")
    out = str(tmp_path / "out")
    broken = "left out: {} damaged or truncated (nothing in it that an image has)"
    for command in ("show", "audit"):
        assert f"no image that can be used: 4 DICOM files were {broken.format(4)}" in said(
            capsys, "data", command, str(tmp_path / "set"), "--out", out
        )
        assert "DICOM files without class folders" in said(
            capsys, "data", command, str(tmp_path / "set" / "sick"), "--out", out
        )
        assert f"list.csv: no image that can be used: 2 DICOM files were {broken.format(2)}" in said(
            capsys, "data", command, str(tmp_path / "list.csv"), "--out", out
        )


def test_dicom_beside_images_is_no_file_without_extension(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in ("normal", "sick"):
        for i in range(4):
            picture(tmp_path / "set" / label / f"{i}.png", 10 * i)
        (tmp_path / "set" / label / "IM0001").write_bytes(DICOM)
        (tmp_path / "set" / label / "Thumbs.db").write_bytes(b"x")
    text = said(capsys, "data", "show", str(tmp_path / "set"), "--out", str(tmp_path / "out"))
    audit = said(capsys, "data", "audit", str(tmp_path / "set"), "--out", str(tmp_path / "out"))
    broken = "warning   left out, DICOM: damaged or truncated"
    assert "sheet" in text and broken in text and "2 of 10 images (normal/IM0001, sick/IM0001)" in text
    assert broken in audit
