"""When to stop asking for labels before the budget is spent: one function and one registry entry a rule.

A rule sees validation metrics, validation predictions and pool statistics, never the test split. Labels of the
validation images count as labels all the same.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint
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
        if not all(math.isfinite(value) for value in (*self.f1, *(u for u in self.uncertainty if u is not None))):
            raise ValueError("f1 or uncertainty of a round is NaN or infinite")


Rule = Callable[..., str | None]
"""`(history, **options)` -> the reason to stop in words, or None."""

_REGISTRY: dict[str, Rule] = {}
_RANGES: dict[str, tuple[type, float, float]] = {
    "rounds": (int, 1, math.inf),
    "delta": (float, 0, 1),
    "below": (float, 0, math.inf),
    "kappa": (float, 0, 1),
}
"""Option -> type, smallest and largest value; an option means the same in every rule."""


def rule(function: Rule) -> Rule:
    """Registers a rule under its function's name; its keyword-only parameters are its options."""
    _REGISTRY[function.__name__] = function
    return function


def names() -> list[str]:
    """All rules, sorted."""
    return sorted(_REGISTRY)


def check(rule: str, options: dict[str, object]) -> None:
    """UserError where there is no such rule, and for an option that is unknown, missing, of a wrong type or range."""
    if rule not in _REGISTRY:
        raise UserError(f"stop.rule: no rule {rule!r}{hint(rule, names())}")
    parameters = {p.name: p for p in inspect.signature(_REGISTRY[rule]).parameters.values() if p.kind is p.KEYWORD_ONLY}
    for name in options.keys() - parameters.keys():
        raise UserError(f"stop.options.{name}: the rule {rule} has no such option{hint(name, parameters)}")
    for name, parameter in parameters.items():
        kind, low, high = _RANGES[name]
        if name not in options:
            if parameter.default is parameter.empty:
                raise UserError(f"stop.options.{name}: the rule {rule} needs it; add this key")
            continue
        value = options[name]
        fits = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if not fits or not low <= value < math.inf or value > high:  # type: ignore[operator]
            word = "a whole number" if kind is int else "a number"
            reach = f"of {low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
            raise UserError(f"stop.options.{name}: must be {word} {reach} (got {value!r})")


def decide(rule: str, history: History, **options: object) -> str | None:
    """Why to stop after the last round of a history, in words; None to go on. UserError as in `check`."""
    check(rule, options)
    return _REGISTRY[rule](history, **options)


@rule
def budget(history: History) -> str | None:
    """Never early: all rounds of the budget are played."""
    return None


@rule
def no_gain(history: History, *, rounds: int = 3, delta: float = 0.0) -> str | None:
    """The best F1 of the last `rounds` rounds is not more than `delta` above the best before them."""
    if len(history.f1) <= rounds:
        return None
    before, since = max(history.f1[:-rounds]), max(history.f1[-rounds:])
    if since - before > delta:
        return None
    return f"best validation F1 of the last {rounds} rounds {since:.4f}, {before:.4f} before: no gain above {delta:g}"


@rule
def low_uncertainty(history: History, *, below: float) -> str | None:
    """The pool's mean entropy is under `below` nats (overall uncertainty, Zhu et al. 2010).

    Arms that do not predict the pool, such as random and coreset, never stop early by it.
    """
    last = history.uncertainty[-1] if history.uncertainty else None
    if last is None or last >= below:
        return None
    return f"mean entropy of the pool {last:.4g} nats, below {below:g}"


@rule
def stable_predictions(history: History, *, rounds: int = 3, kappa: float = 0.99) -> str | None:
    """Successive models agree on the validation images: kappa at least `kappa`, `rounds` times in a row.

    Bloodgood and Vijay-Shanker 2009 (https://aclanthology.org/W09-1107), with their 0.99 and three comparisons; they
    use a larger set without labels and the mean of the three.
    """
    if len(history.predictions) <= rounds:
        return None
    last = history.predictions[-rounds - 1 :]
    agreements = [agreement(a, b) for a, b in itertools.pairwise(last)]
    if min(agreements) < kappa:
        return None
    return f"kappa of successive predictions at least {min(agreements):.4f} for {rounds} rounds, {kappa:g} is asked for"


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
