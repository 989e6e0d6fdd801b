"""Strategies that take from every predicted class in turn."""

from __future__ import annotations

import math

import numpy as np

from al_cxr.strategies.power import UNIT, power_noise
from al_cxr.strategies.registry import Choice, strategy
from al_cxr.strategies.statistics import PoolStatistics, entropy

CLASS_SHARE = 2 / 3
"""Of a class_balanced query, chosen class by class."""
LAST_BETA = 100.0
"""Of class_balanced in its last query; Gumbel noise of scale 1 / 100 on log scores is next to none."""


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
    """Uniformly at random inside each predicted class, equally many of each; where one runs out the others fill up."""
    assert statistics.probs_NC is not None
    empty_C = np.zeros(statistics.probs_NC.shape[1], np.int64)
    return Choice(in_turn(statistics.probs_NC.argmax(axis=1), rng.random(len(statistics)), empty_C)[:n], None, "")


@strategy("class_balanced", needs="probs")
def class_balanced(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Two thirds of the query by predicted class, the rest from all classes; noisy entropy decides, ever less noisy.

    After ClaSP PE (Lüth, Traub et al. 2026, https://arxiv.org/abs/2601.13677), class-stratified scheduled power
    predictive entropy, which was published for segmentation as the one strategy that beats improved random baselines.
    Here, exactly:

    1. Every image gets log entropy of its softmax + Gumbel noise / beta (`power_noise`). beta grows geometrically from
       1 in the first query to LAST_BETA in the last, so that early batches are mixed and late ones greedy. With less
       than two queries it stays 1.
    2. ceil(CLASS_SHARE * n) images are taken class by class: always the noisiest-largest of the predicted class of
       which fewest are labelled or taken, so the rarest class among the labelled comes first. A class that no image
       is predicted as any more is passed over.
    3. The rest are the largest of all that remain.

    ClaSP PE takes the same number of every class and the entropy of an ensemble's mean. Counting what is labelled is
    the aim of Bengar et al. 2022 (https://arxiv.org/abs/2110.04543); one softmax also serves networks without dropout.
    The chosen ones stand in the order of their noisy score.
    """
    assert statistics.probs_NC is not None
    progress = statistics.round / (statistics.rounds - 1) if statistics.rounds > 1 else 0.0
    noised_N = power_noise(entropy(statistics.probs_NC), LAST_BETA ** min(progress, 1.0), rng)
    labels_M = np.empty(0, np.int64) if statistics.labelled_labels_M is None else statistics.labelled_labels_M
    held_C = np.bincount(labels_M, minlength=statistics.probs_NC.shape[1])
    by_class = in_turn(statistics.probs_NC.argmax(axis=1), -noised_N, held_C)
    share = math.ceil(CLASS_SHARE * n)
    rest = by_class[share:]
    rest = rest[np.argsort(-noised_N[rest], kind="stable")][: n - share]
    chosen = np.concatenate([by_class[:share], rest])
    chosen = chosen[np.argsort(-noised_N[chosen], kind="stable")]
    return Choice(chosen, noised_N[chosen], UNIT)
