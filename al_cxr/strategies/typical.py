"""TypiClust: the typical images of clusters that hold no label yet, for a start from few labels or none."""

from __future__ import annotations

import warnings

import numpy as np

from al_cxr.strategies.balanced import in_turn
from al_cxr.strategies.registry import Choice, strategy
from al_cxr.strategies.statistics import PoolStatistics

CLUSTERS = 500
"""Most clusters."""
NEIGHBOURS = 20
"""An image is typical where its distances to this many of its cluster are small."""
SMALL = 5
"""Clusters of fewer images are outliers and come last."""


@strategy("typiclust", needs="features")
def typiclust(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """The most typical image of the largest clusters without labels (Hacohen et al. 2022,
    https://arxiv.org/abs/2202.02794).

    Labelled and unlabelled features, scaled to length 1, fall into min(labelled + n, CLUSTERS) k-means clusters. The
    next image always comes from the cluster with the fewest labelled or chosen ones, among these from the largest, and
    is its most typical: the smallest mean distance to its NEIGHBOURS nearest unlabelled images there.
    """
    assert statistics.features_NK is not None
    labelled_MK = statistics.labelled_features_MK
    features_NK = statistics.features_NK
    every_NK = features_NK if labelled_MK is None else np.concatenate([features_NK, labelled_MK])
    every_NK = every_NK / np.maximum(np.linalg.norm(every_NK, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    pool = len(features_NK)
    clusters = _clusters(every_NK, min(len(every_NK) - pool + n, len(every_NK), CLUSTERS), rng)
    sizes_G = np.bincount(clusters)
    held_G = np.bincount(clusters[pool:], minlength=len(sizes_G)) + np.where(sizes_G < SMALL, len(every_NK), 0)
    # Larger clusters first, and inside a cluster the typical ones; every tie is broken by chance.
    spread_N = _spread(every_NK[:pool], clusters[:pool])
    before_N = np.empty(pool, np.int64)
    before_N[np.lexsort((rng.random(pool), spread_N, -sizes_G[clusters[:pool]]))] = np.arange(pool)
    return Choice(in_turn(clusters[:pool], before_N, held_G)[:n], None, "")


def _clusters(points_NK: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means cluster of each point, (N,)."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    means = MiniBatchKMeans(count, batch_size=4096, n_init=1, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters is no mistake
        return np.asarray(means.fit_predict(points_NK), np.int64)


def _spread(points_NK: np.ndarray, clusters_N: np.ndarray) -> np.ndarray:
    """Mean Euclidean distance (N,) of each point to its nearest NEIGHBOURS in its cluster; 0 where it is alone."""
    from sklearn.neighbors import NearestNeighbors

    spread_N = np.zeros(len(points_NK))
    for cluster in np.unique(clusters_N):
        members = np.flatnonzero(clusters_N == cluster)
        count = min(NEIGHBOURS, len(members) - 1)
        if count:
            distances, _ = NearestNeighbors(n_neighbors=count).fit(points_NK[members]).kneighbors()
            spread_N[members] = distances.mean(axis=1)
    return spread_N
