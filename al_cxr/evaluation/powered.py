"""The prevalence from few labels and many predictions: what a model says of many images, corrected by its errors.

The correction makes it right however bad the model is; a good model makes it narrow. Intervals are for one look that
was planned, and rest on large samples. `al_cxr.evaluation.audit` has the one that holds at every look.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from al_cxr.core.enough import LEAST
from al_cxr.evaluation.audit import Figure
from al_cxr.evaluation.intervals import LEVEL


def prediction_powered(
    predicted_N: np.ndarray,
    predicted_M: np.ndarray,
    ill_M: np.ndarray,
    weights_M: np.ndarray | None = None,
    level: float = LEVEL,
) -> Figure:
    """Estimate a prevalence from M labels and the predictions for N images.

    With M images asked at random it is prediction-powered inference, with chosen ones and their weights active
    inference. How much is laid on the predictions is tuned by the labels, so that with bad ones it is the plain share.

    Parameters
    ----------
    predicted_N : array, shape (N,)
        P(target), 0..1, of images that the model has not learned from, one a patient, with those of the M labels among
        them: of a model of elsewhere all; of a project's own those of the patients who are set aside for the audit. On
        images that it learned from a model is surer, and what its chooser left over is easier: with them the prevalence
        is wrong.
    predicted_M : array, shape (M,)
        Those of the labelled images.
    ill_M : array of bool, shape (M,)
        Which of these show the target.
    weights_M : array, shape (M,), optional
        `al_cxr.evaluation.weighted.lure_weights` of images that were chosen; all 1 without them.
    level : float
        The coverage to aim at, 0..1.

    Returns
    -------
    Figure
        At one look. Without a value where fewer than five labelled images show the target, or fewer than five do not.

    Raises
    ------
    ValueError
        The arrays do not belong together.

    References
    ----------
    Angelopoulos, Duchi, Zrnic (2023): PPI++: efficient prediction-powered inference. arXiv 2311.01453.
    Zrnic, Candes (2024): Active statistical inference. ICML. arXiv 2403.03208.

    Examples
    --------
    >>> score = np.linspace(0.01, 0.99, 1000)
    >>> found = prediction_powered(score, score[::20], score[::20] > 0.7)
    >>> round(found.value, 2), round(found.low, 2), round(found.high, 2)
    (0.29, 0.21, 0.38)
    """
    predicted_N, predicted_M = np.asarray(predicted_N, np.float64), np.asarray(predicted_M, np.float64)
    ill_M = np.asarray(ill_M, bool)
    weights_M = np.ones(len(ill_M)) if weights_M is None else np.asarray(weights_M, np.float64)
    if not len(predicted_M) == len(ill_M) == len(weights_M) <= len(predicted_N):
        raise ValueError(
            f"{len(predicted_M)} predictions, {len(ill_M)} labels and {len(weights_M)} weights do not belong together, "
            f"or are of more than {len(predicted_N)} images"
        )
    n, size, ill = len(ill_M), len(predicted_N), int(ill_M.sum())
    if min(ill, n - ill) < LEAST:
        why = f"{ill} images of the target and {n - ill} others are too few ({LEAST} of each are needed)"
        return Figure(np.nan, np.nan, np.nan, n, anytime=False, why=why)
    truth_M, said_M = weights_M * ill_M, weights_M * predicted_M
    of_all, of_said = predicted_N.var(), said_M.var(ddof=1)
    trust = np.cov(truth_M, said_M)[0, 1] / (of_said + n / size * of_all) if of_said > 0 else 0.0
    trust = float(np.clip(trust, 0, 1))
    value = trust * float(predicted_N.mean()) + float((truth_M - trust * said_M).mean())
    variance = trust**2 * of_all / size + (truth_M - trust * said_M).var(ddof=1) / n
    if not 0 < value < 1:
        why = "the labels contradict the predictions so much that the estimate is no share"
        return Figure(np.nan, np.nan, np.nan, n, anytime=False, why=why)
    half = norm.ppf((1 + level) / 2) * np.sqrt(variance) / (value * (1 - value))
    return Figure(value, float(expit(logit(value) - half)), float(expit(logit(value) + half)), n, anytime=False)
