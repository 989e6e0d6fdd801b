"""Strategies that need one number an image: chance, and the classical uncertainties.

Softmax uncertainties use one deterministic prediction p of C classes; the Monte-Carlo ones use T sampled networks,
whose predictions are p_t and their mean p.
"""

from __future__ import annotations

import numpy as np
from scipy.special import entr

from al_cxr.strategies.base import Choice, strategy, top_n
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
    """Uniformly at random, without a look at the images: the arm that all others are judged by.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> sorted(select("random", PoolStatistics(np.arange(3)), 3, np.random.default_rng(0)).indices.tolist())
    [0, 1, 2]
    """
    return Choice(rng.permutation(len(statistics))[:n], None, "")


@strategy("entropy", needs="probs")
def entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Largest entropy of the softmax, -sum_c p_c log p_c, 0..log C nats.

    References
    ----------
    Settles, "Active Learning Literature Survey" (2009), section 3.1.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> pool = PoolStatistics(np.arange(3), probs_NC=np.array([[0.9, 0.1], [0.5, 0.5], [0.4, 0.6]]))
    >>> select("entropy", pool, 2, np.random.default_rng(0)).indices
    array([1, 2])
    """
    return largest(entr(statistics.probs_NC).sum(axis=1), n, rng, "nats")


@strategy("margin", needs="probs")
def margin(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Smallest difference of the two largest softmax probabilities; the score is one minus it, 0..1.

    References
    ----------
    Settles, "Active Learning Literature Survey" (2009), section 3.1.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> pool = PoolStatistics(np.arange(2), probs_NC=np.array([[0.5, 0.3, 0.2], [0.45, 0.45, 0.1]]))
    >>> select("margin", pool, 2, np.random.default_rng(0)).scores.round(2)
    array([1. , 0.8])
    """
    assert statistics.probs_NC is not None
    return largest(margins(statistics.probs_NC), n, rng, "1 - margin")


@strategy("least_confident", needs="probs")
def least_confident(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Smallest probability of the predicted class; the score is one minus it, 0..1 - 1/C.

    References
    ----------
    Settles, "Active Learning Literature Survey" (2009), section 3.1.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> pool = PoolStatistics(np.arange(2), probs_NC=np.array([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3]]))
    >>> select("least_confident", pool, 1, np.random.default_rng(0)).scores
    array([0.6])
    """
    assert statistics.probs_NC is not None
    return largest(1 - statistics.probs_NC.max(axis=1), n, rng, "1 - probability")


@strategy("mc_entropy", needs="mc", race="predictive_entropy")
def mc_entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Largest entropy of the mean probability over the passes, 0..log C nats.

    References
    ----------
    Gal, Islam and Ghahramani, "Deep Bayesian Active Learning with Image Data" (2017), https://arxiv.org/abs/1703.02910.

    Examples
    --------
    >>> from al_cxr.strategies import member_statistics, select
    >>> probs_TNC = np.array([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.9]]])
    >>> select("mc_entropy", member_statistics(np.arange(2), probs_TNC), 1, np.random.default_rng(0)).indices
    array([1])
    """
    return largest(statistics.predictive_entropy_N, n, rng, "nats")


@strategy("bald", needs="mc", race="mutual_information")
def bald(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Largest mutual information of label and weights: entropy of the mean minus mean of the entropies, 0..log C nats.

    References
    ----------
    Houlsby et al., "Bayesian Active Learning for Classification and Preference Learning" (2011),
    https://arxiv.org/abs/1112.5745.

    Examples
    --------
    The passes agree that nothing can be said of the first image, and contradict each other on the second.

    >>> from al_cxr.strategies import member_statistics, select
    >>> probs_TNC = np.array([[[0.5, 0.5], [0.9, 0.1]], [[0.5, 0.5], [0.1, 0.9]]])
    >>> select("bald", member_statistics(np.arange(2), probs_TNC), 2, np.random.default_rng(0)).scores.round(3)
    array([0.368, 0.   ])
    """
    return largest(statistics.mutual_information_N, n, rng, "nats")


@strategy("variation_ratio", needs="mc")
def variation_ratio(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Largest share of the passes that disagree with the majority, 0..1 - 1/C; ties are many.

    References
    ----------
    Freeman, "Elementary Applied Statistics" (1965); Gal et al. 2017, https://arxiv.org/abs/1703.02910.

    Examples
    --------
    >>> from al_cxr.strategies import member_statistics, select
    >>> probs_TNC = np.array([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.9]]])
    >>> select("variation_ratio", member_statistics(np.arange(2), probs_TNC), 1, np.random.default_rng(0)).scores
    array([0.5])
    """
    return largest(statistics.variation_ratio_N, n, rng, "share of passes")


@strategy("mean_std", needs="mc")
def mean_std(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Largest standard deviation of a class probability over the passes, mean over classes, 0..0.5.

    References
    ----------
    Kampffmeyer et al. 2016; Gal et al. 2017, https://arxiv.org/abs/1703.02910.

    Examples
    --------
    >>> from al_cxr.strategies import member_statistics, select
    >>> probs_TNC = np.array([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.9]]])
    >>> select("mean_std", member_statistics(np.arange(2), probs_TNC), 1, np.random.default_rng(0)).scores
    array([0.4])
    """
    return largest(statistics.mean_std_N, n, rng, "probability")
