"""An experiment from Python: read with changes, planned, run, and compared as a DataFrame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from tiny import TINY, write_tiny

import al_cxr
from al_cxr.cli.__main__ import main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path, TINY.replace("seeds: [0, 1]", "seeds: [0]"))
    return tmp_path


@pytest.mark.usefixtures("undrawn")
def test_a_run_gives_its_folder_its_page_and_its_tables(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = al_cxr.Experiment.from_yaml("tiny.yaml", {"budget.rounds": 1, "train": {"epochs": 1}})
    planned = experiment.plan()
    assert planned is not None and planned.plan.fits == 7 and not (here / "results").exists()
    result = experiment.run()
    assert (result.folder, result.page) == (Path("runs/tiny"), Path("results/tiny/README.md"))
    assert result.page.is_file() and (result.folder / "experiment.json").is_file()
    assert experiment.plan() is None, "nothing is left to do"

    rounds = experiment.compare()
    assert rounds["arm"].unique().tolist() == list(experiment.settings.arms) and rounds["round"].max() == 1
    assert rounds["f1"].between(0, 1).all() and (rounds.loc[rounds["strategy"] == "random", "gain_random"].isna()).all()
    tables = result.tables
    assert {"summary", "training"} <= tables.keys()
    assert all(isinstance(table, pd.DataFrame) and len(table) for table in tables.values())

    # the command is the same: it finds everything done
    capsys.readouterr()
    assert main(["run", "tiny.yaml", "--set", "budget.rounds=1", "--set", "train.epochs=1"]) == 0
    assert "every run was there already" in capsys.readouterr().out


def test_changes_are_the_same_as_words_and_as_a_mapping(here: Path) -> None:
    words = al_cxr.Experiment.from_yaml("tiny.yaml", ["train.epochs=3", "arms.focal-random.loss=cross_entropy"])
    changes = {"train.epochs": 3, "arms": {"focal-random": {"loss": "cross_entropy"}}}
    assert al_cxr.Experiment.from_yaml(Path("tiny.yaml"), changes).settings == words.settings
    assert words.settings.train.epochs == 3
    assert al_cxr.Experiment.from_yaml("tiny.yaml", "train.epochs=3").settings.train.epochs == 3


def test_a_run_is_called_after_its_file_its_profile_and_its_data(here: Path) -> None:
    write_tiny(here, f"{TINY}profiles: {{quick: {{train: {{epochs: 1}}}}}}\n")
    read: Callable[..., al_cxr.Experiment] = al_cxr.Experiment.from_yaml
    assert read("tiny.yaml").name == "tiny"
    other = read("tiny.yaml", profile="quick", data="phantom:60")
    assert other.name == "tiny-quick-phantom" and other.settings.train.epochs == 1
    assert other.settings.data.sources[0].count == 60  # type: ignore[attr-defined]
    assert read("tiny.yaml", profile="quick", name="mine").name == "mine"


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("tiny.yaml", {"overrides": {"train.epoch": 3}}, "did you mean 'epochs'"),
        ("tiny.yaml", {"overrides": ["train.epochs"]}, "write it as section.key=value"),
        ("tiny.yaml", {"overrides": ["model.options.cnn={width:0.5}"]}, "write a blank after the colon in width:0.5"),
        ("tiny.yaml", {"profile": "paper"}, "no profile 'paper'"),
        ("tiny.yaml", {"name": "../elsewhere"}, "letters, digits and"),
        ("tiny.yaml", {"data": "phantom:many"}, "phantom:many"),
        ("no.yaml", {}, "no.yaml"),
    ],
)
def test_a_mistake_is_told_when_the_file_is_read(here: Path, path: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(al_cxr.UserError, match=words):
        al_cxr.Experiment.from_yaml(path, **options)  # type: ignore[arg-type]
    assert not (here / "runs").exists()


def test_nothing_is_compared_before_anything_was_run(here: Path) -> None:
    with pytest.raises(al_cxr.UserError, match="no such run folder"):
        al_cxr.Experiment.from_yaml("tiny.yaml").compare()
    with pytest.raises(al_cxr.UserError, match="no arm samples at random"):
        al_cxr.Experiment.from_yaml("tiny.yaml", {"arms.focal-random.strategy": "entropy"}).run()
    assert not (here / "runs").exists()
