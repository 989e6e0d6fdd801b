"""The ceiling that readers' errors set: a perfect model does not agree with a reader who is sometimes wrong.

It is a model of errors, not a measurement: readers err independently of each other and of the model, as often on every
image, and a wrong answer is any of the other classes. In truth all of them err on the same hard images; then readers
agree in their errors, e comes out too small and the ceiling too high.
"""

from __future__ import annotations

import numpy as np

from al_cxr.evaluation.audit import Figure


def against_reader(accuracy: float, error: float, classes: int = 2) -> float:
    """The share of images on which a model agrees with a reader, 0..1.

    Parameters
    ----------
    accuracy : float
        How often the model is right, 0..1.
    error : float
        How often the reader is wrong, 0..1, independently of the model.
    classes : int
        How many there are to choose from.

    Returns
    -------
    float
        Of two classes a (1 - e) + (1 - a) e; 1 - e for a perfect model.

    Examples
    --------
    >>> round(against_reader(0.95, 0.08), 3), against_reader(1.0, 0.08)
    (0.878, 0.92)
    """
    return accuracy * (1 - error) + (1 - accuracy) * error / (classes - 1)


def reader_error(observed: float, classes: int = 2) -> float:
    """How often each of two equally good readers errs who agree on a share of images: the smaller solution e of
    (1 - e)^2 + e^2 / (classes - 1) = observed; NaN where they agree no more than by guessing.

    Examples
    --------
    >>> round(reader_error(0.92**2 + 0.08**2), 3)
    0.08
    """
    # e^2 C / (C - 1) - 2 e + 1 - observed = 0
    square = classes / (classes - 1)
    root = 1 - square * (1 - observed)
    return float((1 - np.sqrt(root)) / square) if root >= 0 else np.nan


def ceiling(observed: Figure, classes: int = 2) -> Figure:
    """What a perfect model would reach against one of these readers: 1 - e, with the bounds that the observed agreement
    has (of `al_cxr.evaluation.agreement`)."""
    value, low, high = (1 - reader_error(share, classes) for share in (observed.value, observed.low, observed.high))
    why = observed.why or ("" if np.isfinite(value) else "readers agree no more than by guessing")
    return Figure(value, low, high, observed.n, anytime=False, why=why)
