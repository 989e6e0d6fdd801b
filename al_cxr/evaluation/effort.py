"""Labels as hours of a reader."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from al_cxr.core.enough import FEW
from al_cxr.evaluation.intervals import LEVEL


@dataclass(frozen=True)
class Hours:
    """Of one reader, without pauses; NaN with the reason in `why`."""

    value: float
    low: float
    high: float
    why: str = ""


def reading_hours(questions: float, low: float, high: float, seconds_M: np.ndarray, level: float = LEVEL) -> Hours:
    """Turn a number of questions into hours by this reader's median time.

    Parameters
    ----------
    questions, low, high : float
        How many are left to answer, with their interval (as `learning_curve.labels_needed` gives it, less those that
        are there, and with the audit's and the second reads' share added).
    seconds_M : array, shape (M,)
        Active seconds this reader took for each answer so far.
    level : float
        Of the interval of the median, by the order of the times (distribution-free).

    Returns
    -------
    Hours
        Low bounds and high bounds are multiplied, so the interval is wider than either alone. No value before 20
        answers.

    Examples
    --------
    >>> found = reading_hours(240, 200, 300, np.linspace(10, 20, 101))
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (1.0, 0.78, 1.33)
    """
    seconds_M = np.sort(np.asarray(seconds_M, np.float64))
    if len(seconds_M) < FEW:
        return Hours(np.nan, np.nan, np.nan, f"{len(seconds_M)} answers were timed ({FEW} are needed)")
    if not np.isfinite(questions):
        return Hours(np.nan, np.nan, np.nan, "nobody knows how many questions are left")
    # As many times lie below the median as heads fall in that many throws.
    below = max(int(binom.ppf((1 - level) / 2, len(seconds_M), 0.5)) - 1, 0)
    shortest, longest = seconds_M[below], seconds_M[len(seconds_M) - 1 - below]
    median = float(np.median(seconds_M))
    return Hours(questions * median / 3600, float(low * shortest / 3600), float(high * longest / 3600))
