"""Confidence sequences: intervals that hold at every moment at once, so one may look after each answer and stop then.

A 95 % interval of a fixed number of images is wrong far more often than 5 % if one looks at it after every answer and
stops when one likes it. A confidence sequence is an interval for each number of answers, and all of them together hold
the truth in 95 % of projects. It is wider; that is the price of looking.

Each function follows *one* figure of *one* model over images in the random order in which they were asked. When the
model changes, the figure of the new model is followed anew over all images from the first, which is allowed because
the model has learned from none of them. That all models' sequences hold *together* is not promised: a decision that
may fall on any of many models is the task of `al_cxr.evaluation.certificate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, gammaln, logsumexp, xlog1py, xlogy

from al_cxr.evaluation.intervals import LEVEL

PRIOR = 0.5
"""Both parameters of the Beta prior (Jeffreys): it makes intervals near 0 and 1 short. Whatever is true, none is wrong
more often for it."""
BETS = np.arange(1, 17) / 17
"""Shares of what may be staked, mixed evenly."""


@dataclass(frozen=True, eq=False)
class ConfidenceSequence:
    """The interval after 1, 2, .. T answers, each 0..1, and never growing unless it has become empty."""

    low_T: np.ndarray
    high_T: np.ndarray

    @property
    def low(self) -> float:
        """The bound after all answers; 0 before the first."""
        return float(self.low_T[-1]) if len(self.low_T) else 0.0

    @property
    def high(self) -> float:
        """The bound after all answers; 1 before the first."""
        return float(self.high_T[-1]) if len(self.high_T) else 1.0


def proportion_sequence(hits_T: np.ndarray, size: int | None = None, level: float = LEVEL) -> ConfidenceSequence:
    """Bound a proportion at every moment.

    With `size`, images are drawn one after another, none twice, from an archive of that many, and the proportion is the
    archive's: nothing is assumed about the images. Without, it is that of a population from which they come
    independently (patients like these), or of a finite part of the archive whose size nobody knows, such as its ill.

    Parameters
    ----------
    hits_T : array of bool, shape (T,)
        What counts (ill, answered rightly), in the order of asking, which must be random.
    size : int, optional
        The number that the random order is of.
    level : float
        How often all T intervals together hold the proportion, at least.

    Returns
    -------
    ConfidenceSequence
        Intersected over time.

    Raises
    ------
    ValueError
        The values are not true or false, or more than `size`.

    References
    ----------
    Waudby-Smith, Ramdas (2020): Confidence sequences for sampling without replacement. NeurIPS. arXiv 2006.04347.

    Examples
    --------
    >>> ill = np.random.default_rng(0).permutation(2000) < 200
    >>> found = proportion_sequence(ill[:300], size=2000)
    >>> bool(found.low < 0.1 < found.high)
    True
    """
    hits_T = np.asarray(hits_T)
    if hits_T.dtype != bool or hits_T.ndim != 1:
        raise ValueError(
            f"a proportion is of values that are true or false, in a row, not {hits_T.dtype} {hits_T.shape}"
        )
    if size is not None and len(hits_T) > size:
        raise ValueError(f"{len(hits_T):,} images cannot come from {size:,} without one of them twice")
    hit_T, all_T = np.cumsum(hits_T), np.arange(1, len(hits_T) + 1)
    miss_T = all_T - hit_T
    # A candidate stays while prior / posterior = P(answers) / P(answers | candidate) is below 1 / alpha.
    least_T = betaln(PRIOR + hit_T, PRIOR + miss_T) - betaln(PRIOR, PRIOR) + np.log(1 - level)
    if size is None:
        likely_T = hit_T / all_T

        def stays(share_T: np.ndarray) -> np.ndarray:
            return np.asarray(xlogy(hit_T, share_T) + xlog1py(miss_T, -share_T) > least_T)

        low_T = _edge(stays, np.zeros(len(all_T)), likely_T, 2.0**-40)
        high_T = _edge(stays, np.ones(len(all_T)), likely_T, 2.0**-40)
        return _intersected(low_T, high_T)

    def remains(count_T: np.ndarray) -> np.ndarray:
        return np.asarray(_log_falling(count_T, hit_T) + _log_falling(size - count_T, miss_T) - whole_T > least_T)

    whole_T = _log_falling(np.full(len(all_T), size), all_T)
    likely_T = np.clip((size + 1) * hit_T // np.maximum(all_T, 1), hit_T, size - miss_T)
    low_T = np.where(remains(hit_T), hit_T, _edge(remains, hit_T, likely_T, 1) + 1)
    high_T = np.where(remains(size - miss_T), size - miss_T, _edge(remains, size - miss_T, likely_T, 1) - 1)
    return _intersected(low_T / size, high_T / size)


def _log_falling(top_T: np.ndarray, factors_T: np.ndarray) -> np.ndarray:
    """The logarithm of top (top - 1) .. of so many factors."""
    found: np.ndarray = gammaln(top_T + 1) - gammaln(top_T - factors_T + 1)
    return found


def _edge(
    stays: Callable[[np.ndarray], np.ndarray], outer_T: np.ndarray, inner_T: np.ndarray, step: float
) -> np.ndarray:
    """Candidates that do not stay, `step` from one that does, between an outer and an inner, which stays. Likelihoods
    have one peak, so what stays is an interval; halving finds its edge for all T at once."""
    whole = isinstance(step, int)
    while len(outer_T) and np.abs(inner_T - outer_T).max() > step:
        middle_T = (outer_T + inner_T) // 2 if whole else (outer_T + inner_T) / 2
        # Of neighbours, the floor of the middle is one of the two, and nothing changes.
        kept_T = stays(middle_T)
        inner_T, outer_T = np.where(kept_T, middle_T, inner_T), np.where(kept_T, outer_T, middle_T)
    return outer_T


def _intersected(low_T: np.ndarray, high_T: np.ndarray) -> ConfidenceSequence:
    """Intervals that hold together hold in their intersection. Where that is empty one of them has been wrong, which is
    counted in the level already, and the intervals are given as they are."""
    lows_T, highs_T = np.maximum.accumulate(low_T), np.minimum.accumulate(high_T)
    empty_T = lows_T > highs_T
    return ConfidenceSequence(np.where(empty_T, low_T, lows_T), np.where(empty_T, high_T, highs_T))


def bounded_mean(values_T: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Bound the mean of values in 0..1, whenever one looks: patients' shares of right answers, or the parts of an AUC.

    Each candidate for the mean is bet against: a fair game whose stakes are worth 40 times their start has, at a level
    of 95 %, shown that the mean is another one. Values must be independent of each other, with one mean.

    Parameters
    ----------
    values_T : array, shape (T,)
        In the order of asking.
    level : float
        How often the intervals after 1, 2, .. T values hold the mean, all together, at least.

    Returns
    -------
    tuple of float
        What is left after T values: their intervals' intersection. (0, 1) of none.

    Raises
    ------
    ValueError
        A value lies outside 0..1.

    References
    ----------
    Waudby-Smith, Ramdas (2023): Estimating means of bounded random variables by betting. JRSS B 86. arXiv 2010.09686.

    Examples
    --------
    >>> low, high = bounded_mean(np.tile([1.0, 0.5, 1.0, 1.0], 50))
    >>> low < 0.875 < high
    True
    """
    values_T = np.asarray(values_T, np.float64)
    if not ((values_T >= 0) & (values_T <= 1)).all():
        raise ValueError("the values whose mean is bounded lie in 0..1")
    if not len(values_T):
        return 0.0, 1.0
    low, high = _shown_below(values_T, level), 1 - _shown_below(1 - values_T, level)
    # Both at once are wrong in no more projects than the level says; then nothing is known.
    return (low, high) if low <= high else (0.0, 1.0)


def _shown_below(values_T: np.ndarray, level: float) -> float:
    """The largest mean ever shown to be too small. Wealth falls as the candidate rises, so halving finds it."""
    low, above = 0.0, 1.0
    while above - low > 1e-5:
        middle = (low + above) / 2
        shown = log_wealth(values_T, middle).max() >= np.log(2 / (1 - level))
        low, above = (middle, above) if shown else (low, middle)
    return low


def log_wealth(values_T: np.ndarray, mean: float) -> np.ndarray:
    """The logarithm (T,) of what 1 has become by bets that values in 0..1 lie above `mean`: if that is their mean, it
    ever reaches w with a probability of 1 / w at most (Ville)."""
    stakes_TJ = np.cumsum(np.log1p(BETS * (np.asarray(values_T, np.float64)[:, None] / mean - 1)), axis=0)
    found: np.ndarray = logsumexp(stakes_TJ, axis=1) - np.log(len(BETS))
    return found
