"""Strategies that need one number an image: chance, and the classical uncertainties.

Softmax uncertainties (Settles 2009, section 3.1) use one deterministic prediction; the Monte-Carlo ones use
T sampled networks (Gal et al. 2017, https://arxiv.org/abs/1703.02910).
"""

from __future__ import annotations

import numpy as np
from scipy.special import entr

from al_cxr.statistics import PoolStatistics
from al_cxr.strategies.registry import Choice, strategy, top_n


def _largest(scores_N: np.ndarray | None, n: int, rng: np.random.Generator, unit: str) -> Choice:
    assert scores_N is not None  # `select` has checked that what is needed is there
    positions = top_n(scores_N, n, rng)
    return Choice(positions, scores_N[positions], unit)


@strategy("random")
def random(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Uniformly at random, without a look at the images: the arm that all others are judged by."""
    return Choice(rng.permutation(len(statistics))[:n], None, "")


@strategy("entropy", needs="probs")
def entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Entropy of the softmax, 0..log C."""
    return _largest(entr(statistics.probs_NC).sum(axis=1), n, rng, "nats")


@strategy("margin", needs="probs")
def margin(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """One minus the difference of the two largest softmax probabilities, 0..1."""
    assert statistics.probs_NC is not None
    if statistics.probs_NC.shape[1] == 1:
        return _largest(np.zeros(len(statistics)), n, rng, "1 - margin")
    largest = np.partition(statistics.probs_NC, -2, axis=1)
    return _largest(1 - (largest[:, -1] - largest[:, -2]), n, rng, "1 - margin")


@strategy("least_confident", needs="probs")
def least_confident(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """One minus the largest softmax probability, 0..1 - 1/C."""
    assert statistics.probs_NC is not None
    return _largest(1 - statistics.probs_NC.max(axis=1), n, rng, "1 - probability")


@strategy("mc_entropy", needs="mc")
def mc_entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Entropy of the mean probability over the passes, 0..log C."""
    return _largest(statistics.predictive_entropy_N, n, rng, "nats")


@strategy("bald", needs="mc")
def bald(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Mutual information of label and weights, 0..log C (Houlsby et al. 2011)."""
    return _largest(statistics.mutual_information_N, n, rng, "nats")


@strategy("variation_ratio", needs="mc")
def variation_ratio(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Share of the passes that disagree with the majority, 0..1 - 1/C; ties are many."""
    return _largest(statistics.variation_ratio_N, n, rng, "share of passes")


@strategy("mean_std", needs="mc")
def mean_std(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Standard deviation of a class probability over the passes, mean over classes, 0..0.5."""
    return _largest(statistics.mean_std_N, n, rng, "probability")
