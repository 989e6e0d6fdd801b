"""TypiClust: the typical images of clusters that hold no label yet, for a start from few labels or none."""

from __future__ import annotations

import warnings

import numpy as np

from al_cxr.strategies.balanced import in_turn
from al_cxr.strategies.base import Choice, Count, strategy
from al_cxr.strategies.statistics import PoolStatistics


@strategy("typiclust", needs="features")
def typiclust(
    statistics: PoolStatistics,
    n: int,
    rng: np.random.Generator,
    *,
    clusters: Count = 500,
    neighbours: Count = 20,
    smallest: Count = 5,
) -> Choice:
    """The most typical image of the largest clusters without labels.

    Labelled and unlabelled features, scaled to length 1, fall into min(labelled + n, `clusters`) k-means clusters. The
    next image always comes from the cluster with the fewest labelled or chosen ones, among these from the largest, and
    is its most typical: the smallest mean distance to its `neighbours` nearest unlabelled images there.

    Parameters
    ----------
    clusters : int
        Most clusters.
    neighbours : int
        An image is typical where its distances to this many of its cluster are small.
    smallest : int
        Clusters of fewer images are outliers and come last.

    References
    ----------
    Hacohen, Dekel and Weinshall, "Active Learning on a Budget" (2022), https://arxiv.org/abs/2202.02794.

    Examples
    --------
    >>> from al_cxr.strategies import select
    >>> features_NK = np.repeat([[1.0, 0.0], [0.0, 1.0]], 5, axis=0)
    >>> pool = PoolStatistics(np.arange(10), features_NK=features_NK)
    >>> chosen = select("typiclust", pool, 2, np.random.default_rng(0)).indices
    >>> (chosen >= 5).sum()
    np.int64(1)
    """
    assert statistics.features_NK is not None
    labelled_MK = statistics.labelled_features_MK
    features_NK = statistics.features_NK
    both = [features_NK] if labelled_MK is None else [features_NK, labelled_MK]
    every_NK = np.concatenate(both, dtype=np.result_type(features_NK, np.float32))
    every_NK /= np.maximum(np.linalg.norm(every_NK, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    pool = len(features_NK)
    cluster_of = _clusters(every_NK, min(len(every_NK) - pool + n, len(every_NK), clusters), rng)
    sizes_G = np.bincount(cluster_of)
    outliers_G = np.where(sizes_G < smallest, len(every_NK), 0)
    held_G = np.bincount(cluster_of[pool:], minlength=len(sizes_G)) + outliers_G
    # Larger clusters first, and inside a cluster the typical ones; every tie is broken by chance.
    distance_N = _mean_distance(every_NK[:pool], cluster_of[:pool], neighbours)
    before_N = np.empty(pool, np.int64)
    before_N[np.lexsort((rng.random(pool), distance_N, -sizes_G[cluster_of[:pool]]))] = np.arange(pool)
    return Choice(in_turn(cluster_of[:pool], before_N, held_G)[:n], None, "")


def _clusters(points_NK: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means cluster of each point, (N,)."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    means = MiniBatchKMeans(count, batch_size=4096, n_init=1, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters is no mistake
        return np.asarray(means.fit_predict(points_NK), np.int64)


def _mean_distance(points_NK: np.ndarray, cluster_of: np.ndarray, neighbours: int) -> np.ndarray:
    """Mean Euclidean distance (N,) of each point to its nearest neighbours in its cluster; 0 where it is alone."""
    from sklearn.neighbors import NearestNeighbors

    distance_N = np.zeros(len(points_NK))
    for cluster in np.unique(cluster_of):
        members = np.flatnonzero(cluster_of == cluster)
        count = min(neighbours, len(members) - 1)
        if count:
            distances, _ = NearestNeighbors(n_neighbors=count).fit(points_NK[members]).kneighbors()
            distance_N[members] = distances.mean(axis=1)
    return distance_N
