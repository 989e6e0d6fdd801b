"""Trained heads on the disk, and as networks of torch: the last models of a project are kept, a small file each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax

from al_cxr.core.checkpoint import load_tensors, save_tensors, weights_hash
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import EDITED
from al_cxr.models.backbone import Head

FOLDER = "models"
BATCH = 4096


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A trained head: logits are ((features - mean) / std) @ weight.T + bias."""

    key: str
    """Of all that decides it."""
    mean_K: np.ndarray
    std_K: np.ndarray
    weight_CK: np.ndarray
    bias_C: np.ndarray
    labelled: int
    """Images it was trained on."""

    def probs(self, features_NK: np.ndarray, index_M: np.ndarray | None = None) -> np.ndarray:
        """Probabilities float64 (N, C), or (M, C) of the images `index_M` without a copy of all their features."""
        scaled_CK = (self.weight_CK / self.std_K).astype(np.float32)
        shift_C = self.bias_C - scaled_CK.astype(np.float64) @ self.mean_K
        size = len(features_NK) if index_M is None else len(index_M)
        spans = [slice(at, at + BATCH) for at in range(0, size, BATCH)]
        parts = [features_NK[span if index_M is None else index_M[span]] @ scaled_CK.T for span in spans]
        logits_NC = np.concatenate(parts) if parts else np.empty((0, len(self.bias_C)))
        probs_NC: np.ndarray = softmax(logits_NC.astype(np.float64) + shift_C, axis=1)
        return probs_NC


def torch_head(model: HeadModel, dropout: float) -> Head:
    """The head as a network, features (B, K) -> logits (B, C)."""
    head = Head(model.weight_CK.shape[1], len(model.weight_CK), dropout)
    head.load_state_dict(_tensors(model))
    return head


def keep(project: Path, model: HeadModel) -> None:
    """Write a head into the project, unless it is there."""
    file = project / FOLDER / f"{model.key}.safetensors"
    if not file.exists():
        write_head(file, model)


def write_head(file: Path, model: HeadModel) -> None:
    """The weights of a head, as a network of torch names them."""
    save_tensors(file, _tensors(model), {"labelled": model.labelled})


def weights_of(model: HeadModel) -> str:
    """Hex SHA-256 of the weights of a head."""
    return weights_hash(torch_head(model, 0.0))


def kept(project: Path, key: str) -> HeadModel | None:
    """The head of a key; None where it is not there. UserError where its file is no head."""
    file = project / FOLDER / f"{key}.safetensors"
    if not file.exists():
        return None
    tensors, note = load_tensors(file)
    try:
        return HeadModel(
            key,
            tensors["standardise.mean"].numpy(),
            tensors["standardise.std"].numpy(),
            tensors["linear.weight"].numpy(),
            tensors["linear.bias"].double().numpy(),
            int(note["labelled"]),
        )
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{file}: not a head that al-cxr wrote; {EDITED}; delete the file") from None


def _tensors(model: HeadModel) -> dict[str, torch.Tensor]:
    return {
        "standardise.mean": torch.from_numpy(np.asarray(model.mean_K, np.float32)),
        "standardise.std": torch.from_numpy(np.asarray(model.std_K, np.float32)),
        "linear.weight": torch.from_numpy(np.asarray(model.weight_CK, np.float32)),
        "linear.bias": torch.from_numpy(np.asarray(model.bias_C, np.float32)),
    }
