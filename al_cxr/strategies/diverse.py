"""Strategies that spread a batch over the features (the input of the last linear layer)."""

from __future__ import annotations

import numpy as np

from al_cxr.strategies.base import Choice, Count, strategy, top_n
from al_cxr.strategies.basic import margins
from al_cxr.strategies.points import Points, centred
from al_cxr.strategies.spread import k_centre, k_means_seeds
from al_cxr.strategies.statistics import PoolStatistics
from al_cxr.strategies.targeted import target_margins


@strategy("coreset", needs="features")
def coreset(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """k-centre greedy: always the image whose features are farthest from all labelled and chosen ones.

    The score is that Euclidean distance. Without labelled images it starts anywhere, and the first score is the
    distance of the image farthest from there. In a pool of more than 20,000 images distances are computed only where
    they can still matter, which chooses the same images but for rounding.

    References
    ----------
    Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach" (2018),
    https://arxiv.org/abs/1708.00489.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> features_NK = np.array([[0.0, 0.0], [0.1, 0.0], [3.0, 4.0]])
    >>> pool = PoolStatistics(np.arange(3), features_NK=features_NK, labelled_features_MK=np.zeros((1, 2)))
    >>> select("coreset", pool, 1, np.random.default_rng(0)).scores
    array([5.])
    """
    assert statistics.features_NK is not None
    points, labelled = centred(statistics.features_NK, statistics.labelled_features_MK)
    positions, squared_radii = k_centre(points, labelled, n, rng)
    return Choice(positions, np.sqrt(squared_radii), "distance")


def gradients(probs_NC: np.ndarray, features_NK: np.ndarray) -> Points:
    """Gradient embeddings (p - onehot(argmax p)) (x) features."""
    return Points((probs_NC - np.eye(probs_NC.shape[1])[probs_NC.argmax(axis=1)], features_NK))


@strategy("badge", needs={"probs", "features"})
def badge(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Seeds of k-means++ among gradient embeddings.

    An embedding is the gradient of the last layer's weights if the predicted class were true: long where the network
    is uncertain. The first is the longest, as in the authors' code. In a pool of more than 20,000 images the draws are
    by rejection: from the same distribution, by other random numbers.

    References
    ----------
    Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds" (2020),
    https://arxiv.org/abs/1906.03671.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> probs_NC = np.array([[1.0, 0.0], [0.6, 0.4], [0.5, 0.5]])
    >>> pool = PoolStatistics(np.arange(3), probs_NC=probs_NC, features_NK=np.ones((3, 2)))
    >>> select("badge", pool, 2, np.random.default_rng(0)).indices
    array([2, 0])
    """
    assert statistics.probs_NC is not None and statistics.features_NK is not None
    embedded = gradients(statistics.probs_NC, statistics.features_NK)
    first = int(top_n(embedded.norms_N, 1, rng)[0])
    return Choice(k_means_seeds(embedded, first, n, rng), None, "")


def _uncertain_and_spread(
    statistics: PoolStatistics, scores_N: np.ndarray, n: int, rng: np.random.Generator, candidates: int
) -> Choice:
    """Of the `candidates` * n largest scores: the largest, then k-means++ in features weighted by the score."""
    assert statistics.features_NK is not None
    best = top_n(scores_N, candidates * n, rng)
    points, _ = centred(statistics.features_NK[best])
    chosen = best[k_means_seeds(points, 0, n, rng, scores_N[best])]
    chosen = chosen[np.argsort(-scores_N[chosen], kind="stable")]
    return Choice(chosen, scores_N[chosen], "1 - margin")


@strategy("margin_diverse", needs={"probs", "features"})
def margin_diverse(statistics: PoolStatistics, n: int, rng: np.random.Generator, *, candidates: Count = 4) -> Choice:
    """Among the images with the smallest softmax margins, n that are far apart.

    Uncertain first and diverse second, as in Cluster-Margin, with features weighted by uncertainty as in Zhdanov 2019;
    their clusterings are replaced by the seeding of k-means++, O(n N). The chosen ones stand in the order of their
    margin.

    Parameters
    ----------
    candidates : int
        It chooses among this many times n images. The 4 is this project's: a query of 10 % of the pool then looks at
        40 % of it.

    References
    ----------
    Citovsky et al. 2021, https://arxiv.org/abs/2107.14263; Zhdanov 2019, https://arxiv.org/abs/1901.05954.

    Examples
    --------
    The first two are copies of each other.

    >>> from al_cxr.strategies import select
    >>> probs_NC = np.array([[0.5, 0.5], [0.5, 0.5], [0.6, 0.4], [1.0, 0.0]])
    >>> pool = PoolStatistics(np.arange(4), probs_NC=probs_NC, features_NK=np.array([[0.0], [0.0], [1.0], [2.0]]))
    >>> 2 in select("margin_diverse", pool, 2, np.random.default_rng(0)).indices
    True
    """
    assert statistics.probs_NC is not None
    return _uncertain_and_spread(statistics, margins(statistics.probs_NC), n, rng, candidates)


@strategy("target_diverse", needs={"probs", "features"})
def target_diverse(statistics: PoolStatistics, n: int, rng: np.random.Generator, *, candidates: Count = 4) -> Choice:
    """Among the images nearest to the boundary of the target class, n that are far apart.

    "margin_diverse" with the score of "target_margin".

    Parameters
    ----------
    candidates : int
        It chooses among this many times n images.

    References
    ----------
    As of "margin_diverse"; this project's own combination.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> probs_NC = np.array([[0.5, 0.5], [0.5, 0.5], [0.6, 0.4], [1.0, 0.0]])
    >>> features_NK = np.array([[0.0], [0.0], [1.0], [2.0]])
    >>> pool = PoolStatistics(np.arange(4), probs_NC=probs_NC, features_NK=features_NK, target=1)
    >>> 2 in select("target_diverse", pool, 2, np.random.default_rng(0)).indices
    True
    """
    return _uncertain_and_spread(statistics, target_margins(statistics), n, rng, candidates)
