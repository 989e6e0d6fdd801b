"""Strategies that need one number an image: chance, and the classical uncertainties.

Softmax uncertainties (Settles 2009, section 3.1) use one deterministic prediction; the Monte-Carlo ones use
T sampled networks (Gal et al. 2017, https://arxiv.org/abs/1703.02910).
"""

from __future__ import annotations

import numpy as np
from scipy.special import entr

from al_cxr.strategies.registry import Choice, strategy, top_n
from al_cxr.strategies.statistics import PoolStatistics


def largest(scores_N: np.ndarray | None, n: int, rng: np.random.Generator, unit: str) -> Choice:
    """The n largest scores, ties by chance."""
    assert scores_N is not None  # `select` has checked that what is needed is there
    positions = top_n(scores_N, n, rng)
    return Choice(positions, scores_N[positions], unit)


def margins(probs_NC: np.ndarray) -> np.ndarray:
    """One minus the difference of the two largest probabilities, (N,), 0..1; 0 where there is one class only."""
    if probs_NC.shape[1] == 1:
        return np.zeros(len(probs_NC))
    two_N2 = np.partition(probs_NC, -2, axis=1)[:, -2:]
    return 1 - (two_N2[:, 1] - two_N2[:, 0])


@strategy("random")
def random(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Uniformly at random, without a look at the images: the arm that all others are judged by."""
    return Choice(rng.permutation(len(statistics))[:n], None, "")


@strategy("entropy", needs="probs")
def entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Entropy of the softmax, 0..log C."""
    return largest(entr(statistics.probs_NC).sum(axis=1), n, rng, "nats")


@strategy("margin", needs="probs")
def margin(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """One minus the difference of the two largest softmax probabilities, 0..1."""
    assert statistics.probs_NC is not None
    return largest(margins(statistics.probs_NC), n, rng, "1 - margin")


@strategy("least_confident", needs="probs")
def least_confident(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """One minus the largest softmax probability, 0..1 - 1/C."""
    assert statistics.probs_NC is not None
    return largest(1 - statistics.probs_NC.max(axis=1), n, rng, "1 - probability")


@strategy("mc_entropy", needs="mc", race="predictive_entropy")
def mc_entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Entropy of the mean probability over the passes, 0..log C."""
    return largest(statistics.predictive_entropy_N, n, rng, "nats")


@strategy("bald", needs="mc", race="mutual_information")
def bald(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Mutual information of label and weights, 0..log C (Houlsby et al. 2011)."""
    return largest(statistics.mutual_information_N, n, rng, "nats")


@strategy("variation_ratio", needs="mc")
def variation_ratio(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Share of the passes that disagree with the majority, 0..1 - 1/C; ties are many."""
    return largest(statistics.variation_ratio_N, n, rng, "share of passes")


@strategy("mean_std", needs="mc")
def mean_std(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Standard deviation of a class probability over the passes, mean over classes, 0..0.5."""
    return largest(statistics.mean_std_N, n, rng, "probability")
