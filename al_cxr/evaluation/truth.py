"""What a model of a run predicted, beside the truth: read back, and checked to belong together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.core.errors import UserError
from al_cxr.core.metrics import Metrics
from al_cxr.core.predictions import read_predictions
from al_cxr.evaluation.calibration import log_probs
from al_cxr.evaluation.predicted import Predicted


def labels_of(images: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """Class numbers (N,), int64, by absolute index, of a run's images.csv; -1 of a label that is no class."""
    numbers = {name: i for i, name in enumerate(classes)}
    return np.array([numbers.get(label, -1) for label in images["label"]], np.int64)


def checked_predictions(
    folder: Path, split: str, labels_N: np.ndarray, recorded: Metrics
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(absolute indices (M,), probabilities (M, C), labels (M,)) of a fit's split; `labels_N` by absolute index.

    The fit's own record says how well it did: labels that do not give the recorded confusion and log loss are those of
    another data set, which is a UserError and not a wrong table.
    """
    index_M, probs_MC = read_predictions(folder, split)
    classes = tuple(c.name for c in recorded.classes)
    inside = len(index_M) > 0 and index_M.min() >= 0 and index_M.max() < len(labels_N)
    if inside and probs_MC.shape == (recorded.n, len(classes)) and (labels_N[index_M] >= 0).all():
        size, true_M = len(classes), labels_N[index_M]
        cells = np.bincount(true_M * size + probs_MC.argmax(axis=1), minlength=size * size)
        loss = -log_probs(probs_MC)[np.arange(len(true_M)), true_M].mean()
        same = cells.reshape(size, size).tolist() == recorded.confusion
        if same and math.isclose(loss, recorded.log_loss, rel_tol=1e-4):
            return index_M, probs_MC, true_M
    raise UserError(
        f"{folder}: the labels given for its {split} images are not those that it was measured with; give "
        "the data set that the run was made of"
    )


def load_predicted(
    folder: Path, name: str, labels_N: np.ndarray, val: Metrics, test: Metrics
) -> tuple[np.ndarray, Predicted]:
    """A fit on its run's own test images, and their absolute indices (M,); errors as in `checked_predictions`."""
    _, val_probs_MC, val_labels_M = checked_predictions(folder, "val", labels_N, val)
    index_M, probs_MC, labels_M = checked_predictions(folder, "test", labels_N, test)
    return index_M, Predicted(name, probs_MC, labels_M, val_probs_MC, val_labels_M)
