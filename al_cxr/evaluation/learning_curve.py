"""How many more labels a model takes to reach a target: a curve fitted to what the audit has measured so far.

A hint, and named so: it supposes that the next labels teach as the last ones did. It says nothing where it cannot know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from al_cxr.core.enough import FEW
from al_cxr.evaluation.intervals import DRAWS, LEVEL, clusters, resamples

POINTS = 5
"""Models measured, at least."""
SPAN = 4.0
"""The labels of the largest model by those of the smallest, at least: a curve is not seen on a short piece of it."""
REACH = 3.0
"""How far beyond the largest model the curve is believed, in labels by its labels."""
_POWERS = np.geomspace(0.1, 2.0, 60)


@dataclass(frozen=True)
class LabelsNeeded:
    """Labels of a model, in all, at which the curve reaches the target; NaN with the reason in `why`."""

    value: float
    low: float
    high: float
    """Infinite where the curve may need more than it is believed for."""
    why: str = ""


def labels_needed(
    labels_V: np.ndarray,
    right_VT: np.ndarray,
    target: float,
    patients: Sequence[str] | None = None,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> LabelsNeeded:
    """Extrapolate accuracy = a - b n^(-c) to a target.

    Parameters
    ----------
    labels_V : array, shape (V,)
        How many labels each of V models was trained on, ascending.
    right_VT : array, shape (V, T)
        Whether each answered each audit image rightly; NaN where it was not asked. For the sensitivity give the ill
        images alone.
    target : float
        The share of right answers to reach, 0..1.
    patients : sequence of str, optional
        Whose the T images are.
    level : float
        The coverage to aim at, 0..1.
    draws : int
        Bootstrap samples of the patients, each of which has a curve of its own.

    Returns
    -------
    LabelsNeeded
        The curve is fitted by least squares with weights that grow with n. No value where models or audit images are
        too few, where the largest has less than 4 times the labels of the smallest, where the target lies above what
        the curve levels off at, and where it would be reached beyond 3 times the labels there are.

    Raises
    ------
    ValueError
        The arrays do not belong together.

    References
    ----------
    Figueroa, Zeng-Treitler, Kandula, Ngo (2012): Predicting sample size required for classification performance. BMC
    Medical Informatics and Decision Making 12:8.

    Examples
    --------
    >>> labels = np.array([20, 40, 80, 160, 320])
    >>> right = np.arange(2000) < 2000 * (0.95 - 1.5 * labels[:, None] ** -0.6)
    >>> found = labels_needed(labels, right, target=0.92, draws=200)
    >>> 600 < found.value < 750, found.low < found.value < found.high
    (True, True)
    """
    labels_V, right_VT = np.asarray(labels_V, np.float64), np.asarray(right_VT, np.float64)
    if right_VT.ndim != 2 or len(labels_V) != len(right_VT) or (np.diff(labels_V) <= 0).any():
        raise ValueError(
            f"{len(labels_V)} models of ascending size and answers {right_VT.shape} do not belong together"
        )
    if why := _too_little(labels_V, right_VT):
        return LabelsNeeded(np.nan, np.nan, np.nan, why)
    images, known_VT = right_VT.shape[1], np.isfinite(right_VT)
    right_VT = np.where(known_VT, right_VT, 0.0)
    groups = clusters(patients) if patients else None
    counts_BT = np.concatenate([np.ones((1, images)), *resamples(images, draws, groups)])
    measured_BV = counts_BT @ known_VT.T.astype(np.float64)
    shares_BV = (counts_BT @ right_VT.T)[(measured_BV > 0).all(axis=1)] / measured_BV[(measured_BV > 0).all(axis=1)]
    a_B, b_B, c_B = fit(labels_V, shares_BV)
    tail = (1 - level) / 2
    most = float(np.quantile(a_B[1:], 1 - tail))
    if target >= most:
        why = f"the curve levels off at {most:.3f} at most, and the target is {target:g}: more labels do not reach it"
        return LabelsNeeded(np.nan, np.nan, np.nan, why)
    reached = b_B > 0
    ratio_B = np.divide(b_B, a_B - target, out=np.full(len(a_B), np.inf), where=reached & (a_B > target))
    # A flat curve is there already, or never.
    ratio_B = np.where(~reached, np.where(a_B >= target, 0.0, np.inf), ratio_B)
    with np.errstate(over="ignore"):
        needed_B = ratio_B ** (1 / c_B)
    furthest = REACH * labels_V[-1]
    low, high = np.quantile(needed_B[1:], [tail, 1 - tail], method="inverted_cdf")
    if needed_B[0] > furthest or low > furthest:
        why = f"the target would be reached beyond {furthest:,.0f} labels, {REACH:g} times those of the largest model"
        return LabelsNeeded(np.nan, np.nan, np.nan, why)
    return LabelsNeeded(float(needed_B[0]), float(low), float(high) if high <= furthest else np.inf)


def _too_little(labels_V: np.ndarray, right_VT: np.ndarray) -> str:
    if len(labels_V) < POINTS:
        return f"{len(labels_V)} models have been measured ({POINTS} are needed)"
    if labels_V[-1] < SPAN * labels_V[0]:
        return (
            f"models have been measured from {labels_V[0]:,.0f} to {labels_V[-1]:,.0f} labels (the largest needs "
            f"{SPAN:g} times the labels of the smallest)"
        )
    fewest = int(np.isfinite(right_VT).sum(axis=1).min())
    return "" if fewest >= FEW else f"a model has been measured on {fewest} audit images ({FEW} are needed)"


def fit(labels_V: np.ndarray, shares_BV: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b and c (B,) of a - b n^(-c), of B curves at V sizes: least squares with weights 1, 2, .. V, at most 1 for a
    and at least 0 for b; c is the best of a grid in 0.1..2."""
    weights_V = np.arange(1.0, len(labels_V) + 1)
    weights_V /= weights_V.sum()
    found = []
    for c in _POWERS:
        x_V = -((labels_V / labels_V[0]) ** -c)
        x_mean, y_mean_B = weights_V @ x_V, shares_BV @ weights_V
        b_B = ((shares_BV - y_mean_B[:, None]) @ (weights_V * (x_V - x_mean))) / (weights_V @ (x_V - x_mean) ** 2)
        a_B = y_mean_B - b_B * x_mean
        over_B = a_B > 1
        b_B = np.where(over_B, ((shares_BV - 1) @ (weights_V * x_V)) / (weights_V @ x_V**2), b_B)
        a_B = np.where(b_B < 0, y_mean_B, np.where(over_B, 1.0, a_B))
        b_B = np.maximum(b_B, 0.0)
        loss_B = (shares_BV - a_B[:, None] - b_B[:, None] * x_V) ** 2 @ weights_V
        found.append((loss_B, a_B, b_B * labels_V[0] ** c, np.full(len(a_B), c)))
    loss_PB, a_PB, b_PB, c_PB = (np.stack(part) for part in zip(*found, strict=True))
    best_B, rows_B = loss_PB.argmin(axis=0), np.arange(loss_PB.shape[1])
    return a_PB[best_B, rows_B], b_PB[best_B, rows_B], c_PB[best_B, rows_B]
