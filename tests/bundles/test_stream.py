"""The CSV of many images: bad files are listed and skipped, a stopped prediction goes on, the memory is bounded."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from predicted import Stopped, quietly, table

from al_cxr.bundles import decoding
from al_cxr.bundles.folder import read_bundle
from al_cxr.bundles.inputs import find_inputs
from al_cxr.bundles.stream import write_predictions
from al_cxr.cli.__main__ import main
from al_cxr.core.errors import UserError
from al_cxr.data import decode


def test_bad_files_are_listed_and_skipped(
    single: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(images, folder)
    good = next(folder.glob("*.png"))
    (tmp_path / "outside").mkdir()
    shutil.copy(good, tmp_path / "outside" / "secret.png")
    (folder / "cut.png").write_bytes(good.read_bytes()[:200])
    (folder / "empty.JPG").write_bytes(b"")
    (folder / "text.png").write_text("no image")
    (folder / "notes.txt").write_text("not meant to be an image")
    (folder / ".hidden.png").write_bytes(b"")
    os.symlink(tmp_path / "outside" / "secret.png", folder / "link.png")
    os.symlink(tmp_path / "outside", folder / "linked")
    os.symlink(folder, folder / "loop")
    os.symlink(good, folder / "inside.png")
    os.symlink(folder / "nowhere", folder / "broken.png")
    os.mkfifo(folder / "pipe.png")
    assert main(["predict", str(single), str(folder), "--out", str(tmp_path / "p.csv")]) == 0
    printed = capsys.readouterr().out
    reasons = {row["path"]: row["reason"] for row in table(tmp_path / "p.skipped.csv")}
    expected = {
        "cut.png": "damaged",
        "empty.JPG": "empty",
        "text.png": "not an image",
        "link.png": "outside the folder",
        "linked": "not followed",
        "loop": "not followed",
        "broken.png": "which is not there",
        "pipe.png": "not a regular file",
    }
    assert reasons.keys() == expected.keys()
    assert all(words in reasons[name] and name not in reasons[name] for name, words in expected.items())
    rows = {row["path"]: row for row in table(tmp_path / "p.csv")}
    assert len(rows) == 41 and rows["inside.png"]["entropy"] == rows[good.name]["entropy"]
    assert "8 images could not be read" in printed and "1 files that are no images" in printed
    # a later prediction without bad files leaves no old list behind
    assert main(["predict", str(single), str(images), "--out", str(tmp_path / "p.csv")]) == 0
    assert not (tmp_path / "p.skipped.csv").exists()


def test_a_csv_names_images_below_its_own_folder(single: Path, images: Path, tmp_path: Path) -> None:
    shutil.copytree(images, tmp_path / "x")
    names = [f"x/{name}" for name in reversed(find_inputs(images).names)]
    lines = [
        "label,Path",
        *(f"normal,{name}" for name in names),
        "normal,../x.png",
        "normal,x/none.png",
        "normal,/etc/a.png",
    ]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    assert main(["predict", str(single), str(tmp_path / "list.csv"), "--out", str(tmp_path / "out" / "p.csv")]) == 0
    assert [row["path"] for row in table(tmp_path / "out" / "p.csv")] == names
    skipped = {row["path"]: row["reason"] for row in table(tmp_path / "out" / "p.skipped.csv")}
    assert skipped["x/none.png"] == "no such file"
    assert "outside the folder" in skipped["../x.png"] and "outside the folder" in skipped["/etc/a.png"]


def test_a_prediction_goes_on_where_it_was_stopped(
    single: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "CHUNK", 8)
    folder = tmp_path / "i"
    shutil.copytree(images, folder)
    (folder / "bad.png").write_bytes(b"x")
    bundle, inputs, out = read_bundle(single), find_inputs(folder), tmp_path / "p.csv"
    write_predictions(bundle, inputs, tmp_path / "whole.csv", 2, quietly)
    steps: list[int] = []

    def stop(done: int) -> None:
        steps.append(done)
        if len(steps) == 4:  # after three chunks
            raise Stopped

    with pytest.raises(Stopped):
        write_predictions(bundle, inputs, out, 2, stop)
    assert not out.exists()
    with open(tmp_path / "p.csv.partial", "ab") as f:
        f.write(b'{"rows": [["half a li')
    done = write_predictions(bundle, inputs, out, 2, quietly)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert (tmp_path / "p.skipped.csv").read_bytes() == (tmp_path / "whole.skipped.csv").read_bytes()
    assert done.reused in (23, 24) and done.rows == 40 and done.skipped == 1
    assert not (tmp_path / "p.csv.partial").exists()
    # other files under the same names: nothing of the stopped start may be used
    steps.clear()
    with pytest.raises(Stopped):
        write_predictions(bundle, inputs, out, 2, stop)
    os.utime(folder / inputs.names[0], (1, 1))
    assert write_predictions(bundle, find_inputs(folder), out, 2, quietly).reused == 0


def test_sigkill_leaves_no_half_csv(single: Path, images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for copy in range(8):
        shutil.copytree(images, folder / str(copy))
    arguments = ["predict", str(single), str(folder), "--out", str(tmp_path / "p.csv")]
    process = subprocess.Popen([sys.executable, "-m", "al_cxr.cli.__main__", *arguments], stdout=subprocess.DEVNULL)
    partial = tmp_path / "p.csv.partial"
    while process.poll() is None and (not partial.exists() or partial.read_bytes().count(b"\n") < 2):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not (tmp_path / "p.csv").exists()
    assert main(arguments) == 0
    assert main([*arguments[:-1], str(tmp_path / "again.csv")]) == 0
    assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()


def test_memory_is_bounded_by_the_chunk(
    single: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At no time are more images decoded and not yet answered than two chunks hold."""
    monkeypatch.setattr(decoding, "CHUNK", 4)
    lock, counts = threading.Lock(), {"now": 0, "most": 0}
    real = decode.read

    def counted(data: bytes, size: int, name: str, usual: Callable[[], int | None]) -> decode.Reading:
        with lock:
            counts["now"] += 1
            counts["most"] = max(counts["most"], counts["now"])
        return real(data, size, name, usual)

    def answered(done: int) -> None:
        with lock:
            counts["now"] -= done

    monkeypatch.setattr(decode, "read", counted)
    write_predictions(read_bundle(single), find_inputs(images), tmp_path / "p.csv", 8, answered)
    assert counts["now"] == 0 and 4 <= counts["most"] <= 8


def test_nothing_readable_is_an_error(single: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "bad", tmp_path / "p.csv"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"x")
    assert main(["predict", str(single), str(folder), "--out", str(out)]) == 2
    assert "none of 1 images could be read" in capsys.readouterr().err
    assert [row["path"] for row in table(tmp_path / "p.skipped.csv")] == ["a.png"] and not out.exists()


def test_mistakes_are_told(single: Path, images: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.csv").write_text("file;label\na.png;x\n")
    for given, message in (
        ("empty", "no image in it"),
        ("no.csv", "no column path"),
        ("none", "no such file or folder"),
    ):
        with pytest.raises(UserError, match=message):
            find_inputs(tmp_path / given)
    for model in (tmp_path / "empty", tmp_path / "none"):
        assert main(["predict", str(model), str(images), "--out", str(tmp_path / "p.csv")]) == 2
    # a run's folder is a model too, without a bundle
    assert main(["predict", str(run / "baseline"), str(images), "--out", str(tmp_path / "p.csv")]) == 0
