"""Networks that are compared must be trained alike and long enough; where they were not, the page says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from fake_run import fake_run

from al_cxr.comparison.convergence import BEHIND, ending, trainings, unconverged, uneven
from al_cxr.comparison.finished import load
from al_cxr.core.records import Epoch
from al_cxr.report.training import training_table, training_warnings

SEEDS = (0, 1, 2, 3)


def history(losses: list[float], f1: list[float]) -> list[dict[str, float]]:
    common = {"lr": 0.1, "train_accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    rows = zip(losses, f1, strict=True)
    return [
        {"epoch": e + 1, "steps": 10 * (e + 1), "train_loss": loss, "val_macro_f1": f, **common}
        for e, (loss, f) in enumerate(rows)
    ]


def run(root: Path, fitted: Callable[[int, np.random.Generator], tuple[list[float], list[float], int]]) -> Path:
    """A finished run whose histories are `fitted(labels, rng)`: training losses, macro F1, and steps."""
    fake_run(root, seeds=SEEDS)
    for path in sorted((root / "fits").glob("*/fit.json")):
        record = json.loads(path.read_text())
        losses, f1, steps = fitted(record["n_labelled"], np.random.default_rng(crc32(path.parent.name.encode())))
        record |= {"history": history(losses, f1), "steps": steps}
        path.write_text(json.dumps(record))
    return root


def flat(end: float, f1: float = 0.8, steps: int = 400) -> tuple[list[float], list[float], int]:
    return [1.0, 0.7, 0.5, 0.4, *[end] * 4], [0.4, 0.6, 0.7, f1, *[f1] * 4], steps


def test_an_ending_is_the_last_quarter_and_its_rise_over_the_quarter_before() -> None:
    rows = [Epoch.model_validate(row) for row in history([8, 7, 6, 5, 4, 3, 2, 1], [0, 0, 0, 0, 0.5, 0.7, 0.8, 0.9])]
    end = ending(rows)
    assert (end.train_loss, end.rise) == (1.5, pytest.approx(0.25))
    assert np.isnan(ending(rows[:3]).rise)


def test_networks_trained_alike_and_to_the_end_are_not_warned_of(tmp_path: Path) -> None:
    finished = load(run(tmp_path, lambda labels, _: flat(0.1 + labels / 10_000)))  # fewer labels end lower
    assert training_warnings(finished) == []
    frame = training_table(finished).frame
    assert set(frame["steps"]) == {400.0} and not frame["is_behind"].any() and not frame["is_rising"].any()


def test_fixed_epochs_are_said_with_their_steps(tmp_path: Path) -> None:
    frame = trainings(load(run(tmp_path, lambda labels, _: flat(0.1 + labels / 10_000, steps=labels * 2))))
    said = uneven(frame)
    assert said is not None and "360 optimizer steps with 180 labels, 1,200 with 600" in said and "train.steps" in said


def test_few_labels_that_end_with_a_higher_loss_than_many_are_not_converged(tmp_path: Path) -> None:
    def fitted(labels: int, rng: np.random.Generator) -> tuple[list[float], list[float], int]:
        return flat((0.5 if labels < 200 else 0.1 + labels / 10_000) + 0.01 * rng.random())

    frame = trainings(load(run(tmp_path, fitted)))
    assert set(frame[frame["is_behind"]]["round"]) == {0}
    (said,) = unconverged(frame)
    assert said.startswith("Not converged") and "round 0" in said and "raise train.steps" in said


def test_images_that_a_strategy_chose_may_be_harder_to_learn_than_the_rest(tmp_path: Path) -> None:
    frame = trainings(load(run(tmp_path, lambda labels, _: flat(0.2 if labels in (180, 600) else 0.5))))
    active = frame["arm"].str.endswith("mc_entropy") & (frame["round"] > 0)
    assert active.any() and frame[active]["behind"].isna().all() and not frame[active]["is_behind"].any()


def test_a_difference_within_the_spread_of_the_seeds_shows_nothing(tmp_path: Path) -> None:
    def fitted(labels: int, rng: np.random.Generator) -> tuple[list[float], list[float], int]:
        return flat(0.2 if labels == 600 else 0.4 + rng.uniform(-0.6, 0.6))

    frame = trainings(load(run(tmp_path, fitted)))
    start = frame[(frame["arm"] == "ce+random") & (frame["round"] == 0)].iloc[0]
    assert start["behind"] > BEHIND and not start["is_behind"], "the mean is above the limit, the seeds disagree"


def test_validation_that_still_rises_is_said_with_its_points(tmp_path: Path) -> None:
    def fitted(labels: int, rng: np.random.Generator) -> tuple[list[float], list[float], int]:
        f1 = [0.3, 0.35, 0.4, 0.45, 0.5, 0.5, 0.56, 0.58]
        return [0.1 + labels / 10_000] * 8, f1 if labels == 600 else [0.6] * 8, 400

    frame = trainings(load(run(tmp_path, fitted)))
    assert list(frame[frame["is_rising"]]["arm"]) == [""]
    (said,) = unconverged(frame)
    assert "the fully labelled network" in said and "7.0 points" in said


def test_records_of_older_versions_say_nothing_of_steps(tmp_path: Path) -> None:
    frame = trainings(load(fake_run(tmp_path)))
    assert frame["steps"].isna().all() and uneven(frame) is None


def test_nothing_is_shown_by_one_seed(tmp_path: Path) -> None:
    frame = trainings(load(fake_run(tmp_path, seeds=(0,))))
    assert isinstance(frame, pd.DataFrame) and not frame["is_behind"].any() and not frame["is_rising"].any()
