"""Several networks as one predictor: deep ensembles (Lakshminarayanan et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def mean_probs(probs_KNC: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """The prediction of a deep ensemble: the mean of its members' probabilities, not of their logits.

    Parameters
    ----------
    probs_KNC : K arrays, shape (N, C)
        The members' probabilities of the same N images.

    Returns
    -------
    array, shape (N, C), float64
        The ensemble's probabilities.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell (2017): Simple and scalable predictive uncertainty estimation using deep
    ensembles. NeurIPS.

    Examples
    --------
    >>> mean_probs([np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])])
    array([[0.7, 0.3]])
    """
    mean_NC: np.ndarray = np.stack([np.asarray(probs, np.float64) for probs in probs_KNC]).mean(axis=0)
    return mean_NC
