"""The search for hyper-parameters: validation data alone, the same after a kill, one clear error for a wrong space."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from al_cxr.cli.__main__ import main
from al_cxr.comparison.search_records import MeasuredRecord, SearchRecord, Trial, best, load_trials, nested
from al_cxr.config import Dimension, Settings
from al_cxr.config.files import load, parse_override
from al_cxr.config.layers import read_layer
from al_cxr.data.loader import Loader
from al_cxr.data.sources.phantom import PhantomSource
from al_cxr.experiment import search
from al_cxr.experiment.workspace import Workspace

pytest.importorskip("optuna")

EXPERIMENT = """\
data: {sources: [{kind: phantom, count: 90, seed: 0}], image_size: 28}
model: {arch: cnn, options: {cnn: {width: 0.05}}}
train: {epochs: 1, batch_size: 16}
arms:
  random: {strategy: random, loss: cross_entropy}
machine: {threads: 1, precision: fp32, score_precision: fp32, checkpoint_seconds: 0}
seeds: [0, 1]
search:
  trials: 4
  seeds: [100, 101]
  labels: 0.4
  objective: loss
  space:
    train.lr: {low: 1.0e-6, high: 1.0e-2, log: true}
    train.epochs: {low: 1, high: 2}
    train.batch_size: {choices: [8, 16]}
    model.options.cnn.dropout: {low: 0, high: 0.5}
"""


def run(folder: Path, *more: str, text: str = EXPERIMENT) -> int:
    (folder / "tiny.yaml").write_text(text)
    return main(
        [
            "search",
            f"{folder / 'tiny.yaml'}",
            "--runs",
            f"{folder / 'runs'}",
            "--results",
            f"{folder / 'results'}",
            *more,
        ]
    )


def records(folder: Path) -> dict[str, bytes]:
    trials = folder / "runs/tiny-search/trials"
    return {
        str(p.relative_to(trials)): p.read_bytes()
        for p in sorted(trials.rglob("*"))
        if p.is_file() and not p.name.endswith(".timing.json")
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert run(folder) == 0
    return folder


def trials_of(folder: Path) -> tuple[list[Trial], Settings]:
    return load_trials(folder / "runs/tiny-search", [100, 101]), load(folder / "tiny.yaml")


def test_every_trial_lies_in_the_space_and_the_first_is_the_experiment(finished: Path) -> None:
    trials, settings = trials_of(finished)
    assert settings.search is not None and len(trials) == 4
    assert trials[0].values == {
        "train.lr": 0.001,
        "train.epochs": 1,
        "train.batch_size": 16,
        "model.options.cnn.dropout": 1.0,  # the default of the architecture, though not in the space
    }
    for trial in trials[1:]:
        assert all(settings.search.space[key].holds(value) for key, value in trial.values.items())
        assert isinstance(trial.values["train.epochs"], int)
    assert len({json.dumps(t.values) for t in trials}) == 4
    assert all(np.isfinite(t.mean("loss", "tuberculosis")) for t in trials)


def test_a_finished_search_only_rewrites_the_report(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = finished / "results/tiny-search/README.md"
    before, text = records(finished), page.read_bytes()
    page.unlink()
    assert run(finished) == 0
    assert records(finished) == before and page.read_bytes() == text
    assert "the budget is spent already" in capsys.readouterr().out


class Killed(BaseException):
    pass


@pytest.mark.parametrize("fits", [3, 4])
def test_a_killed_search_goes_on_to_the_same_trials(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    """Killed between the two seeds of a trial (3), and after a whole one (4)."""
    real: Callable[..., None] = search._measure
    count = 0

    def stop_after(*arguments: object) -> None:
        nonlocal count
        if count == fits:
            raise Killed
        count += 1
        real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(search, "_measure", stop_after)
        with pytest.raises(Killed):
            run(tmp_path)
    assert len([name for name in records(tmp_path) if name.endswith(".json")]) == fits
    assert run(tmp_path) == 0
    assert records(tmp_path) == records(finished)


def test_more_trials_only_add_some_and_seconds_end_a_search(finished: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "--seconds", "1e-9") == 0
    assert {Path(name).parts[0] for name in records(tmp_path)} == {"000"}
    assert run(tmp_path, "--trials", "2") == 0
    two = records(tmp_path)
    assert len(two) == 4 and two == {name: data for name, data in records(finished).items() if name < "002"}


def test_the_best_overlay_and_the_options_give_the_best_trial(finished: Path) -> None:
    trials, settings = trials_of(finished)
    values = [t.mean("loss", "tuberculosis") for t in trials]
    chosen = trials[int(np.argmin(values))]  # a loss is better when it is smaller
    assert best(trials, "loss", "tuberculosis") == chosen
    results = finished / "results/tiny-search"
    overlaid = load(finished / "tiny.yaml", overrides=[read_layer(results / "best.yaml").data])
    assert overlaid == search.override(settings, chosen.values, "x") != settings
    line = next(t for t in (results / "README.md").read_text().splitlines() if t.startswith("    --set "))
    options = [parse_override(text) for text in line.split("--set ")[1:]]
    assert load(finished / "tiny.yaml", overrides=options) == overlaid


def test_the_page_shows_every_trial_its_seeds_and_the_budget(finished: Path) -> None:
    trials, _ = trials_of(finished)
    results = finished / "results/tiny-search"
    table = pd.read_csv(results / "tables/trials.csv")
    assert list(table["mean"]) == sorted(table["mean"]) and sorted(table["trial"]) == [0, 1, 2, 3]
    for trial in trials:
        row = table[table["trial"] == trial.number].iloc[0]
        assert [row["seed 100"], row["seed 101"]] == pytest.approx(trial.scores("loss", "tuberculosis"), rel=1e-5)
    assert table["note"].fillna("").str.contains("best").tolist() == [True, False, False, False]
    text = (results / "README.md").read_text()
    assert "4 trials × 2 seeds = 8 trainings" in text and "synthetic" in text


def manifest(folder: Path, change: Callable[[np.ndarray, str], tuple[np.ndarray, str]]) -> None:
    """A phantom as files; `change` is applied to the pixels and the label of each test image."""
    dataset = PhantomSource(count=90).read()
    rows = []
    for i, split in enumerate(dataset.split_N):
        pixels, label = dataset.images.read(i, 28)[0], dataset.classes[dataset.labels_N[i]]
        if split == "test":
            pixels, label = change(pixels, label)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        rows.append({"path": f"{i}.png", "label": label, "split": split, "patient_id": f"p{i}"})
    pd.DataFrame(rows).to_csv(folder / "set.csv", index=False)


def test_another_test_split_changes_nothing(tmp_path: Path) -> None:
    """Whatever the test images and their labels are, the trials are the same bytes."""
    noise, found = np.random.default_rng(0), []
    other = {"normal": "pneumonia", "pneumonia": "tuberculosis", "tuberculosis": "normal"}
    for name, change in {
        "true": lambda pixels, label: (pixels, label),
        "noise": lambda pixels, label: (noise.integers(0, 256, pixels.shape).astype(np.uint8), other[label]),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        manifest(folder, change)
        assert run(folder, "--data", str(folder / "set.csv"), "--trials", "2", "--name", "tiny") == 0
        found.append(records(folder))
    assert found[0] == found[1] and len(found[0]) == 4


def test_no_test_image_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Loader.raw
    loaded: set[int] = set()

    def noting(self: Loader, order: np.ndarray, batch_size: int) -> Iterator:
        loaded.update(int(i) for i in order)
        return real(self, order, batch_size)

    monkeypatch.setattr(Loader, "raw", noting)
    assert run(tmp_path, "--trials", "2") == 0
    split_N = PhantomSource(count=90).read().split_N
    assert {str(split_N[i]) for i in loaded} == {"train", "val"}
    assert set(np.flatnonzero(split_N == "val")) <= loaded


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
    assert nested({"a.b": 1, "a.c.d": None}) == {"a": {"b": 1, "c": {"d": None}}}


def test_a_failed_seed_leaves_a_trial_without_a_mean() -> None:
    failed = MeasuredRecord(trial=0, seed=1, values={}, best_epoch=None, val=None, failed="diverged")
    trial = Trial(0, {}, (failed,), 1.0)
    assert np.isnan(trial.mean("macro_f1", "x")) and best([trial], "macro_f1", "x") is None


def test_the_workspace_of_a_trial_has_its_settings(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is trained is what the record says: the optimizer's rate and the epochs are those of the values."""
    seen: list[tuple[float, int]] = []

    def noting(workspace: Workspace, record: SearchRecord, number: int, values: dict, seed: int, path: Path) -> None:
        seen.append((workspace.settings.train.lr, workspace.settings.train.epochs))
        raise Killed

    trials, _ = trials_of(finished)
    (finished / "runs/tiny-search/trials/003/seed-101.json").rename(finished / "kept.json")
    monkeypatch.setattr(search, "_measure", noting)
    try:
        with pytest.raises(Killed):
            run(finished)
    finally:
        (finished / "kept.json").rename(finished / "runs/tiny-search/trials/003/seed-101.json")
    assert seen == [(trials[3].values["train.lr"], trials[3].values["train.epochs"])]
