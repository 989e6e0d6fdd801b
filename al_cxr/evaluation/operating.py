"""Operating points: from P(target) to yes or no, and what that means for a thousand people who are screened."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from al_cxr.core import enough
from al_cxr.evaluation.intervals import clopper_pearson

BEST = {"f1": "the best F1", "accuracy": "the best accuracy"}
"""Goals that no number belongs to, in words; accuracy is that of the answers "target" and "not the target"."""


@dataclass(frozen=True)
class Goal:
    """What a threshold must reach on validation: a sensitivity or a specificity of the target class, in 0..1, or the
    best F1 or accuracy that there is, for which `value` says nothing."""

    kind: Literal["sensitivity", "specificity", "f1", "accuracy"] = "sensitivity"
    value: float = 0.90

    def __post_init__(self) -> None:
        if not 0 < self.value <= 1:
            raise ValueError(f"a {self.kind} to reach lies in 0..1, above 0, not {self.value}")

    def __str__(self) -> str:
        return BEST.get(self.kind, f"{self.kind} {100 * self.value:g} %")


GOALS = (Goal("sensitivity"), Goal("specificity"), Goal("f1"), Goal("accuracy"))
"""What people ask of a threshold, with the usual 90 %."""


def goal_from(text: str) -> Goal | None:
    """The goal that `str` put into these words; None for other words."""
    number = re.fullmatch(r"[a-z]+ (\d{1,3}(?:\.\d+)?) %", text)
    share = float(f"{number[1]}e-2") if number else Goal.value
    if not 0 < share <= 1:
        return None
    return next((goal for goal in (replace(one, value=share) for one in GOALS) if str(goal) == text), None)


@dataclass(frozen=True)
class Threshold:
    """An image is flagged where P(target) >= `value`; None, with the reason in `note`, where none reaches the goal."""

    value: float | None
    sensitivity: float
    """On the images it was chosen on, as is the specificity; NaN without one."""
    specificity: float
    note: str = ""


@dataclass(frozen=True)
class Screened:
    """What happens to 1,000 people, on average."""

    found: float
    missed: float
    false_alarms: float
    per_found: float
    """People recalled for each one found (number needed to recall); infinite where none is found."""


def choose_threshold(scores_N: np.ndarray, positive_N: np.ndarray, goal: Goal) -> Threshold:
    """Find the threshold that reaches the goal on these (validation) images and gives least of the other figure away.

    Parameters
    ----------
    scores_N : array, shape (N,)
        P(target) of N images, 0..1.
    positive_N : array of bool, shape (N,)
        Which of them show the target.
    goal : Goal
        A sensitivity or a specificity to reach, or the best F1 or accuracy there is.

    Returns
    -------
    Threshold
        Without a value, and with the reason as its note, where the images of one of the two kinds are too few
        (`al_cxr.core.enough`), and where the goal takes flagging everybody (sensitivity) or nobody who is ill
        (specificity).

    Raises
    ------
    ValueError
        There is not one score an image.

    Examples
    --------
    >>> scores = np.arange(20) / 20
    >>> found = choose_threshold(scores, scores > 0.45, Goal("sensitivity", 0.90))
    >>> found.value, found.sensitivity, found.specificity
    (0.55, 0.9, 1.0)
    """
    scores_N, positive_N = np.asarray(scores_N, np.float64), np.asarray(positive_N, bool)
    if scores_N.shape != positive_N.shape:
        raise ValueError(f"{scores_N.shape} scores for {positive_N.shape} images")
    ill, well = np.sort(scores_N[positive_N])[::-1], np.sort(scores_N[~positive_N])
    if why := enough.for_threshold(len(ill), len(well)):
        return Threshold(None, np.nan, np.nan, why)
    # 0.9 x 50 is 45.000000000000001 for a computer.
    wanted = math.ceil(goal.value * len(ill if goal.kind == "sensitivity" else well) - 1e-9)
    if goal.kind in BEST:
        value = _best(ill, well, goal)
    else:
        value = float(ill[wanted - 1]) if goal.kind == "sensitivity" else float(np.nextafter(well[wanted - 1], np.inf))
    sensitivity, specificity = float((ill >= value).mean()), float((well < value).mean())
    if specificity == 0:
        return Threshold(None, np.nan, np.nan, f"{goal} on validation takes flagging everybody")
    if sensitivity == 0:
        return Threshold(None, np.nan, np.nan, f"{goal} on validation takes finding nobody")
    return Threshold(value, sensitivity, specificity)


def decide(probs_NC: np.ndarray, target: int, threshold: float | None) -> np.ndarray:
    """The class that is answered for each image.

    Parameters
    ----------
    probs_NC : array, shape (N, C)
        Probabilities of N images.
    target : int
        The class that the threshold is of.
    threshold : float, optional
        On the target's probability.

    Returns
    -------
    array of int, shape (N,)
        The target where its probability reaches the threshold, else the most probable of the other classes; without a
        threshold the most probable of all.

    Examples
    --------
    >>> decide(np.array([[0.6, 0.3, 0.1], [0.7, 0.1, 0.2]]), target=2, threshold=0.2)
    array([0, 2])
    """
    answer_N: np.ndarray = probs_NC.argmax(axis=1)
    if threshold is not None:
        others_NC = np.asarray(probs_NC, np.float64).copy()
        others_NC[:, target] = -np.inf
        answer_N = np.where(probs_NC[:, target] >= threshold, target, others_NC.argmax(axis=1))
    return answer_N


def doubts(target: str, ill: int, well: int, sensitivity: float, specificity: float) -> list[str]:
    """What a threshold that was chosen on few images of `target`, or few others, can be worth elsewhere: a sentence
    each. The shares, 0..1, are those on these images; their intervals are exact, and no wider than the truth, for the
    threshold was fitted to the same images."""
    found = []
    for n, of, what, share in (
        (ill, "of", "sensitivity", sensitivity),
        (well, "without", "specificity", specificity),
    ):
        if 0 < n < enough.FEW and math.isfinite(share):
            low, high = clopper_pearson(round(share * n), n)
            found.append(
                f"the threshold was chosen on {n} images {of} {target}: {what} {100 * share:.0f} % there could be "
                f"{100 * low:.0f} to {100 * high:.0f} % elsewhere"
            )
    return found


def _best(ill: np.ndarray, well: np.ndarray, goal: Goal) -> float:
    """The threshold with the best F1 or accuracy, half way to the next lower score: on the score itself it would stand
    at the very edge of what it was chosen on. Of several with the same figure the middle one."""
    scores_M = np.append(np.unique(np.concatenate([ill, well])), np.inf)  # the last flags nobody
    found_M = len(ill) - np.searchsorted(ill[::-1], scores_M)
    alarms_M = len(well) - np.searchsorted(well, scores_M)
    f1_M = 2 * found_M / (found_M + alarms_M + len(ill))
    worth_M = f1_M if goal.kind == "f1" else found_M - alarms_M  # the latter grows with the accuracy
    best_K = np.flatnonzero(worth_M == worth_M.max())
    at = int(best_K[len(best_K) // 2])
    return float(scores_M[max(at - 1, 0) : at + 1].mean())


def per_thousand(sensitivity: float, specificity: float, prevalence: float) -> Screened:
    """What a test does to 1,000 people who are screened.

    Parameters
    ----------
    sensitivity, specificity : float
        Of the test, 0..1.
    prevalence : float
        Which share of the people is ill, above 0 and below 1.

    Returns
    -------
    Screened
        Numbers of people, on average.

    Raises
    ------
    ValueError
        The prevalence is not between 0 and 1.

    Examples
    --------
    >>> at = per_thousand(sensitivity=0.9, specificity=0.8, prevalence=0.02)
    >>> round(at.found), round(at.missed), round(at.false_alarms), round(at.per_found, 1)
    (18, 2, 196, 11.9)
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"a prevalence lies between 0 and 1, not {prevalence}")
    ill = 1000 * prevalence
    found, false_alarms = ill * sensitivity, (1000 - ill) * (1 - specificity)
    recalled = found + false_alarms
    return Screened(found, ill - found, false_alarms, recalled / found if found else math.inf)
