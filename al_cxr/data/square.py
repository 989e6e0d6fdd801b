"""Grey images squashed to the square that a network sees."""

from __future__ import annotations

import numpy as np
from PIL import Image

REDUCING_GAP = 3.0
"""Large images are first reduced by whole factors to at least so many times the size."""


def to_square(grey: Image.Image, size: int, box: tuple[float, float, float, float] | None = None) -> np.ndarray:
    """A grey image of 0..255, whole or float, or a box of it, as uint8 (size, size), rounded and clipped."""
    made = np.asarray(grey.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP))
    return made if made.dtype == np.uint8 else np.rint(made).clip(0, 255).astype(np.uint8)


def resize(pixels_HW: np.ndarray, size: int) -> np.ndarray:
    """A grey uint8 image of any shape as uint8 (size, size), with the filter that files are resized with."""
    if pixels_HW.shape == (size, size):
        return pixels_HW
    return to_square(Image.fromarray(np.ascontiguousarray(pixels_HW)), size)
