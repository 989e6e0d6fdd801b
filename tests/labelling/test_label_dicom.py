"""Labelling takes a DICOM folder: patients come from headers, and a file with damaged pixels does not stop it."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_files import chest, damaged_pixels, radiograph, write

from al_cxr.cli.__main__ import main


def test_a_dicom_folder_starts_a_project_by_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "cache"))
    for i in range(12):
        write(tmp_path / "a" / f"S{i}" / "IM", radiograph(chest(seed=i), PatientID=str(i // 2)))
    write(tmp_path / "a" / "S12" / "IM", ViewPosition="LL")
    damaged = tmp_path / "a" / "S0" / "IM"
    damaged.write_bytes(damaged_pixels(radiograph(chest(seed=0), PatientID="0")))
    options = [
        "network.arch=backbone",
        "network.options.name=test_resnet",
        "network.image_size=32",
        "machine.threads=1",
    ]
    given = [part for text in options for part in ("--set", text)]
    assert main(["label", "start", "a", "p", "--classes", "normal,sick", *given]) == 0
    said = capsys.readouterr().out
    assert "12 images" in said and "6 patients" in said
    assert "DICOM: lateral view (LL)" in (tmp_path / "p" / "left_out.csv").read_text()
