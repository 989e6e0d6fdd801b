"""Greedy spreading of a batch over a space of N points: k-centre and the seeding of k-means.

Both need one row of distances at a time, so time is O(n N) and no N x N matrix is made.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Distance = Callable[[int], np.ndarray]
"""Position of a point -> squared distances (N,) of all points to it, >= 0."""

_SAME = 1e-5
"""Squared distances below this share of the squared norms are rounding of float32, so 0."""
_BLOCK = 256


def squared(norms: np.ndarray, norm: np.ndarray | float, products: np.ndarray) -> np.ndarray:
    """|a - b|^2 from |a|^2, |b|^2 and a.b, float64, exactly 0 for copies."""
    total = np.asarray(norms + norm, np.float64)
    distances = total - 2 * products
    return np.where(distances > _SAME * total, distances, 0.0)


def euclidean(points_NK: np.ndarray) -> Distance:
    """Squared Euclidean distances between rows."""
    points_NK = points_NK - points_NK.mean(axis=0)  # smaller norms: less is lost in the difference
    norms_N = np.einsum("nk,nk->n", points_NK, points_NK)

    def distance(i: int) -> np.ndarray:
        return squared(norms_N, norms_N[i], points_NK @ points_NK[i])

    return distance


def nearest(points_NK: np.ndarray, others_MK: np.ndarray | None) -> np.ndarray:
    """Squared Euclidean distance (N,) of each point to the nearest of M others; infinity where there are none."""
    nearest_N = np.full(len(points_NK), np.inf)
    if others_MK is None or len(others_MK) == 0:
        return nearest_N
    centre_K = points_NK.mean(axis=0)
    points_NK, others_MK = points_NK - centre_K, others_MK - centre_K
    norms_N = np.einsum("nk,nk->n", points_NK, points_NK)
    for start in range(0, len(others_MK), _BLOCK):
        block_BK = others_MK[start : start + _BLOCK]
        norms_B = np.einsum("nk,nk->n", block_BK, block_BK)
        np.minimum(nearest_N, squared(norms_N[:, None], norms_B, points_NK @ block_BK.T).min(axis=1), out=nearest_N)
    return nearest_N


def k_centre(
    distance: Distance, nearest_N: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n,), each the farthest from all before it, and their squared distances then, non-increasing.

    `nearest_N` are distances to what is covered already. Ties, such as a start with nothing covered, are broken by rng.
    """
    nearest_N, key_N = nearest_N.copy(), rng.random(len(nearest_N))
    positions, radii = np.empty(n, np.int64), np.empty(n)
    for k in range(n):
        tied = np.flatnonzero(nearest_N == nearest_N.max())
        i = tied[key_N[tied].argmin()]
        positions[k], radii[k] = i, nearest_N[i]
        np.minimum(nearest_N, distance(int(i)), out=nearest_N)
        nearest_N[positions[: k + 1]] = -1
    return positions, radii


def k_means_seeds(
    distance: Distance, first: int, n: int, rng: np.random.Generator, weights_N: np.ndarray | float = 1.0
) -> np.ndarray:
    """Positions (n,) by k-means++ (Arthur and Vassilvitskii 2007).

    `first`, then each drawn with probability proportional to weight x squared distance to the nearest one before it;
    where all of these are 0, uniformly.
    """
    positions, nearest_N = [first], distance(first)
    free_N = np.ones(len(nearest_N), bool)
    while len(positions) < n:
        free_N[positions[-1]] = False
        odds_N = np.where(free_N, weights_N * nearest_N, 0.0)
        total = odds_N.sum()
        odds_N = odds_N / total if total > 0 else free_N / free_N.sum()
        positions.append(int(rng.choice(len(odds_N), p=odds_N)))
        np.minimum(nearest_N, distance(positions[-1]), out=nearest_N)
    return np.array(positions, np.int64)
