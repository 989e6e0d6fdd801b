"""The commands as a person types them: what they print, what they write, and what they say to a mistake."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import TINY, write_tiny

from al_cxr.cli.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one error of a command that must fail."""
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("al-cxr: error: ") and "Traceback" not in error
    return error


@pytest.mark.usefixtures("undrawn")
def test_run_says_first_which_data_is_used_and_stamps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(tmp_path, TINY.replace("seeds: [0, 1]", "seeds: [0]"))
    monkeypatch.setattr("sys.argv", ["al-cxr", "run", "tiny.yaml", "--plan"])
    assert main(["run", "tiny.yaml", "--plan"]) == 0
    monkeypatch.setattr("sys.argv", ["al-cxr", "run", "tiny.yaml"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("data      phantom (synthetic: no patient was imaged)")
    assert lines[-2].startswith("to do     11 models to train, 4 pools to score: ")
    assert lines[-1].lstrip().startswith("measured now, in images/s: ")
    assert not (tmp_path / "results").exists()
    assert main(["run", "tiny.yaml"]) == 0
    capsys.readouterr()
    page = (tmp_path / "results" / "tiny" / "README.md").read_text()
    assert "synthetic: no patient was imaged" in page and "One seed" in page
    assert "    al-cxr run tiny.yaml\n" in page  # the plan has computed nothing
    for table in (tmp_path / "results" / "tiny" / "tables").glob("*.md"):
        assert "synthetic" in table.read_text(), f"{table.name} does not say that the data is synthetic"
    assert main(["compare", "runs/tiny"]) == 0
    assert "Gain in tuberculosis F1 over the fully labelled baseline" in capsys.readouterr().out


def write_folder(root: Path, classes: tuple[str, ...], n: int = 3) -> Path:
    r = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(r.integers(0, 255, (40, 50), np.uint8)).save(root / name / f"{name}-{i}.png")
    return root


@pytest.mark.usefixtures("undrawn")
def test_evaluate_writes_tables_and_every_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(tmp_path)
    assert main(["baseline", "tiny.yaml"]) == 0
    write_folder(tmp_path / "elsewhere", ("normal", "tuberculosis"))
    assert main(["evaluate", "runs/baseline-tiny/cnn", "--data", "elsewhere"]) == 0
    out = tmp_path / "runs" / "baseline-tiny" / "cnn" / "evaluations" / "elsewhere"
    with open(out / "predictions" / "baseline_seed-1.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 and {r["true"] for r in rows} == {"normal", "tuberculosis"}
    assert all(abs(sum(float(v) for k, v in r.items() if k.startswith("p_")) - 1) < 1e-5 for r in rows)
    assert "used to train" not in (out / "README.md").read_text()
    write_folder(tmp_path / "other", ("normal", "covid"))
    said = fails(capsys, "evaluate", "runs/baseline-tiny/cnn", "--data", "other")
    assert "is labelled 'covid' (3 of 6 images are), which the model does not know" in said
    assert "neither a run folder nor inside one" in fails(capsys, "evaluate", "elsewhere", "--data", "other")


@pytest.mark.usefixtures("undrawn")
def test_images_that_were_trained_on_are_not_passed_off_as_an_external_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny(tmp_path)
    write_folder(tmp_path / "mine", ("normal", "tuberculosis"), n=12)
    assert main(["baseline", "tiny.yaml", "--data", "mine", "--set", "seeds=[0]"]) == 0
    assert main(["evaluate", "runs/baseline-tiny-mine/cnn", "--data", "mine", "--out", "again"]) == 0
    said = re.search(r"warning   (\d+) of 24 images trained or chose", capsys.readouterr().out)
    assert said and 12 < int(said[1]) < 24  # training and validation images, but not those of the test split
    assert "no external test" in (tmp_path / "again" / "README.md").read_text()


def test_data_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "audit", "phantom:60"]) == 0
    assert main(["data", "show", "phantom:60", "--per-class", "2"]) == 0
    capsys.readouterr()
    assert (tmp_path / "runs/data/phantom/audit/README.md").is_file()
    with Image.open(tmp_path / "runs/data/phantom/contact-sheet.png") as sheet:
        assert sheet.width > 300
    assert "no such public data set" in fails(capsys, "data", "fetch", "everything")
    assert "is 3-D" in fails(capsys, "data", "fetch", "medmnist:nodulemnist3d")
    assert not (tmp_path / "data").exists(), "a fetch that failed left a folder behind"


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        (TINY, ["run", "tniy.yaml"], "did you mean tiny.yaml"),
        (TINY, ["run", "tiny.yaml", "--data", "nowhere"], "nowhere"),
        (TINY, ["run", "tiny.yaml", "--data", "nothing.csv"], "nothing.csv"),
        (TINY, ["run", "tiny.yaml", "--profile", "paper"], "no profile 'paper'"),
        (TINY, ["run", "tiny.yaml", "--set", "train.epoch=3"], "did you mean 'epochs'"),
        (TINY, ["run", "tiny.yaml", "--set", "data.target=covid"], "known: normal, pneumonia, tuberculosis"),
        (TINY, ["run", "tiny.yaml", "--set", "machine.device=gpu"], "machine.device"),
        (TINY, ["run", "tiny.yaml", "--set", "model.options.cnn.widht=1"], "did you mean 'width'"),
        (TINY, ["run", "tiny.yaml", "--set", "losses.focal.alpha=[1, 2]"], "losses.focal.alpha"),
        (TINY, ["run", "tiny.yaml", "--name", "../x"], "--name"),
        (TINY, ["baseline", "tiny.yaml", "--arch", "cnnn"], "did you mean 'cnn'"),
        (TINY.replace("mc_entropy, loss", "mc_entrpy, loss"), ["run", "tiny.yaml"], "did you mean 'mc_entropy'"),
        (TINY.replace("strategy: random", "strategy: entropy"), ["run", "tiny.yaml"], "no arm samples at random"),
        (TINY.replace("modAL.uncertainty.margin_sampling", "os.system"), ["run", "tiny.yaml"], "no strategy"),
        (TINY, ["compare", "runs/none"], "no such run folder"),
    ],
)
def test_a_mistake_is_one_clear_error_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], words: str
) -> None:
    write_tiny(tmp_path, text)
    assert words in fails(capsys, *arguments)
    assert not (tmp_path / "runs").exists() and not (tmp_path / "results").exists()


def test_a_monte_carlo_arm_on_a_network_without_dropout_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny(tmp_path, TINY.replace("arch: cnn,", "arch: mlp,"))
    assert "nothing in this" in fails(capsys, "run", "tiny.yaml")


def test_usage_mistakes_exit_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["runn"], ["run"], ["data"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2


def test_real_radiographs_end_to_end(tmp_path: Path, cxr_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A few real radiographs of each class and split through the whole experiment; none of them leaves runs/."""
    with open(cxr_root / "cxr3.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["split"], row["label"]), []).append(row)
    chosen = [row for (split, _), group in groups.items() for row in group[: 20 if split == "train" else 6]]
    with open(tmp_path / "few.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(chosen)
    text = TINY.replace("kind: phantom, count: 90, seed: 0", f"kind: manifest, path: few.csv, root: {cxr_root}")
    write_tiny(tmp_path, text.replace("seeds: [0, 1]", "seeds: [0]"))
    assert main(["run", "tiny.yaml"]) == 0
    page = (tmp_path / "results" / "tiny" / "README.md").read_text()
    assert "synthetic" not in page and "comes from shenzhen" in page
    for kind in ("samples", "images"):
        assert not list((tmp_path / "results").rglob(f"{kind}-*.png")), "radiographs of patients in the results"
        assert list((tmp_path / "runs").rglob(f"{kind}-*.png"))
