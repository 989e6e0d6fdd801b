"""One model's probabilities on a test set: what an external test makes and its page prints. Arrays only, no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from al_cxr.core.metrics import Metrics


@dataclass(frozen=True, eq=False)
class EvaluatedModel:
    """One model's probabilities (N, C) on a test set, and what they are worth; seeds of one arm share a `group`."""

    group: str
    name: str
    probs_NC: np.ndarray
    metrics: Metrics
    val_probs_MC: np.ndarray | None = None
    """On its own validation images, as are the labels; None where those are not known."""
    val_labels_M: np.ndarray | None = None
    shown: bool = False
    """Whether its tables stand on the page, as those of the first group do, and are not only linked."""
