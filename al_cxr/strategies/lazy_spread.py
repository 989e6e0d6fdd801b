"""k-centre and the seeding of k-means in large pools: a distance is computed only where it can still matter.

A distance to the nearest chosen point only falls as more are chosen, so one that was computed earlier is an upper bound
now. k-centre brings up to date the points with the largest bounds until one of them is known to be the farthest (lazy
greedy, Minoux 1978); in a sketch of few dimensions it finds chosen points that are probably near, so that most bounds
are small from the start. k-means++ draws by the bounds and accepts with probability distance / bound (rejection
sampling), which is a draw by the distances. Sketch and bounds decide what is computed, never what is chosen.
"""

from __future__ import annotations

import numpy as np

from al_cxr.strategies.points import Points

_TOP = 512
"""Points with the largest bounds that k-centre looks at together."""
_SPAN = 512
"""Chosen points in one matrix product."""
_GROUP = 128
"""Points in one matrix product; those of a group have seen about as many of the chosen."""
_DRAWS = 256
"""Points that k-means++ draws at once."""
_SKETCH = 64
"""Dimensions of the sketch, principal components of `_SAMPLE` points."""
_SAMPLE = 512


class _Chosen:
    """Chosen points in the order in which they were chosen; the first are those `covered` from the start."""

    def __init__(self, covered: Points, n: int) -> None:
        self._factors = [np.concatenate([f, np.empty((n, f.shape[1]), f.dtype)]) for f in covered.factors]
        self.count = len(covered)

    def add(self, point: Points) -> None:
        for factor, row in zip(self._factors, point.factors, strict=True):
            factor[self.count] = row[0]
        self.count += 1

    def take(self, at: np.ndarray | slice) -> Points:
        return Points(tuple(factor[at] for factor in self._factors))


class _Bounds:
    """Upper bounds of squared distances of N points to the nearest chosen one, exact for the first `seen_N` of them."""

    def __init__(self, points: Points, chosen: _Chosen) -> None:
        self._points, self._chosen = points, chosen
        self.values_N = np.full(len(points), np.inf)
        self.seen_N = np.zeros(len(points), np.int64)

    def look(self, at: np.ndarray) -> None:
        """Brings some points up to date."""
        for group, first, last in _groups(at, self.seen_N, self._chosen.count):
            rows = self._points.take(group)
            for low in range(first, last, _SPAN):
                distances = rows.between(self._chosen.take(slice(low, min(low + _SPAN, last))))
                self.values_N[group] = np.minimum(self.values_N[group], distances.min(axis=1))


class _Sketch:
    """Points and chosen points in the few dimensions in which they differ most."""

    def __init__(self, points: Points, chosen: _Chosen, n: int) -> None:
        self._points, self._chosen = points, chosen
        (points_NK,) = points.factors
        sample = points_NK[:: max(len(points) // _SAMPLE, 1)]
        self._axes_KD = np.linalg.svd(sample, full_matrices=False)[2][:_SKETCH].T
        self._of_points = Points((points_NK @ self._axes_KD,))
        self._of_chosen = _Chosen(self._project(chosen.take(slice(chosen.count))), n)
        self._seen_N = np.zeros(len(points), np.int64)

    def add(self, point: Points) -> None:
        self._of_chosen.add(self._project(point))

    def tighten(self, bounds: _Bounds, at: np.ndarray) -> None:
        """Lowers the bounds of some points to their distance to those chosen that are nearest in the sketch."""
        for group, first, last in _groups(at, self._seen_N, self._of_chosen.count):
            rows, sketched = self._points.take(group), self._of_points.take(group)
            for low in range(first, last, _SPAN):
                distances = sketched.between(self._of_chosen.take(slice(low, min(low + _SPAN, last))))
                near = self._chosen.take(low + distances.argmin(axis=1))
                bounds.values_N[group] = np.minimum(bounds.values_N[group], rows.beside(near))

    def _project(self, points: Points) -> Points:
        return Points((points.factors[0] @ self._axes_KD,))


def _groups(at: np.ndarray, seen_N: np.ndarray, count: int) -> list[tuple[np.ndarray, int, int]]:
    """Points in groups, and which of the chosen each has to look at; `seen_N` then says that they did."""
    at = at[seen_N[at] < count]
    at = at[np.argsort(seen_N[at], kind="stable")]
    groups = [at[start : start + _GROUP] for start in range(0, len(at), _GROUP)]
    found = [(group, int(seen_N[group[0]]), count) for group in groups]
    seen_N[at] = count
    return found


def k_centre(points: Points, covered: Points | None, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As `spread.k_centre`: the same positions but for rounding, and for ties, which another chance breaks."""
    order = rng.random(len(points)).argsort()  # ties go to the first in an order by chance
    positions: list[int] = []
    if covered is None:
        positions, covered = [int(order[0])], points.take(order[:1])
    chosen = _Chosen(covered, n)
    bounds, sketch = _Bounds(points, chosen), _Sketch(points, chosen, n)
    sketch.tighten(bounds, order)
    radii = [float(bounds.values_N.max())] if positions else []
    bounds.values_N[positions] = -1
    while len(positions) < n:
        largest = bounds.values_N[order]
        split = max(len(points) - _TOP, 0)
        parted = np.argpartition(largest, split) if split else np.arange(len(points))
        others = largest[parted[:split]].max(initial=-1)
        top = order[parted[split:]]
        sketch.tighten(bounds, top)
        top = top[bounds.values_N[top] >= max(others, 0)]
        bounds.look(top)
        rows, values = points.take(top), bounds.values_N[top]
        while len(positions) < n and len(top):
            best = int(values.argmax())
            if values[best] < max(others, 0):
                break
            positions.append(int(top[best]))
            radii.append(float(values[best]))
            point = rows.take(slice(best, best + 1))
            chosen.add(point)
            sketch.add(point)
            np.minimum(values, rows.to(best), out=values)
            values[best] = -1
        bounds.values_N[top] = values
        bounds.seen_N[top] = chosen.count
    return np.array(positions, np.int64), np.array(radii)


def k_means_seeds(
    points: Points, first: int, n: int, rng: np.random.Generator, weights_N: np.ndarray | float = 1.0
) -> np.ndarray:
    """As `spread.k_means_seeds`: from the same distribution, by other random numbers."""
    positions, free_N = [first], np.ones(len(points), bool)
    free_N[first] = False
    weights_N = np.broadcast_to(np.asarray(weights_N, np.float64), free_N.shape)
    chosen = _Chosen(points.take(np.array([first])), n)
    bounds = _Bounds(points, chosen)
    bounds.look(np.arange(len(points)))
    while len(positions) < n:
        odds_N = np.where(free_N, weights_N * bounds.values_N, 0.0)
        cumulative_N = odds_N.cumsum()
        if cumulative_N[-1] == 0:
            rest = rng.permutation(np.flatnonzero(free_N))[: n - len(positions)]
            return np.array([*positions, *rest], np.int64)
        drawn = np.searchsorted(cumulative_N, rng.random(_DRAWS) * cumulative_N[-1], side="right")
        bounds.look(np.unique(drawn))
        rows, values = points.take(drawn), bounds.values_N[drawn]
        for k, threshold in enumerate(rng.random(_DRAWS) * odds_N[drawn]):
            i = int(drawn[k])
            if len(positions) < n and free_N[i] and threshold < weights_N[i] * values[k]:
                positions.append(i)
                free_N[i] = False
                chosen.add(rows.take(slice(k, k + 1)))
                np.minimum(values, rows.to(k), out=values)
    return np.array(positions, np.int64)
