"""Where the chest is on a radiograph.

Hospitals differ in how much neck, arm, abdomen and black border an image shows, and a network that has seen one of
them reads the frame as part of the disease. A template of a chest is therefore laid over the image at several widths,
heights and places; the best match by normalised cross-correlation (Lewis 1995) says where the chest is, and a network
can look at that part alone (al_cxr.models.crops). The template is a mean of phantoms (`draw_template`): no patient is
in it, and nothing is learnt from a data set, so there is nothing that a split could leak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import fft, ndimage
from scipy.special import expit

VERSION = 1
"""Goes up whenever another box is found on the same image."""
SIDE = 48
"""Pixels of the image in which the chest is looked for."""
REACH = 8
"""Most pixels of those that the middle of the chest lies from the middle of the image, in x and in y."""
SIZES = np.exp(np.linspace(math.log(0.45), math.log(1.35), 21))
ASPECTS = np.exp(np.linspace(-0.3, 0.3, 9))
"""Of the template: side as a share of the image's, and width over height. Every second of each is tried, then those
next to the best: 50 to 60 matches instead of 189, and the best of all in nearly every image."""
SHRINKAGE = 0.15
"""What a match loses for a size s: this times (log s)^2 of width and of height. Ribs match at more than one size."""
MARGIN = 0.9
"""Share of the template that is kept; its outer tenth is mostly arm and air."""
LEAST_MATCH = 0.3
"""A match below it is no chest; such an image is kept whole."""
LOCAL = 7.0
"""Standard deviation, in pixels, of the neighbourhood that grey values are measured against: exposure cancels."""
LENGTH = SIDE + REACH
"""Of the Fourier transforms: enough that no shift within reach wraps around into the image."""
TEMPLATE = Path(__file__).with_name("chest.npy")


@dataclass(frozen=True)
class Box:
    """A part of an image in shares of its width and height, 0 = left or upper edge, 1 = the other; may reach beyond."""

    left: float
    top: float
    right: float
    bottom: float
    match: float
    """Correlation with the template less the shrinkage, at most 1."""


WHOLE = Box(0.0, 0.0, 1.0, 1.0, 0.0)


def find(pixels_HW: np.ndarray) -> Box:
    """The chest on a grey image, of any shape and squashed to a square as all are; `WHOLE` where there is none."""
    bank = _bank()
    square = Image.fromarray(np.ascontiguousarray(pixels_HW)).resize((SIDE, SIDE), Image.Resampling.BOX)
    flat = flattened(np.asarray(square, np.float32) / 255)
    plain, squared = fft.rfft2(flat, (LENGTH, LENGTH)), fft.rfft2(flat * flat, (LENGTH, LENGTH))
    numbers = np.arange(len(SIZES) * len(ASPECTS)).reshape(len(SIZES), len(ASPECTS))
    coarse = _best(bank, plain, squared, numbers[::2, ::2].ravel())
    size, aspect = divmod(coarse[1], len(ASPECTS))
    near = numbers[max(0, size - 1) : size + 2, max(0, aspect - 1) : aspect + 2].ravel()
    found, best, y, x = max(coarse, _best(bank, plain, squared, near))
    if found < LEAST_MATCH:
        return WHOLE
    half_x, half_y = (MARGIN / 2 * bank.sizes[best]).tolist()
    middle_x, middle_y = 0.5 + (x - REACH) / SIDE, 0.5 + (y - REACH) / SIDE
    return Box(middle_x - half_x, middle_y - half_y, middle_x + half_x, middle_y + half_y, found)


def flattened(image_HW: np.ndarray) -> np.ndarray:
    """Grey values (0..1) against their neighbourhood: (value - local mean) / (local standard deviation + 0.03)."""
    mean = ndimage.gaussian_filter(image_HW, LOCAL, mode="nearest", truncate=2.5)
    variance = ndimage.gaussian_filter((image_HW - mean) ** 2, LOCAL, mode="nearest", truncate=2.5)
    return np.asarray((image_HW - mean) / (np.sqrt(variance) + 0.03))


def draw_template(count: int = 120) -> np.ndarray:
    """The mean of flattened phantoms of adults in the standard pose, float16 (SIDE, SIDE): what `TEMPLATE` holds."""
    return np.asarray(
        np.mean([flattened(p.astype(np.float32) / 255) for p in _drawn(count)], axis=0).astype(np.float16)
    )


def draw_grey(count: int = 120) -> np.ndarray:
    """The mean of the same phantoms as they are, float16 (SIDE, SIDE) in 0..1: what `polarity.GREY` holds."""
    return np.asarray(np.mean([p.astype(np.float32) / 255 for p in _drawn(count)], axis=0).astype(np.float16))


def _drawn(count: int) -> list[np.ndarray]:
    from al_cxr.data.phantom.radiographs import standing

    return [np.asarray(Image.fromarray(p).resize((SIDE, SIDE), Image.Resampling.BOX)) for p in standing(count)]


@dataclass(frozen=True)
class _Bank:
    """Of K templates: conjugate spectra of template and window, the windows' sums (K, 1, 1), (width, height)."""

    templates: np.ndarray
    windows: np.ndarray
    sums: np.ndarray
    sizes: np.ndarray


def _best(bank: _Bank, plain: np.ndarray, squared: np.ndarray, numbers_M: np.ndarray) -> tuple[float, int, int, int]:
    """The best match of some templates: its value, the template's number, and the shift, `REACH` being none."""
    window, sums = bank.windows[numbers_M], bank.sums[numbers_M]
    product, mean = _near(plain * bank.templates[numbers_M]), _near(plain * window)
    energy = _near(squared * window) - mean**2 / sums
    # The small addition keeps an empty corner, where there is no energy, from matching everything.
    match = product / np.sqrt(np.maximum(energy, 0) + 0.05 * sums)
    match -= SHRINKAGE * (np.log(bank.sizes[numbers_M]) ** 2).sum(1)[:, None, None] / 2
    best, y, x = (int(i) for i in np.unravel_index(int(match.argmax()), match.shape))
    return float(match[best, y, x]), int(numbers_M[best]), y, x


def _near(spectra_KFF: np.ndarray) -> np.ndarray:
    """Correlations (K, 2 REACH + 1, 2 REACH + 1) at the shifts within reach."""
    cyclic = fft.irfft2(spectra_KFF, (LENGTH, LENGTH))
    return np.asarray(np.roll(cyclic, (REACH, REACH), axis=(1, 2))[:, : 2 * REACH + 1, : 2 * REACH + 1])


@lru_cache(maxsize=1)
def _bank() -> _Bank:
    template = np.load(TEMPLATE, allow_pickle=False).astype(np.float32)
    at_S = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE * 2 - 1
    # What the window leaves out varies from one patient to the next: arms, and all below the diaphragm.
    window = (expit((0.75 - at_S) / 0.05) * expit((at_S + 0.95) / 0.05))[:, None]
    window = window * expit((0.92 - np.abs(at_S)) / 0.05)[None, :]
    sizes = np.array([(size * aspect**0.5, size / aspect**0.5) for size in SIZES for aspect in ASPECTS])
    drawn, windows = [], []
    for width, height in sizes:
        scaled, weight = _scaled(template, width, height), _scaled(window, width, height)
        centred = scaled - (scaled * weight).sum() / weight.sum()
        drawn.append(centred * weight / np.sqrt((centred**2 * weight).sum()))
        windows.append(weight)
    spectra = [fft.rfft2(np.stack(images), (LENGTH, LENGTH)).conj() for images in (drawn, windows)]
    return _Bank(spectra[0], spectra[1], np.stack(windows).sum((1, 2), keepdims=True), sizes)


def _scaled(image_HW: np.ndarray, width: float, height: float) -> np.ndarray:
    """The image about its middle at a share of its width and height, bilinear, 0 beyond."""
    middle = (SIDE - 1) / 2
    matrix, offset = np.array([1 / height, 1 / width]), middle - middle / np.array([height, width])
    return np.asarray(ndimage.affine_transform(image_HW, matrix, offset, order=1, mode="grid-constant"))
