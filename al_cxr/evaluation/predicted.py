"""One model's probabilities beside the truth, and the models of one arm together. Arrays only, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from al_cxr.core.metrics import Metrics
from al_cxr.evaluation.calibration import Temperature, fit_temperature
from al_cxr.evaluation.ensemble import mean_probs
from al_cxr.evaluation.operating import Goal, Threshold, choose_threshold

NO_VALIDATION = "the validation labels are not known"


@dataclass(frozen=True, eq=False)
class Predicted:
    """Probabilities (N, C) of the tested images and their labels (N,); the same of the model's own validation images,
    None where their labels are not known."""

    name: str
    probs_NC: np.ndarray
    labels_N: np.ndarray
    val_probs_MC: np.ndarray | None = None
    val_labels_M: np.ndarray | None = None

    def __post_init__(self) -> None:
        for probs, labels in ((self.probs_NC, self.labels_N), (self.val_probs_MC, self.val_labels_M)):
            if (probs is None) != (labels is None) or (
                probs is not None and labels is not None and (probs.ndim != 2 or len(probs) != len(labels))
            ):
                raise ValueError(f"{self.name}: probabilities and labels do not fit each other")

    @cached_property
    def temperature(self) -> Temperature:
        """Of validation; 1 with a note where its labels are not known."""
        if self.val_probs_MC is None or self.val_labels_M is None:
            return Temperature(1.0, f"{NO_VALIDATION}; left at 1")
        return fit_temperature(self.val_probs_MC, self.val_labels_M)

    def threshold(self, target: int, goal: Goal) -> Threshold:
        """On P(target), chosen on validation."""
        if self.val_probs_MC is None or self.val_labels_M is None:
            return Threshold(None, np.nan, np.nan, NO_VALIDATION)
        return choose_threshold(self.val_probs_MC[:, target], self.val_labels_M == target, goal)


@dataclass(frozen=True, eq=False)
class EvaluatedModel:
    """A model that was tested on another data set, and what its answers are worth; seeds of an arm share a `group`."""

    group: str
    predicted: Predicted
    metrics: Metrics
    shown: bool = False
    """Whether its tables stand on the page, as those of the first group do, and are not only linked."""

    @property
    def name(self) -> str:
        return self.predicted.name


@dataclass(frozen=True, eq=False)
class Group:
    """The models of one arm, one a seed, tested on the same images in the same order."""

    name: str
    """As in file names."""
    label: str
    models: Sequence[Predicted]

    def __post_init__(self) -> None:
        if not self.models:
            raise ValueError(f"{self.name}: a group without a model")
        if any(not np.array_equal(m.labels_N, self.labels_N) for m in self.models):
            raise ValueError(f"{self.name}: its models were tested on different images")

    @property
    def labels_N(self) -> np.ndarray:
        return self.models[0].labels_N

    @cached_property
    def ensemble(self) -> Predicted | None:
        """The seeds' mean probabilities as one model, with a temperature and a threshold of its own from the mean
        probabilities on validation; None of one seed."""
        if len(self.models) < 2:
            return None
        name = f"{self.label}, ensemble of {len(self.models)}"
        probs_NC = mean_probs([m.probs_NC for m in self.models])
        first = self.models[0].val_labels_M
        known = [m.val_probs_MC for m in self.models if m.val_probs_MC is not None and _same(m.val_labels_M, first)]
        if first is None or len(known) < len(self.models):
            return Predicted(name, probs_NC, self.labels_N)
        return Predicted(name, probs_NC, self.labels_N, mean_probs(known), first)


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is not None and b is not None and np.array_equal(a, b)
