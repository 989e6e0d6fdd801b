"""When to stop asking for labels before the budget is spent: what a rule sees, and how it is found and asked.

A rule sees validation metrics, validation predictions and pool statistics, never the test split. Labels of the
validation images count as labels all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_cxr.core.options import checked
from al_cxr.core.registry import Registry
from al_cxr.strategies.statistics import PoolStatistics, entropy


@dataclass(frozen=True, eq=False)
class History:
    """What a run has seen so far: one entry a round in each, the seed model first."""

    f1: tuple[float, ...]
    """F1 of the target class on the validation images, 0..1."""
    uncertainty: tuple[float | None, ...]
    """Mean entropy of the pool under the round's model, nats (`pool_uncertainty`); None where it was not computed."""
    predictions: tuple[np.ndarray, ...]
    """Predicted classes (M,) of the validation images, int, always the same images in the same order."""

    def __post_init__(self) -> None:
        if not len(self.f1) == len(self.uncertainty) == len(self.predictions):
            raise ValueError("f1, uncertainty and predictions do not have one entry a round each")
        if len({np.shape(predictions) for predictions in self.predictions}) > 1:
            raise ValueError("the rounds predict different numbers of validation images")
        known = [*self.f1, *(value for value in self.uncertainty if value is not None)]
        if not all(math.isfinite(value) for value in known):
            raise ValueError("f1 or uncertainty of a round is NaN or infinite")


Rule = Callable[..., str | None]
"""`(history, *, options)` -> the reason to stop in words, or None."""

RULES: Registry[Rule] = Registry("rule", "al_cxr.strategies", "al_cxr.rules", arguments=["history"])
"""All stopping rules, by name."""
rule = RULES.register
"""Decorator `rule(name)` for a function `(history, *, options)`; a new file of this room is enough to add one."""


def names() -> list[str]:
    """All rules, sorted."""
    return RULES.names()


def check(name: str, options: Mapping[str, Any], where: str = "stop") -> dict[str, Any]:
    """The options of a rule with the defaults of those that are not given.

    UserError, with `where` as the section of the settings, where there is no such rule and for an option that is
    unknown, missing, of a wrong type or out of range.
    """
    return checked(RULES.get(name, f"{where}.rule: "), options, name, f"{where}.options")


def decide(name: str, history: History, **options: object) -> str | None:
    """Whether a rule stops after the last round of a history.

    Parameters
    ----------
    name : str
        One of `names()`.
    history : History
        What was seen so far.
    **options
        Of the rule.

    Returns
    -------
    str or None
        Why to stop, in words; None to go on.

    Raises
    ------
    UserError
        If there is no such rule or option, or an option has a wrong value.

    Examples
    --------
    >>> seen = History(f1=(0.7, 0.7), uncertainty=(0.5, 0.2), predictions=(np.zeros(3), np.zeros(3)))
    >>> decide("low_uncertainty", seen, below=0.3)
    'mean entropy of the pool 0.2 nats, below 0.3'
    """
    return RULES.get(name, "stop.rule: ")(history, **check(name, options))


def pool_uncertainty(statistics: PoolStatistics) -> float | None:
    """Mean entropy of a pool in nats: of the mean over the passes, or else of the softmax, or None without either."""
    if statistics.predictive_entropy_N is not None:
        return float(statistics.predictive_entropy_N.mean())
    return None if statistics.probs_NC is None else float(entropy(statistics.probs_NC).mean())


def agreement(first_M: np.ndarray, second_M: np.ndarray) -> float:
    """Cohen's kappa of two models' predicted classes, <= 1; 1 where both always answer the same one class."""
    first_M, second_M = np.asarray(first_M), np.asarray(second_M)
    if first_M.shape != second_M.shape or first_M.ndim != 1 or first_M.size == 0:
        raise ValueError(f"predictions {first_M.shape} and {second_M.shape} are not of the same images")
    classes = np.union1d(first_M, second_M)
    shares = [(predictions[:, None] == classes).mean(axis=0) for predictions in (first_M, second_M)]
    by_chance = float(shares[0] @ shares[1])
    if len(classes) == 1:
        return 1.0
    return (float((first_M == second_M).mean()) - by_chance) / (1 - by_chance)
