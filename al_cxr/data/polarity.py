"""Whether an image looks like the negative of a frontal chest radiograph.

Grey values are correlated with a mean of phantoms (`chest.draw_grey`). The templates of `chest.find` cannot tell: they
fit a negative nearly as well, at another place.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

GREY = Path(__file__).with_name("chest_grey.npy")

NEGATIVE = -0.1
"""Likeness below which an image looks like a negative, or shows something else. Of 7,517 public radiographs of three
hospitals none lies below it (the least has -0.02), and of their negatives 99.9 % do."""


def likeness(pixels_HW: np.ndarray) -> float:
    """Correlation, -1..1, of an image, uint8 and squashed to a square, with the mean chest; 0 of a flat one."""
    mean = _mean()
    square = Image.fromarray(np.ascontiguousarray(pixels_HW)).resize(mean.shape, Image.Resampling.BOX)
    image = np.asarray(square, np.float64)
    image = image - image.mean()
    energy = float((image**2).sum() * (mean**2).sum())
    return float((image * mean).sum()) / math.sqrt(energy) if energy else 0.0


@lru_cache(maxsize=1)
def _mean() -> np.ndarray:
    mean = np.load(GREY, allow_pickle=False).astype(np.float64)
    return np.asarray(mean - mean.mean())
