"""Uncertainty about the target class alone: is it this class or not? Which of the others it is does not count.

With two classes each of these orders the pool as its plain namesake does (margin, entropy, mc_entropy, bald).
"""

from __future__ import annotations

import numpy as np

from al_cxr.strategies.base import Choice, strategy
from al_cxr.strategies.basic import largest
from al_cxr.strategies.statistics import PoolStatistics, entropy


def target_of(statistics: PoolStatistics, classes: int) -> int:
    """Position of the target class; ValueError where none is known or where it is none of the classes."""
    if statistics.target is None:
        raise ValueError(
            "a class-targeted strategy needs the target class; give score_pool its position, such as target=1"
        )
    if not 0 <= statistics.target < classes:
        raise ValueError(f"target {statistics.target} is none of {classes} classes")
    return statistics.target


def target_margins(statistics: PoolStatistics) -> np.ndarray:
    """One minus the distance of P(target) from the largest other probability, (N,), 0..1: 1 on the boundary."""
    assert statistics.probs_NC is not None
    target = target_of(statistics, statistics.probs_NC.shape[1])
    rival_N = np.delete(statistics.probs_NC, target, axis=1).max(axis=1, initial=0)
    margins_N: np.ndarray = 1 - np.abs(statistics.probs_NC[:, target] - rival_N)
    return margins_N


def _binary(probs: np.ndarray, target: int) -> np.ndarray:
    """Entropy of "is it the target?", nats: (..., C) -> (...)."""
    yes = np.asarray(probs[..., target], np.float64)
    return entropy(np.stack([yes, np.maximum(1 - yes, 0)], axis=-1))


@strategy("target_margin", needs="probs")
def target_margin(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Nearest to the decision boundary between the target class and its strongest rival; margin of these two, 0..1.

    Unlike "margin", an image that is undecided between two other classes scores low.

    References
    ----------
    This project's own; "margin" of Settles, "Active Learning Literature Survey" (2009), asked of one class.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> probs_NC = np.array([[0.5, 0.5, 0.0], [0.5, 0.1, 0.4]])
    >>> pool = PoolStatistics(np.arange(2), probs_NC=probs_NC, target=2)
    >>> select("target_margin", pool, 2, np.random.default_rng(0)).indices
    array([1, 0])
    """
    return largest(target_margins(statistics), n, rng, "1 - margin")


@strategy("target_entropy", needs="probs")
def target_entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Binary entropy of the softmax probability of the target, 0..log 2 nats: nearest to P(target) = 0.5 first.

    References
    ----------
    This project's own; "entropy" of Settles, "Active Learning Literature Survey" (2009), asked of one class.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> probs_NC = np.array([[0.3, 0.3, 0.4], [0.5, 0.5, 0.0]])
    >>> pool = PoolStatistics(np.arange(2), probs_NC=probs_NC, target=2)
    >>> select("target_entropy", pool, 1, np.random.default_rng(0)).indices
    array([0])
    """
    assert statistics.probs_NC is not None
    target = target_of(statistics, statistics.probs_NC.shape[1])
    return largest(_binary(statistics.probs_NC, target), n, rng, "nats")


@strategy("mc_target_entropy", needs="mc", race="target_entropy")
def mc_target_entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Binary entropy of the mean probability of the target over the passes, 0..log 2 nats.

    References
    ----------
    This project's own; "mc_entropy" of Gal et al. 2017, https://arxiv.org/abs/1703.02910, asked of one class.

    Examples
    --------
    >>> import dataclasses
    >>> from al_cxr.strategies import member_statistics, select
    >>> probs_TNC = np.array([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.9]]])
    >>> pool = dataclasses.replace(member_statistics(np.arange(2), probs_TNC), target=1)
    >>> select("mc_target_entropy", pool, 1, np.random.default_rng(0)).indices
    array([1])
    """
    assert statistics.mean_probs_NC is not None
    target = target_of(statistics, statistics.mean_probs_NC.shape[1])
    return largest(_binary(statistics.mean_probs_NC, target), n, rng, "nats")


@strategy("mc_target_bald", needs="votes")
def mc_target_bald(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Mutual information of "is it the target?" and the weights, 0..log 2 nats: "bald" of that question.

    Images that every pass finds equally undecidable score 0, however near the boundary they are.

    References
    ----------
    This project's own; BALD of Houlsby et al. 2011, https://arxiv.org/abs/1112.5745, asked of one class.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> probs_NTC = np.array([[[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.1], [0.1, 0.9]]])
    >>> pool = PoolStatistics(np.arange(2), pass_probs_NTC=probs_NTC, target=1)
    >>> select("mc_target_bald", pool, 2, np.random.default_rng(0)).scores.round(3)
    array([0.368, 0.   ])
    """
    assert statistics.pass_probs_NTC is not None
    probs_NTC = statistics.pass_probs_NTC
    target = target_of(statistics, probs_NTC.shape[2])
    mean_NC = probs_NTC.mean(axis=1, dtype=np.float64)
    information_N = _binary(mean_NC, target) - _binary(probs_NTC, target).mean(axis=1)
    return largest(np.maximum(information_N, 0), n, rng, "nats")
