"""What a trained model said of its validation and test images, read back from the file that its training wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from al_cxr.core.errors import UserError
from al_cxr.core.invalid import EDITED

PREDICTIONS = "predictions.safetensors"


def read_predictions(fit_folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Absolute indices (N,) and probabilities (N, C) of the images of a split, "val" or "test".

    UserError where the file is missing, is something else, or holds what cannot be probabilities.
    """
    path = fit_folder / PREDICTIONS
    try:
        arrays = load_file(path)
        index_N, probs_NC = arrays[f"{split}_index"], arrays[f"{split}_probs"]
    except FileNotFoundError:
        raise UserError(
            f"{path}: the model's predictions are missing; start the same command again, which goes on"
        ) from None
    except (KeyError, SafetensorError) as error:
        raise UserError(f"{path}: the model's predictions cannot be read ({error}): {EDITED}; train it again") from None
    rows_fit = probs_NC.ndim == 2 and index_N.shape == probs_NC.shape[:1] and np.issubdtype(index_N.dtype, np.integer)
    if not rows_fit or not np.isfinite(probs_NC).all() or (probs_NC < 0).any():
        raise UserError(f"{path}: {split}_probs and {split}_index do not belong together: {EDITED}; train it again")
    return index_N, probs_NC
