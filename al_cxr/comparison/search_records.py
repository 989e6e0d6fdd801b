"""What a search for hyper-parameters writes down and its report reads.

runs/NAME/search.json                       SearchRecord: what is searched, and by what
runs/NAME/trials/NUMBER/seed-S.json         MeasuredRecord: one training of a trial, on validation
runs/NAME/trials/NUMBER/seed-S.timing.json  Timing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from al_cxr.config import Dimension, Value
from al_cxr.config.files import merge, nested
from al_cxr.core.metrics import Metrics
from al_cxr.core.records import Record, Timing, read

Objective = Literal["macro_f1", "target_f1", "loss"]


class SearchRecord(Record):
    space: dict[str, Dimension]
    seeds: list[int]
    labels: float
    """As in the settings: a share of the training set, or a number."""
    n_labelled: int
    objective: Objective
    loss: str
    """Name of the loss that every trial is trained with."""
    sampler: str
    """The library that proposed the trials, with its version."""


class MeasuredRecord(Record):
    """One training of a trial. There is no test figure: a search never asks for one."""

    trial: int
    seed: int
    values: dict[str, Value]
    """Dotted setting -> what it was in this trial."""
    best_epoch: int | None
    val: Metrics | None
    failed: str = Field("", description="why there is no model, e.g. a loss that became infinite")


@dataclass(frozen=True)
class Trial:
    """One proposal, with its trainings in the order of the search seeds. Trial 0 is the experiment as it stands."""

    number: int
    values: dict[str, Value]
    measured: tuple[MeasuredRecord, ...]
    seconds: float

    def scores(self, objective: Objective, target: str) -> list[float]:
        """The objective of each seed, on validation; NaN where training failed."""
        return [score(m.val, objective, target) for m in self.measured]

    def mean(self, objective: Objective, target: str) -> float:
        """Over the seeds; NaN where one failed."""
        return float(np.mean(self.scores(objective, target)))


def score(val: Metrics | None, objective: Objective, target: str) -> float:
    """The objective: an F1 in 0..1, or the mean negative log-likelihood in nats; NaN without metrics."""
    if val is None:
        return float("nan")
    return {"macro_f1": val.macro.f1, "target_f1": val.of(target).f1, "loss": val.log_loss}[objective]


def best(trials: Sequence[Trial], objective: Objective, target: str) -> Trial | None:
    """The first trial of the best mean; None where every one failed."""
    sign = 1 if objective == "loss" else -1
    whole = [t for t in trials if np.isfinite(t.mean(objective, target))]
    return min(whole, key=lambda t: sign * t.mean(objective, target), default=None)


def trial_folder(folder: Path, number: int) -> Path:
    return folder / "trials" / f"{number:03d}"


def load_trials(folder: Path, seeds: Sequence[int]) -> list[Trial]:
    """The finished trials of a search: numbers from 0 on without a gap, each with a record of every seed."""
    trials: list[Trial] = []
    while all((trial_folder(folder, len(trials)) / f"seed-{s}.json").exists() for s in seeds):
        place = trial_folder(folder, len(trials))
        measured = tuple(read(place / f"seed-{s}.json", MeasuredRecord) for s in seeds)
        times = [read(place / f"seed-{s}.timing.json", Timing) for s in seeds]
        trials.append(Trial(len(trials), measured[0].values, measured, sum(t.train + t.evaluate for t in times)))
    return trials


def all_nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"train.lr": 0.1, "train.steps": 200} -> {"train": {"lr": 0.1, "steps": 200}}"""
    data: dict[str, Any] = {}
    for key, value in values.items():
        data = merge(data, nested(key, value))
    return data
