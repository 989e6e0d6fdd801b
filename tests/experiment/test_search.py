"""The search for hyper-parameters: validation data alone, and the same after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_search import records, run

from al_cxr.comparison.search_records import SearchRecord, Trial, best, load_trials
from al_cxr.config import Settings
from al_cxr.config.files import load, parse_override
from al_cxr.config.layers import read_layer
from al_cxr.data.loader import Loader
from al_cxr.data.sources.phantom import PhantomSource
from al_cxr.experiment import search
from al_cxr.experiment.workspace import Workspace

pytest.importorskip("optuna")


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
