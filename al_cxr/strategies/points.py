"""Points of a space of features, and squared distances between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

_SAME = 1e-5
"""Squared distances below this share of the squared norms are rounding of float32, so 0."""
_BLOCK = 256


def squared(norms: np.ndarray, norm: np.ndarray | float, products: np.ndarray) -> np.ndarray:
    """|a - b|^2 from |a|^2, |b|^2 and a.b, float64, exactly 0 for copies."""
    total = np.asarray(norms + norm, np.float64)
    distances = total - 2 * products
    return np.where(distances > _SAME * total, distances, 0.0)


@dataclass(frozen=True, eq=False)
class Points:
    """N points, each the outer product of one row of every factor, (N, A) and (N, B) and so on.

    The product of two points is the product of their factors' products, so the A x B x ... numbers are never made.
    """

    factors: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.factors[0])

    @cached_property
    def norms_N(self) -> np.ndarray:
        """Squared norms."""
        norms_N: np.ndarray = np.einsum("nk,nk->n", self.factors[0], self.factors[0])
        for factor_NK in self.factors[1:]:
            norms_N = norms_N * np.einsum("nk,nk->n", factor_NK, factor_NK)
        return norms_N

    def take(self, at: np.ndarray | slice) -> Points:
        """The points at some positions; a slice copies nothing."""
        return Points(tuple(factor[at] for factor in self.factors))

    def to(self, i: int) -> np.ndarray:
        """Squared distances (N,) of all points to the one at position i."""
        products_N = self.factors[0] @ self.factors[0][i]
        for factor_NK in self.factors[1:]:
            products_N = products_N * (factor_NK @ factor_NK[i])
        return squared(self.norms_N, self.norms_N[i], products_N)

    def between(self, others: Points) -> np.ndarray:
        """Squared distances (N, M) to M others."""
        products_NM = self.factors[0] @ others.factors[0].T
        for mine_NK, theirs_MK in zip(self.factors[1:], others.factors[1:], strict=True):
            products_NM = products_NM * (mine_NK @ theirs_MK.T)
        return squared(self.norms_N[:, None], others.norms_N, products_NM)

    def beside(self, others: Points) -> np.ndarray:
        """Squared distances (N,) to N others, each to its own."""
        products_N = np.einsum("nk,nk->n", self.factors[0], others.factors[0])
        for mine_NK, theirs_NK in zip(self.factors[1:], others.factors[1:], strict=True):
            products_N = products_N * np.einsum("nk,nk->n", mine_NK, theirs_NK)
        return squared(self.norms_N, others.norms_N, products_N)


def centred(points_NK: np.ndarray, others_MK: np.ndarray | None = None) -> tuple[Points, Points | None]:
    """Points with their mean at 0, and others moved likewise: smaller norms, so less is lost in a difference."""
    centre_K = points_NK.mean(axis=0)
    others = None if others_MK is None or len(others_MK) == 0 else Points((others_MK - centre_K,))
    return Points((points_NK - centre_K,)), others


def nearest(points: Points, others: Points | None) -> np.ndarray:
    """Squared distance (N,) of each point to the nearest of M others; infinity where there are none."""
    nearest_N = np.full(len(points), np.inf)
    for start in range(0, 0 if others is None else len(others), _BLOCK):
        assert others is not None
        block = others.take(slice(start, start + _BLOCK))
        np.minimum(nearest_N, points.between(block).min(axis=1), out=nearest_N)
    return nearest_N
