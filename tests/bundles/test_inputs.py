"""What predictions are asked for: broken DICOM is named, and a stopped prediction knows its files by their content."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from predicted import Stopped, quietly, table
from small_run import write_images

from al_cxr.bundles import decoding
from al_cxr.bundles.folder import read_bundle
from al_cxr.bundles.inputs import find_inputs
from al_cxr.bundles.stream import write_predictions
from al_cxr.cli.__main__ import main

DICOM = bytes(128) + b"DICM" + b"\2\0\0\0UL\4\0" + bytes(500)


def deep(path: Path, *bright: int) -> None:
    """A radiograph of 12 bits in a file of 16, with a row of bright pixels."""
    y, x = np.mgrid[:64, :64]
    pixels = (1900 + 1500 * np.sin(x / 9) * np.cos(y / 7)).astype(np.uint16)
    pixels[0, : len(bright)] = bright
    Image.fromarray(pixels).save(path)


def test_broken_dicom_is_listed_and_counted(single: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "archive"
    write_images(folder, 3)
    names = ["A.DCM", "DICOMDIR", "IM0001", "1.2.840.113", "disguised.png", "old.ima", "series/2.dicom"]
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no preamble" if name == "old.ima" else DICOM)
    (folder / "notes.txt").write_text("DICM")
    os.mkfifo(folder / "pipe")
    assert main(["predict", str(single), str(folder), "--out", str(tmp_path / "p.csv")]) == 0
    out = capsys.readouterr().out
    assert "warning   7 DICOM files were left out: " in out
    assert "2 files that are no images" in out
    rows = table(tmp_path / "p.skipped.csv")
    assert {row["path"] for row in rows} == set(names) and all(row["reason"].startswith("DICOM: ") for row in rows)
    # nothing but DICOM
    shutil.rmtree(folder / "series")
    only = tmp_path / "only"
    only.mkdir()
    (only / "1.dcm").write_bytes(DICOM)
    (tmp_path / "list.csv").write_text("path\nonly/1.dcm\n")
    for given in (only, tmp_path / "list.csv"):
        assert main(["predict", str(single), str(given), "--out", str(tmp_path / "q.csv")]) == 2
        assert "1 DICOM file was left out" in capsys.readouterr().err


def test_a_letter_or_a_hot_pixel_changes_no_answer_and_is_named(
    single: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, bright in (("a", [4095]), ("b", [4096]), ("c", [65535] * 9)):
        (tmp_path / "in").mkdir(exist_ok=True)
        deep(tmp_path / "in" / f"{name}.png", *bright)
    assert main(["predict", str(single), str(tmp_path / "in"), "--out", str(tmp_path / "p.csv")]) == 0
    p = [float(row["p_tuberculosis"]) for row in table(tmp_path / "p.csv")]
    assert max(p) - min(p) < 0.01
    assert "cut to white (a burnt-in letter, a hot pixel?): 2 of 3 images (b.png, c.png)" in capsys.readouterr().out


def test_a_stopped_prediction_notices_files_of_equal_size_and_time_with_other_pixels(
    single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "CHUNK", 4)
    folder = tmp_path / "in"
    folder.mkdir()

    def write(i: int, seed: int) -> None:
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.bmp")
        os.utime(folder / f"{i:02d}.bmp", (0, 0))

    for i in range(12):
        write(i, i)
    (folder / "02.bmp").write_bytes(b"bad")
    bundle, inputs, out, chunks = read_bundle(single), find_inputs(folder), tmp_path / "p.csv", []

    def stop(done: int) -> None:
        chunks.append(done)
        if len(chunks) == 4:  # the first tells what was reused
            raise Stopped

    for replaced, reused in ((None, 11), (5, 3), (1, 0)):
        chunks.clear()
        with pytest.raises(Stopped):
            write_predictions(bundle, inputs, out, 2, stop)
        if replaced is not None:
            write(replaced, 100 + replaced)
        assert find_inputs(folder).fingerprint == inputs.fingerprint
        assert write_predictions(bundle, find_inputs(folder), out, 2, quietly).reused == reused
        again = out.read_bytes()
        write_predictions(bundle, inputs, out, 2, quietly)
        assert out.read_bytes() == again


def test_what_was_guessed_is_still_said_by_the_start_that_finishes(
    single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "CHUNK", 1)
    (tmp_path / "in").mkdir()
    deep(tmp_path / "in" / "a.png", 65535)
    deep(tmp_path / "in" / "b.png")
    bundle, inputs, out, seen = read_bundle(single), find_inputs(tmp_path / "in"), tmp_path / "p.csv", []

    def stop(done: int) -> None:
        seen.append(done)
        if len(seen) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        write_predictions(bundle, inputs, out, 1, stop)
    done = write_predictions(bundle, inputs, out, 1, quietly)
    guessed = [said for said in done.warnings if "above 12 bits" in said]
    assert done.reused == 1 and len(guessed) == 1 and "(a.png)" in guessed[0]
