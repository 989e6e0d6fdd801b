"""What a bundle's networks together said of the validation images: enough to choose any threshold again.

Probabilities and labels alone; which images they are of is not told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from al_cxr.core.checkpoint import load_tensors, save_tensors
from al_cxr.core.errors import UserError


@dataclass(frozen=True, eq=False)
class Validation:
    """Mean probabilities of the members before calibration, float64 (M, C), and labels (M,)."""

    probs_MC: np.ndarray
    labels_M: np.ndarray


def write_validation(path: Path, validation: Validation) -> None:
    save_tensors(
        path,
        {
            "probs": torch.from_numpy(np.asarray(validation.probs_MC, np.float64)),
            "labels": torch.from_numpy(np.asarray(validation.labels_M, np.int64)),
        },
    )


def read_validation(path: Path, classes: int) -> Validation:
    """What `write_validation` wrote; UserError for what is no probabilities of so many classes with labels."""
    tensors, _ = load_tensors(path)
    if tensors.keys() != {"probs", "labels"}:
        raise UserError(f"{path}: holds {', '.join(sorted(tensors)) or 'nothing'} instead of probs and labels; refused")
    probs, labels = tensors["probs"], tensors["labels"]
    kinds = (probs.dtype, labels.dtype) == (torch.float64, torch.int64)
    if not kinds or labels.ndim != 1 or probs.shape != (len(labels), classes):
        raise UserError(f"{path}: not float64 probabilities of {classes} classes, with a label each; refused")
    probs_MC, labels_M = probs.numpy(), labels.numpy()
    likely = np.isfinite(probs_MC).all() and (probs_MC >= 0).all() and np.allclose(probs_MC.sum(axis=1), 1, atol=1e-3)
    if not (len(labels_M) and likely and ((labels_M >= 0) & (labels_M < classes)).all()):
        raise UserError(f"{path}: probabilities that do not add up to 1, or labels of no class; refused")
    return Validation(probs_MC, labels_M)
