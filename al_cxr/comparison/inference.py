"""What a few paired seeds can support: an exact test, its correction for many comparisons, and replicates.

Arrays only. S seeds are paired (all arms of a seed start alike) and all models answer the same test images, so a
replicate takes another sample of the test images, once for all models, and moves every mean as other seeds would.
Means and differences have the interval of al_cxr.evaluation.intervals; labels and ratios have that of their replicates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from al_cxr.core.seeds import rng
from al_cxr.evaluation.intervals import LEVEL

EXACT = 20
"""Non-zero differences up to which all 2^n flips are looked at; beyond it FLIPS of them, drawn at random."""

FLIPS = 100_000
REPLICATES = 2_000
_CHUNK = 2**14


def sign_flip(differences_S: np.ndarray) -> float:
    """Two-sided p of paired differences: the share of sign flips with a mean at least as far from 0.

    Exact up to 20 non-zero differences, beyond it by 100,000 seeded flips, of which the observed one counts.

    Parameters
    ----------
    differences_S : array, shape (S,)
        One difference a seed. 0 says nothing and flips to itself; NaN is no pair.

    Returns
    -------
    float
        p, 0..1; NaN where there is no pair at all.

    References
    ----------
    Fisher (1935): The design of experiments. Oliver and Boyd.
    Phipson, Smyth (2010): Permutation p-values should never be zero. Statistical Applications in Genetics 9.

    Examples
    --------
    >>> sign_flip(np.array([0.02, 0.01, 0.03, 0.02]))
    0.125
    """
    values = np.asarray(differences_S, np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan
    values = values[values != 0]
    # Sums that are equal may differ in their last bits, which are those of the summands and not of the sum.
    n, far = len(values), abs(values.sum()) - 1e-12 * np.abs(values).sum()
    if n <= EXACT:
        flips, extreme = 2**n, 0
        for start in range(0, flips, _CHUNK):
            number_F = np.arange(start, min(start + _CHUNK, flips))
            sign_FS = 1 - 2 * (number_F[:, None] >> np.arange(n) & 1)
            extreme += int(np.count_nonzero(np.abs(sign_FS @ values) >= far))
        return float(extreme / flips)
    draw, extreme = rng(0, "sign_flip"), 1
    for start in range(0, FLIPS, _CHUNK):
        sign_FS = 1 - 2 * draw.integers(0, 2, (min(_CHUNK, FLIPS - start), n))
        extreme += int(np.count_nonzero(np.abs(sign_FS @ values) >= far))
    return extreme / (FLIPS + 1)


def holm(p_M: np.ndarray) -> np.ndarray:
    """Adjusted p of a family of comparisons.

    Parameters
    ----------
    p_M : array, shape (M,)
        Their p; NaN is no comparison and does not count.

    Returns
    -------
    array, shape (M,), float64
        Adjusted p in the same order.

    References
    ----------
    Holm (1979): A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_M, np.float64)
    adjusted, known = np.full(p.shape, np.nan), np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * p[order]))
    return adjusted


def smallest_p(n: int, comparisons: int = 1) -> float:
    """The smallest two-sided p that n paired seeds can give, after Holm over a family of comparisons."""
    return min(1.0, comparisons * math.pow(2.0, 1 - n)) if n else 1.0


def seeds_needed(comparisons: int, alpha: float = 0.05) -> int:
    """The fewest paired seeds whose smallest p is at most alpha."""
    return 1 + math.ceil(math.log2(comparisons / alpha) - 1e-12)


def supports(n: int, comparisons: int = 1, alpha: float = 0.05) -> str:
    """What n paired seeds can support at all, in words; `comparisons` are corrected for by Holm's method."""
    seeds, needed = "1 seed" if n == 1 else f"{n} seeds", seeds_needed(comparisons, alpha)
    alone, least = smallest_p(n), smallest_p(n, comparisons)
    family = f" among {comparisons} comparisons (Holm)" if comparisons > 1 else ""
    if least <= alpha:
        return f"{seeds} can reach p < {alpha:g}{family}: the smallest possible is {least:.2g}"
    words = (
        f"{seeds} cannot reach p < {alpha:g}{family}: the smallest possible is {least:.3g}, and it takes {needed} seeds"
    )
    return f"{words}; one comparison alone could reach {alone:.2g}" if alone <= alpha else words


def image_samples(units: int, replicates: int = REPLICATES, seed: int = 0) -> np.ndarray:
    """How often each of U test units is drawn in each replicate, float32 (1 + replicates, U); row 0 is each once."""
    draw = rng(seed, "bootstrap", "images")
    drawn_RU = draw.multinomial(units, np.full(units, 1 / units), replicates)
    return np.concatenate([np.ones((1, units)), drawn_RU]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class SeedNoise:
    """How the mean over S seeds would move with other seeds, in units of its standard error: row 0 does not move."""

    normal_RS: np.ndarray
    chi_RS: np.ndarray
    """Sums of 0, 1, .. S - 1 squared normals: chi-square with so many degrees of freedom."""


def seed_noise(seeds: int, replicates: int = REPLICATES, seed: int = 0) -> SeedNoise:
    """For S seeds, (1 + replicates, S) each."""
    draw = rng(seed, "bootstrap", "seeds")
    normal_RS = draw.normal(size=(1 + replicates, seeds))
    normal_RS[0] = 0
    square_RS = draw.normal(size=(1 + replicates, seeds)) ** 2
    square_RS[:, 0] = 0
    return SeedNoise(normal_RS, square_RS.cumsum(axis=1))


def f1_samples(hits_FU: np.ndarray, false_FU: np.ndarray, positives_U: np.ndarray, drawn_RU: np.ndarray) -> np.ndarray:
    """F1 of F models in R samples of the test units, float64 (R, F); 0 where nothing is true or predicted.

    A unit is an image or the images of a patient: `hits_FU` are its true positives, `false_FU` its false positives,
    `positives_U` its images of the target class. F1 = 2 hits / (positives + predicted).
    """
    drawn = drawn_RU.astype(np.float32)  # counts: exact far beyond the size of any test set
    hits_RF = (drawn @ hits_FU.T.astype(np.float32)).astype(np.float64)
    predicted_RF = hits_RF + drawn @ false_FU.T.astype(np.float32)
    whole_RF = predicted_RF + (drawn @ positives_U.astype(np.float32))[:, None]
    f1_RF: np.ndarray = np.divide(2 * hits_RF, whole_RF, out=np.zeros_like(whole_RF), where=whole_RF > 0)
    return f1_RF


def mean_over_seeds(values_RxS: np.ndarray, noise: SeedNoise) -> np.ndarray:
    """Means (R, ...) of values (R, ..., S) over the seeds that are there (not NaN), as other seeds would move them.

    Seeds are moved by Student's t with k - 1 degrees of freedom and the standard error of k seeds, all means of a
    replicate together, so that what was paired stays paired. Drawing seeds with replacement instead cannot leave their
    range and is too narrow for few. One seed does not move: nothing is known of its spread.
    """
    middle = [1] * (values_RxS.ndim - 2)
    there = ~np.isnan(values_RxS)
    count = there.sum(axis=-1)
    sums = np.where(there, values_RxS, 0.0).sum(axis=-1)
    mean = np.divide(sums, count, out=np.full(count.shape, np.nan), where=count > 0)
    away = np.where(there, values_RxS - mean[..., None], 0.0)
    moved = (away * noise.normal_RS.reshape(len(noise.normal_RS), *middle, -1)).sum(axis=-1)
    free = np.maximum(count - 1, 1)
    rows = np.arange(len(noise.chi_RS)).reshape(-1, *middle)
    chi = noise.chi_RS[rows, np.minimum(free, noise.chi_RS.shape[1] - 1)]
    scale = np.sqrt(np.divide(free, chi, out=np.zeros(count.shape), where=(count > 1) & (chi > 0)))
    moved_mean: np.ndarray = mean + moved * scale / np.sqrt(np.maximum(count, 1) * free)
    return moved_mean


def percentiles(values_R: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a number of labels or a ratio from its replicates (without row 0), which may be infinite; NaN
    where none is known."""
    values = values_R[~np.isnan(values_R)]
    if not len(values):
        return math.nan, math.nan
    tail = (1 - level) / 2
    # No interpolation: between a finite and an infinite value there is nothing.
    low, high = np.quantile(values, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def area_under_curve(labels_A: np.ndarray, f1_RxA: np.ndarray) -> np.ndarray:
    """Mean of F1 along the labels axis (trapezoids over its span), (R, ...) from (R, ..., rounds); in the unit of F1.

    NaN with fewer than two rounds, and where a round is missing.
    """
    span = labels_A[-1] - labels_A[0] if len(labels_A) > 1 else 0
    if span <= 0 or any(b <= a for a, b in pairwise(labels_A)):
        return np.full(f1_RxA.shape[:-1], np.nan)
    area_Rx: np.ndarray = np.trapezoid(f1_RxA, labels_A, axis=-1) / span
    return area_Rx
