"""A promise about the present model: its figure reaches a target, and in 95 % of projects no such promise is wrong.

A model that is trained on between answers makes hundreds of models in a project, and each may look good by luck on the
audit of the moment. If one stops at the first that does, the promise is wrong far more often than 5 %. So models sit
*exams*, at a few sizes of the audit that are laid down before the project: 5 % is shared out evenly between them, and
only the model of that moment sits, with an exact one-sided bound. By the union bound at most 5 % of projects give out
any wrong certificate, however often the model changes and whatever the models have in common. What this takes:

- The model has learned nothing from the audit: no label of it trained the model, chose a threshold or an architecture.
  An audit result that made somebody change the training is such a lesson.
- The audit is drawn as `al_cxr.evaluation.audit` says, one image a patient.
- Sizes count images of the figure's own kind: audited images for the accuracy, ill ones for the sensitivity, blocks for
  the AUC. They do not depend on what a model answered.

A certificate names its model. The next model has none until it has passed an exam of its own. Several targets that must
all be reached need no correction: to be wrong at all, one of them must be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from al_cxr.evaluation.intervals import LEVEL, clopper_pearson
from al_cxr.evaluation.sequences import bounded_mean

GROWTH = 1.5
"""Each exam is of about this many times the images of the one before."""
POWER = 0.8


@dataclass(frozen=True)
class Exams:
    """When a model is examined for one target."""

    target: float
    """What the figure must reach, 0..1."""
    sizes: tuple[int, ...]
    """Images of the figure's kind, ascending; empty where even a model that is always right could not pass."""
    error: float
    """The part of 1 - level that each exam may be wrong with."""


@dataclass(frozen=True)
class Result:
    """An exam that was sat."""

    size: int
    value: float
    low: float
    """The figure is at least that, with the exam's part of the error."""
    passed: bool


def exams(target: float, most: int, level: float = LEVEL, growth: float = GROWTH) -> Exams:
    """Lay down the sizes at which models are examined.

    The first is the smallest that can be passed at all, the last is `most`.

    Parameters
    ----------
    target : float
        What accuracy, sensitivity, specificity or AUC must reach, in 0..1.
    most : int
        Images of that kind that the audit can have in the end. All patients that are kept for it are never too few,
        whatever the figure; fewer, as the ill that are expected, make each exam a little easier. It must be laid down
        before the first audit answer.
    level : float
        How many projects give out no wrong certificate of this target, at least.
    growth : float
        Each exam's images by those of the one before, about; above 1.

    Returns
    -------
    Exams
        The sizes, and the error that each has.

    Raises
    ------
    ValueError
        The target is not within 0..1.

    Examples
    --------
    >>> exams(0.90, most=300)
    Exams(target=0.9, sizes=(46, 67, 97, 142, 206, 300), error=0.008333333333333333)
    """
    if not 0 < target < 1:
        raise ValueError(f"a target to reach lies within 0..1, not {target}")
    alpha = round(1 - level, 12)
    for count in range(1, most + 1):
        # All right passes from target^n <= alpha / count on.
        first = int(np.ceil(np.log(alpha / count) / np.log(target)))
        sizes = _sizes(first, most, growth)
        if len(sizes) <= count:
            return Exams(target, sizes, alpha / max(1, len(sizes)))
    return Exams(target, (), 0.0)


def _sizes(first: int, most: int, growth: float) -> tuple[int, ...]:
    if first > most:
        return ()
    steps = max(1, round(np.log(most / first) / np.log(growth)))
    return tuple(sorted({round(size) for size in np.geomspace(first, most, steps + 1)}))


def due(plan: Exams, images: int, sat: int = 0) -> int | None:
    """The exam (its size) that is to be sat now, with so many images of the figure's kind audited and the last exam
    having been of `sat`; None before the next. Of several that came due at once the largest is sat."""
    ready = [size for size in plan.sizes if sat < size <= images]
    return max(ready, default=None)


def sit(plan: Exams, size: int, values_T: np.ndarray) -> Result:
    """Examine the present model.

    Parameters
    ----------
    plan : Exams
        As laid down by `exams`.
    size : int
        Of the exam, which is `due`.
    values_T : array, shape (T,)
        Of the audit images of the figure's kind, in the order of asking: whether this model answers rightly (bool), or
        the AUC of blocks (`al_cxr.evaluation.audit.block_areas`). The first `size` of them are looked at.

    Returns
    -------
    Result
        With the exact bound of Clopper and Pearson, or for blocks the one of `sequences.bounded_mean`.

    Raises
    ------
    ValueError
        The exam is none of the plan's, or there are fewer images.

    Examples
    --------
    >>> sit(exams(0.90, most=300), 97, np.arange(97) > 1).passed
    True
    """
    if size not in plan.sizes or len(values_T) < size:
        raise ValueError(f"{len(values_T)} images cannot sit the exam of {size}; there are {plan.sizes}")
    values_T = np.asarray(values_T)[:size]
    if values_T.dtype == bool:
        low = clopper_pearson(int(values_T.sum()), size, 1 - 2 * plan.error)[0]
    else:
        low = bounded_mean(values_T, 1 - 2 * plan.error)[0]
    return Result(size, float(values_T.mean()), low, low >= plan.target)


def chance(plan: Exams, truth: float) -> tuple[float, ...]:
    """How likely a model whose figure is `truth` is to have passed by each exam, if it stays the same (exactly, of
    images that are right or wrong).

    Examples
    --------
    >>> [round(found, 2) for found in chance(exams(0.80, most=500), truth=0.90)]
    [0.08, 0.13, 0.22, 0.5, 0.75, 0.94, 0.99, 1.0]
    """
    passed, found, before = 0.0, [], 0
    open_H = np.ones(1)
    for size in plan.sizes:
        new = size - before
        open_H = np.convolve(open_H, binom.pmf(np.arange(new + 1), new, truth))
        needed = _needed(plan, size)
        if needed is not None:
            passed += float(open_H[needed:].sum())
            open_H[needed:] = 0
        found.append(passed)
        before = size
    return tuple(found)


def images_until_passed(plan: Exams, truth: float, power: float = POWER) -> int | None:
    """How many images a certificate takes if the truth were known: what to plan an audit by.

    Parameters
    ----------
    plan : Exams
        For the target.
    truth : float
        The figure that the model has, 0..1.
    power : float
        How likely it is to have passed by then, at least, 0..1.

    Returns
    -------
    int or None
        Images of the figure's kind, so of the sensitivity ill ones: divide by the prevalence for audit questions. None
        where the plan has not so many.

    Examples
    --------
    >>> plan = exams(0.80, most=500)
    >>> [images_until_passed(plan, truth) for truth in (0.85, 0.90, 0.95)]
    [None, 210, 88]
    """
    likely = zip(plan.sizes, chance(plan, truth), strict=True)
    return next((size for size, passed in likely if passed >= power), None)


def _needed(plan: Exams, size: int) -> int | None:
    """Right answers that pass an exam."""
    # That many or more have at the target itself a probability of the exam's error at most.
    needed = int(binom.isf(plan.error, size, plan.target)) + 1
    return needed if needed <= size else None


def elusion_bound(ill: int, audited: int, level: float = LEVEL) -> float:
    """At most so large a share of the images that the model calls free of the target shows it, at one planned look;
    `ill` of `audited` did. Of none in n that is near 3 / n (Hanley, Lippman-Hand 1983, JAMA 249)."""
    return clopper_pearson(ill, audited, 2 * level - 1)[1]
