"""A search that cannot be made is one clear error; settings that fail are a failed trial."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from small_search import EXPERIMENT, records, run

from al_cxr.comparison.search_records import MeasuredRecord, SearchRecord, Trial, all_nested, best
from al_cxr.config import Dimension
from al_cxr.config.files import load
from al_cxr.experiment import search

pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert run(folder) == 0
    return folder


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("train.lr:", "train.rl:", "search.space: train.rl: unknown key; did you mean 'lr'?"),
        ("train.lr:", "trian.lr:", "search.space: trian: unknown key; did you mean 'train'?"),
        ("cnn.dropout:", "cnn.dropuot:", "cnn has no such option; did you mean 'dropout'?"),
        (
            "options.cnn.dropout:",
            "options.rnn.width:",
            "has no effect, as model.arch is cnn; write model.options.cnn.OPTION",
        ),
        ("train.lr:", "budget.seed:", "search.space.budget.seed: only settings under train and model"),
        ("high: 0.5", "high: 99.5", "search.space: model.options.cnn.dropout"),
        ("choices: [8, 16]", "choices: [8, 1]", "search.space: train.batch_size"),
        ("{low: 1, high: 2}", "{low: 2, high: 1}", "search.space.train.epochs: low must be below high"),
        ("{low: 1, high: 2}", "{low: 1}", "search.space.train.epochs: low must be below high"),
        ("{low: 1, high: 2}", "{low: 1, high: 2, choices: [1]}", "give low and high, or choices"),
        ("{low: 0, high: 0.5}", "{low: 0, high: 0.5, log: true}", "with log: true, low must be above 0"),
        ("[100, 101]", "[1, 101]", "search.seeds: 1 is a seed of the experiment"),
        ("[100, 101]", "[100, 100]", "search: seeds: 100 is given twice; delete one"),
        ("trials: 4", "trails: 4", "search.trails: unknown key; did you mean 'trials'?"),
    ],
)
def test_a_wrong_search_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, words: str
) -> None:
    assert EXPERIMENT.count(old) == 1
    assert run(tmp_path, text=EXPERIMENT.replace(old, new)) == 2
    said = capsys.readouterr().err
    assert words in said and "tiny.yaml" in said
    assert not (tmp_path / "runs").exists()


def test_an_experiment_without_a_search_and_a_wrong_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, text=EXPERIMENT.partition("search:")[0]) == 2
    assert "search: missing" in capsys.readouterr().err
    assert run(tmp_path, "--trials", "0") == 2
    assert "--trials must be above 0 (got 0)" in capsys.readouterr().err


def test_another_space_in_the_same_folder_is_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = records(finished)
    assert run(finished, "--set", "search.labels=0.5") == 2
    assert "another search" in capsys.readouterr().err and records(finished) == before


def test_without_optuna_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert run(tmp_path) == 2
    assert "al-cxr[search]" in capsys.readouterr().err


def test_settings_that_diverge_are_a_failed_trial_and_not_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = "{train.weight_decay: {low: 0.0, high: 0.1}}"
    text = EXPERIMENT.partition("  space:")[0] + f"  space: {space}\n"
    assert run(tmp_path, "--set", "train.lr=1.0e+30", "--trials", "2", text=text) == 2
    assert "every trial failed" in capsys.readouterr().err
    page = (tmp_path / "results/tiny-search/README.md").read_text()
    assert "Training failed in trial 0, 1" in page
    assert not (tmp_path / "results/tiny-search/best.yaml").exists()


def test_a_search_changes_no_run(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(EXPERIMENT)
    with_search = load(path)
    path.write_text(EXPERIMENT.partition("search:")[0])
    assert load(path).science() == with_search.science()


def test_the_sampler_learns_from_the_trials_so_far() -> None:
    """Twenty trials of a parabola: proposals after them lie nearer to its minimum than chance would have it."""
    space = {"train.lr": Dimension(low=0.0, high=1.0)}
    record = SearchRecord(
        space=space, seeds=[100], labels=0.3, n_labelled=1, objective="loss", loss="cross_entropy", sampler="x"
    )

    class Parabola(Trial):
        def mean(self, objective: object, target: str) -> float:
            return (float(self.values["train.lr"] or 0) - 0.7) ** 2

    done: list[Trial] = []
    for number in range(40):
        values = search.propose(record, "tuberculosis", done)
        assert values == search.propose(record, "tuberculosis", done)
        done.append(Parabola(number, values, (), 0.0))
    late = np.array([float(t.values["train.lr"] or 0) for t in done[20:]])
    assert np.median(np.abs(late - 0.7)) < 0.1  # of uniform draws: 0.25


def test_rounding_stays_inside_the_range_and_names_nest() -> None:
    assert Dimension(low=0.12345, high=1.0).rounded(0.12345, 3) == 0.12345
    assert Dimension(low=0.1, high=1.0).rounded(0.123456, 3) == 0.123
    assert Dimension(low=1, high=9).rounded(7, 3) == 7
    assert Dimension(choices=[0.123456]).rounded(0.123456, 3) == 0.123456
    assert all_nested({"a.b": 1, "a.c.d": None}) == {"a": {"b": 1, "c": {"d": None}}}


def test_a_failed_seed_leaves_a_trial_without_a_mean() -> None:
    failed = MeasuredRecord(trial=0, seed=1, values={}, best_epoch=None, val=None, failed="diverged")
    trial = Trial(0, {}, (failed,), 1.0)
    assert np.isnan(trial.mean("macro_f1", "x")) and best([trial], "macro_f1", "x") is None
