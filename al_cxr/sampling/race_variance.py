"""How far the scores of a race vary, of which a few passes of one image say little and those of others more."""

from __future__ import annotations

import numpy as np

from al_cxr.sampling.scores import TINY

NEIGHBOURS = 60
"""Images of similar score whose mean variance an image's own is shrunk to."""


def shrunk(values_M: np.ndarray, scores_M: np.ndarray, freedom: int) -> tuple[np.ndarray, float]:
    """Values >= 0 shrunk to the mean of those with a similar score, and the degrees of freedom they then have.

    What values over that mean vary by beyond 2 / freedom, the variance of a chi-squared mean, is taken to be real.
    """
    m = len(values_M)
    prior_M = _smoothed(values_M, scores_M, NEIGHBOURS)
    ratio_M = np.divide(values_M, prior_M, out=np.ones(m), where=prior_M != 0)
    excess = max((float(ratio_M.var()) - 2 / freedom) / (1 + 2 / freedom), 1e-3)
    weight = 2 / excess
    return (weight * prior_M + freedom * values_M) / (weight + freedom), weight + freedom


def seen(moved_M: np.ndarray, before_M: np.ndarray) -> tuple[np.ndarray, float]:
    """What the squared moves of the last stage say: their mean in images of similar score before, and their tails.

    Images of similar score *now* are alike in what their passes have shown; a jump that some of them have yet to show
    is seen in others only against the score before it. The tails are the excess kurtosis of the moves, above 0.
    """
    usual_M = _smoothed(moved_M, before_M, max(NEIGHBOURS, len(moved_M) // 4))
    ratio_M = np.divide(moved_M, usual_M, out=np.zeros_like(moved_M), where=usual_M > 0)
    return usual_M, max(float(np.mean(ratio_M**2)) / max(float(np.mean(ratio_M)) ** 2, TINY) - 3, TINY)


def _smoothed(values_M: np.ndarray, scores_M: np.ndarray, neighbours: int) -> np.ndarray:
    """The mean of each value and its neighbours by score."""
    m = len(values_M)
    order = np.argsort(scores_M, kind="stable")
    width = min(neighbours, m)
    start = np.clip(np.arange(m) - width // 2, 0, m - width)
    total = np.concatenate([[0.0], np.cumsum(values_M[order])])
    smoothed_M = np.empty(m)
    smoothed_M[order] = (total[start + width] - total[start]) / width
    return smoothed_M
