"""How many labels a curve needs for a level of F1, and how that compares with another curve. Nothing is extrapolated.

Arrays only; R replicates at a time, of which the first is the observed one (al_cxr.comparison.inference).
"""

from __future__ import annotations

import numpy as np


def isotonic(curve_RA: np.ndarray) -> np.ndarray:
    """The nearest rising curve (least squares, Barlow et al. 1972), float64 (R, A), of each row of A rounds.

    More labels cannot make what is known less, so a dip of a mean curve is noise. Min-max formula: at a round, the
    largest over its past, of the smallest over its future, of the mean between the two.
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
    return smallest_RAA.max(axis=1)


def labels_needed(labels_A: np.ndarray, rising_RA: np.ndarray, level_R: np.ndarray) -> np.ndarray:
    """The fewest labels, float64 (R,), at which each rising curve is at its level, interpolated between rounds.

    inf where the level is not reached within the budget; the first round's labels where it is reached there already;
    NaN where curve or level is unknown.
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
