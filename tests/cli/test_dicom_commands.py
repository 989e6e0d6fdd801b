"""Commands about a data set take DICOM; what was left out of it is a CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from dicom_files import chest, radiograph, write

from al_cxr.cli.__main__ import main


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes with six radiographs each, and five laterals."""
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "cache"))
    for c, label in enumerate(("normal", "sick")):
        for i in range(6):
            write(tmp_path / "set" / label / f"{i}", radiograph(chest(seed=i + 6 * c), PatientID=f"{label}{i}"))
    for i in range(5):
        write(tmp_path / "set" / "sick" / f"lateral{i}", ViewPosition="LL")
    return tmp_path


def test_the_audit_of_an_archive_has_a_csv_of_every_file_that_was_left_out(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = archive / "out"
    for _ in range(2):
        assert main(["data", "audit", str(archive / "set"), "--out", str(out)]) == 0
    file = out / "set" / "audit" / "tables" / "left_out.csv"
    printed = capsys.readouterr().out
    assert f"left out  5 files, each with its reason in {file}" in printed
    assert "`al-cxr data audit` lists all 5 files that are left out" in printed
    table = pd.read_csv(file)
    assert table["image"].tolist() == [f"sick/lateral{i}" for i in range(5)]
    assert set(table["reason"]) == {"DICOM: lateral view (LL)"}
    assert "## Left out" in (out / "set" / "audit" / "README.md").read_text()
    file.write_text("mine")
    assert main(["data", "audit", str(archive / "set"), "--out", str(out)]) == 2
    assert "left_out.csv: is there already, and is not what al-cxr wrote" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_a_contact_sheet_shows_dicom(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", str(archive / "set"), "--out", str(archive / "out"), "--per-class", "2"]) == 0
    assert (archive / "out" / "set" / "contact-sheet.png").stat().st_size > 1000
    assert "normal 6, sick 6" in capsys.readouterr().out
