"""Where predict and explain write: never over what they read or what is not theirs; and what is skipped."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import small_run, write_images

from al_cxr.bundles.inputs import find_inputs
from al_cxr.cli.__main__ import main


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = small_run(tmp_path_factory.getbasetemp())
    made = tmp_path_factory.mktemp("bundle") / "b"
    assert main(["bundle", str(sorted((run / "fits").iterdir())[0]), str(made)]) == 0
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "d", 3)
    return tmp_path


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(capsys: pytest.CaptureFixture[str], here: Path, *arguments: str) -> str:
    """The one error line of a command that must fail and change nothing."""
    before = contents(here)
    assert main(list(arguments)) == 2
    assert contents(here) == before
    error = capsys.readouterr().err
    assert error.startswith("al-cxr: error: ") and error.count("\n") == 1
    return error


def test_predict_overwrites_its_own_answers_alone(bundle: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = f"d/{find_inputs(here / 'd').names[0]}"
    (here / "list.csv").write_text(f"path\n{image}\n")
    os.link("list.csv", "hard.csv")
    (here / "notes.csv").write_text("path,remark\n")
    reads = "this command reads that file"
    for out, says in (
        ("list.csv", reads),
        ("hard.csv", reads),
        (image, reads),
        ("notes.csv", "is not what al-cxr wrote"),
        ("d", "is not a file"),
    ):
        assert f"{out}: " in (said := refused(capsys, here, "predict", str(bundle), "list.csv", "--out", out))
        assert says in said
    again = ["predict", str(bundle), "list.csv", "--out", "p.csv"]
    assert main(again) == main(again) == 0
    # the names that are made from --out
    for name in ("p.skipped.csv", "p.csv.partial"):
        (here / name).write_text("mine\n")
        assert f"{name}: is there already" in refused(capsys, here, *again)
        (here / name).unlink()
    assert reads in refused(capsys, here, "predict", str(bundle), "list.csv", "--out", "no-folder-yet/../list.csv")
    (here / "list.skipped.csv").write_text(f"path,reason\n{image},empty\n")
    assert reads in refused(capsys, here, "predict", str(bundle), "list.skipped.csv", "--out", "list")


def test_nothing_is_written_into_a_bundle(bundle: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = contents(bundle)
    inside = str(bundle / "new")
    for arguments in (["predict", str(bundle), "d", "--out", inside], ["adapt", str(bundle), "d", inside]):
        assert "nothing may be added" in refused(capsys, here, *arguments)
    assert contents(bundle) == whole


def test_explain_draws_over_its_own_overlays_alone(
    bundle: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = next((here / "d").glob("*.png"))
    assert "this command reads that file" in refused(capsys, here, "explain", str(bundle), str(image), "--out", "d")
    (here / "e").mkdir()
    (here / "e" / image.name).write_bytes(b"mine")
    assert "is not what al-cxr wrote" in refused(capsys, here, "explain", str(bundle), str(image), "--out", "e")
    again = ["explain", str(bundle), str(image), "--out", "new"]
    assert main(again) == main(again) == 0
    drawn = f"new/{image.name}"
    assert "this command reads" in refused(capsys, here, "explain", str(bundle), drawn, "--out", "new")


def test_explain_goes_on_after_what_it_cannot_read(
    bundle: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty.png").touch()
    one, two = sorted(str(p) for p in (here / "d").glob("*.png"))[:2]
    assert main(["explain", str(bundle), one, "empty.png", "missing.png", two, "--out", "e"]) == 0
    said = capsys.readouterr().out
    assert {p.name for p in (here / "e").iterdir()} == {Path(one).name, Path(two).name}
    assert "warning   empty.png: the file is empty; skipped" in said and "warning   missing.png: " in said
    assert "overlays  e: 2 of 4 images, 2 skipped" in said
    assert "none of 2 images could be read" in refused(
        capsys, here, "explain", str(bundle), "empty.png", "missing.png", "--out", "none"
    )


def test_a_file_limit_is_one_line_and_leaves_no_draft(bundle: Path, here: Path) -> None:
    commands = (["predict", str(bundle), "d", "--out", "p.csv"], ["explain", str(bundle), "d/x.png", "--out", "e"])
    next((here / "d").glob("*.png")).rename(here / "d/x.png")
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "al_cxr", *command],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2 and "raise the limit on the size of a file (ulimit -f)" in done.stderr
        assert "Traceback" not in done.stderr and not list(here.rglob(".*"))
        assert not (here / "p.csv").exists()
