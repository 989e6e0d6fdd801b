"""Strategies that take from every predicted class in turn."""

from __future__ import annotations

import math

import numpy as np

from al_cxr.strategies.base import Choice, Share, strategy
from al_cxr.strategies.power import UNIT, Beta, power_noise
from al_cxr.strategies.statistics import PoolStatistics, entropy


def in_turn(groups_N: np.ndarray, before_N: np.ndarray, held_G: np.ndarray) -> np.ndarray:
    """All positions, ordered so that every prefix levels the groups as far as it can.

    The next one always comes from the group that holds fewest; groups hold `held_G` before the first. Inside a group,
    and between groups that hold equally many, the one with the smaller `before_N` comes first. O(N log N).
    """
    order = np.lexsort((before_N, groups_N))
    starts_G = np.searchsorted(groups_N[order], np.arange(len(held_G)))
    rank_N = np.empty(len(groups_N), np.int64)
    rank_N[order] = np.arange(len(groups_N)) - starts_G[groups_N[order]]
    return np.lexsort((before_N, held_G[groups_N] + rank_N))


@strategy("stratified_random", needs="probs")
def stratified_random(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Uniformly at random inside each predicted class, equally many of each; where one runs out the others fill up.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> pool = PoolStatistics(np.arange(4), probs_NC=np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]]))
    >>> 3 in select("stratified_random", pool, 2, np.random.default_rng(0)).indices
    True
    """
    assert statistics.probs_NC is not None
    empty_C = np.zeros(statistics.probs_NC.shape[1], np.int64)
    return Choice(in_turn(statistics.probs_NC.argmax(axis=1), rng.random(len(statistics)), empty_C)[:n], None, "")


@strategy("class_balanced", needs="probs")
def class_balanced(
    statistics: PoolStatistics,
    n: int,
    rng: np.random.Generator,
    *,
    share: Share = 2 / 3,
    first_beta: Beta = 1.0,
    last_beta: Beta = 100.0,
) -> Choice:
    """Two thirds of the query by predicted class, the rest from all classes; noisy entropy decides, ever less noisy.

    After ClaSP PE, class-stratified scheduled power predictive entropy, which was published for segmentation as the one
    strategy that beats improved random baselines. Here, exactly:

    1. Every image gets log entropy of its softmax + Gumbel noise / beta (`power_noise`). beta grows geometrically from
       `first_beta` in the first query to `last_beta` in the last, so that early batches are mixed and late ones greedy.
       With less than two queries it stays `first_beta`.
    2. ceil(share * n) images are taken class by class: always the noisiest-largest of the predicted class of which
       fewest are labelled or taken, so the rarest class among the labelled comes first. A class that no image is
       predicted as any more is passed over.
    3. The rest are the largest of all that remain.

    ClaSP PE takes the same number of every class and the entropy of an ensemble's mean. Counting what is labelled is
    the aim of Bengar et al. 2022; one softmax also serves networks without dropout. The chosen ones stand in the order
    of their noisy score.

    Parameters
    ----------
    share : float
        0..1; of the query, chosen class by class.
    first_beta, last_beta : float
        Above 0; one over the scale of the noise in the first and in the last query. At 100 there is next to none.

    References
    ----------
    Lüth, Traub et al. 2026, https://arxiv.org/abs/2601.13677; Bengar et al. 2022, https://arxiv.org/abs/2110.04543.

    Examples
    --------
    Of the second class none is labelled yet.

    >>> from al_cxr.strategies import select
    >>> probs_NC = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]])
    >>> pool = PoolStatistics(np.arange(3), probs_NC=probs_NC, labelled_labels_M=np.array([0, 0]))
    >>> select("class_balanced", pool, 1, np.random.default_rng(0), share=1).indices
    array([2])
    """
    assert statistics.probs_NC is not None
    progress = statistics.round / (statistics.rounds - 1) if statistics.rounds > 1 else 0.0
    beta = first_beta * (last_beta / first_beta) ** min(progress, 1.0)
    noised_N = power_noise(entropy(statistics.probs_NC), beta, rng)
    labels_M = np.empty(0, np.int64) if statistics.labelled_labels_M is None else statistics.labelled_labels_M
    held_C = np.bincount(labels_M, minlength=statistics.probs_NC.shape[1])
    by_class = in_turn(statistics.probs_NC.argmax(axis=1), -noised_N, held_C)
    first = math.ceil(share * n)
    rest = by_class[first:]
    rest = rest[np.argsort(-noised_N[rest], kind="stable")][: n - first]
    chosen = np.concatenate([by_class[:first], rest])
    chosen = chosen[np.argsort(-noised_N[chosen], kind="stable")]
    return Choice(chosen, noised_N[chosen], UNIT)
