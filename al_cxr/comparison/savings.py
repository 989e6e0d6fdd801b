"""How many labels a curve needs for a level of F1, and how that compares with another curve. Nothing is extrapolated.

Arrays only; R replicates at a time, of which the first is the observed one (al_cxr.comparison.inference).
"""

from __future__ import annotations

import numpy as np


def isotonic(curve_RA: np.ndarray) -> np.ndarray:
    """The nearest rising curve (least squares) of each row.

    More labels cannot make what is known less, so a dip of a mean curve is noise. Min-max formula: at a round, the
    largest over its past, of the smallest over its future, of the mean between the two.

    Parameters
    ----------
    curve_RA : array, shape (R, A)
        R curves of A rounds each.

    Returns
    -------
    array, shape (R, A), float64
        The rising curves.

    References
    ----------
    Barlow, Bartholomew, Bremner, Brunk (1972): Statistical inference under order restrictions. Wiley.

    Examples
    --------
    >>> isotonic(np.array([[0.5, 0.75, 0.25, 1.0]]))
    array([[0.5, 0.5, 0.5, 1. ]])
    """
    curve = np.asarray(curve_RA, np.float64)
    count = curve.shape[1]
    sums_RA = np.concatenate([np.zeros((len(curve), 1)), np.cumsum(curve, axis=1)], axis=1)
    start, end = np.arange(count)[:, None], np.arange(count)[None, :]
    length = np.maximum(end - start + 1, 1)
    mean_RAA = (sums_RA[:, None, 1:] - sums_RA[:, :-1, None]) / length
    mean_RAA[:, end < start] = np.inf
    smallest_RAA = np.minimum.accumulate(mean_RAA[:, :, ::-1], axis=2)[:, :, ::-1]
    smallest_RAA[:, end < start] = -np.inf
    rising_RA: np.ndarray = smallest_RAA.max(axis=1)
    return rising_RA


def labels_needed(labels_A: np.ndarray, rising_RA: np.ndarray, level_R: np.ndarray) -> np.ndarray:
    """The fewest labels at which each rising curve is at its level, interpolated between rounds.

    Parameters
    ----------
    labels_A : array, shape (A,)
        Labels at each of A rounds, ascending.
    rising_RA : array, shape (R, A)
        R rising curves (`isotonic`).
    level_R : array, shape (R,)
        The level that each is to reach, in the curves' unit.

    Returns
    -------
    array, shape (R,), float64
        Labels: inf where the level is not reached within the budget; the first round's where it is reached there
        already; NaN where curve or level is unknown.

    Examples
    --------
    >>> labels_needed(np.array([100, 200, 300]), np.array([[0.5, 0.7, 0.8]] * 2), np.array([0.6, 0.9]))
    array([150.,  inf])
    """
    reached_RA = rising_RA >= level_R[:, None] - 1e-12
    at_R = reached_RA.argmax(axis=1)
    row = np.arange(len(rising_RA))
    before_R = np.maximum(at_R - 1, 0)
    low_R, high_R = rising_RA[row, before_R], rising_RA[row, at_R]
    part_R = np.divide(level_R - low_R, high_R - low_R, out=np.ones_like(low_R), where=high_R > low_R)
    needed_R = labels_A[before_R] + np.clip(part_R, 0, 1) * (labels_A[at_R] - labels_A[before_R])
    needed_R = np.where(reached_RA.any(axis=1), needed_R, np.inf)
    return np.where(np.isnan(level_R) | np.isnan(rising_RA).any(axis=1), np.nan, needed_R)


def times_fewer(random_R: np.ndarray, arm_R: np.ndarray, budget: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (R,), (R,) of how many times more labels random needs than the arm, from the labels that each needs.

    Both are the ratio where both reach the level. Where only the arm does, random needs more than the budget: at least
    budget / arm, and anything above. Where only random does it is at most random / budget, and anything below; where
    neither does, nothing is known: 0 and inf.
    """
    unknown = np.isnan(random_R) | np.isnan(arm_R)
    low_R = np.where(np.isfinite(arm_R), np.minimum(random_R, budget) / arm_R, 0.0)
    high_R = np.where(np.isfinite(random_R), random_R / np.minimum(arm_R, budget), np.inf)
    return np.where(unknown, np.nan, low_R), np.where(unknown, np.nan, high_R)
