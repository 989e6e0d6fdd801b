"""Greedy spreading of a batch over N points: k-centre and the seeding of k-means.

Up to `LARGE` points every choice looks at one row of N distances, so time is O(n N) and no N x N matrix is made. Above,
`lazy_spread` chooses by the same rules and looks only at the points that can still matter.
"""

from __future__ import annotations

import numpy as np

from al_cxr.strategies import lazy_spread
from al_cxr.strategies.points import Points, nearest

LARGE = 20_000
"""Points above which distances are computed where they are asked for. The batch of k-centre is then the same but for
rounding; that of k-means++ is drawn from the same distribution with other random numbers."""


def k_centre(points: Points, covered: Points | None, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n,), each the farthest from all before it, and their squared distances then, non-increasing.

    `covered` are points that count as chosen before. Ties, such as a start with nothing covered, are broken by rng;
    the first distance is then that of the point farthest from the start.
    """
    if len(points) > LARGE:
        return lazy_spread.k_centre(points, covered, n, rng)
    nearest_N, key_N = nearest(points, covered), rng.random(len(points))
    positions, radii = np.empty(n, np.int64), np.empty(n)
    for k in range(n):
        tied = np.flatnonzero(nearest_N == nearest_N.max())
        i = tied[key_N[tied].argmin()]
        positions[k], radii[k] = i, nearest_N[i]
        np.minimum(nearest_N, points.to(int(i)), out=nearest_N)
        nearest_N[positions[: k + 1]] = -1
    if covered is None:
        radii[0] = points.to(int(positions[0])).max()
    return positions, radii


def k_means_seeds(
    points: Points, first: int, n: int, rng: np.random.Generator, weights_N: np.ndarray | float = 1.0
) -> np.ndarray:
    """Positions (n,) by k-means++ (Arthur and Vassilvitskii 2007).

    `first`, then each drawn with probability proportional to weight x squared distance to the nearest one before it;
    where all of these are 0, uniformly.
    """
    if len(points) > LARGE:
        return lazy_spread.k_means_seeds(points, first, n, rng, weights_N)
    positions, nearest_N = [first], points.to(first)
    free_N = np.ones(len(nearest_N), bool)
    while len(positions) < n:
        free_N[positions[-1]] = False
        odds_N = np.where(free_N, weights_N * nearest_N, 0.0)
        total = odds_N.sum()
        odds_N = odds_N / total if total > 0 else free_N / free_N.sum()
        positions.append(int(rng.choice(len(odds_N), p=odds_N)))
        np.minimum(nearest_N, points.to(positions[-1]), out=nearest_N)
    return np.array(positions, np.int64)
