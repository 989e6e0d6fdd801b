"""Files that are no plain radiographs, as far as that can be seen without doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import FORMATS

CONTRAST = 32
"""Grey levels from the 1st to the 99th percentile, below which there is almost nothing to see: of 7,517 radiographs
of three hospitals the flattest has 84."""

NEGATIVE = -0.2
"""Correlation with the average of the other images below which one looks like a negative: of the same radiographs
the lowest is -0.02, and of their negatives 99 % are below."""

ENOUGH = 20
"""Images without which an average image says nothing."""

SMALL, LONG, COLOUR = 64, 2.0, 10.0
"""Pixels of the shorter side; longer side to shorter; mean difference of the colour channels in grey levels."""


@dataclass(frozen=True)
class Odd:
    """What is odd about one image, in words."""

    index: int
    name: str
    what: str


def odd_pixels(dataset: Dataset, index_M: np.ndarray, pixels_MSS: np.ndarray) -> list[Odd]:
    """Images of one grey, without contrast, or that look like negatives among M readable ones, uint8 (M, S, S)."""
    found: list[Odd] = []
    total_SS = pixels_MSS.sum(axis=0, dtype=np.float64)
    for i, image_SS in zip(index_M.tolist(), pixels_MSS, strict=True):
        low, high = np.percentile(image_SS, [1, 99])
        if image_SS.max() == image_SS.min():
            what = f"one grey ({image_SS.max()}) all over"
        elif high - low < CONTRAST:
            what = f"almost without contrast ({high - low:.0f} grey levels)"
        elif len(pixels_MSS) >= ENOUGH and (r := _correlation(image_SS, total_SS - image_SS)) < NEGATIVE:
            what = (
                f"unlike the rest: bright where they are dark (correlation {r:.2f}); a negative, or no frontal chest?"
            )
        else:
            continue
        found.append(Odd(i, dataset.images.name(i), what))
    return found


def odd_files(dataset: Dataset, index_M: np.ndarray) -> list[Odd] | None:
    """Small, long or coloured originals; None where the images do not come from files that can be asked.

    Images that do have a method `path(index) -> Path`.
    """
    path: Callable[[int], Path] | None = getattr(dataset.images, "path", None)
    if path is None:
        return None
    found = [(int(i), _original(path(int(i)))) for i in index_M]
    return [Odd(i, dataset.images.name(i), what) for i, what in found if what]


def _original(path: Path) -> str:
    """What is odd about a file that was decoded before; "" where nothing is."""
    with Image.open(path, formats=FORMATS) as image:
        width, height = image.size
        short, long = sorted((width, height))
        said = [f"only {width} x {height} pixels"] * (short < SMALL)
        said += [f"{width} x {height} pixels, squashed to a square by {long / short:.1f}"] * (long > LONG * short)
        if image.mode not in ("1", "L", "LA", "I", "F") and not image.mode.startswith("I;"):
            image.draft("RGB", (SMALL, SMALL))
            rgb_SSC = np.asarray(image.convert("RGB").resize((SMALL, SMALL)), dtype=np.float32)
            colour = float(np.ptp(rgb_SSC, axis=2).mean())
            said += [f"coloured (channels differ by {colour:.0f} grey levels)"] * (colour > COLOUR)
    return "; ".join(said)


def _correlation(a_SS: np.ndarray, b_SS: np.ndarray) -> float:
    a, b = a_SS - a_SS.mean(), b_SS - b_SS.mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size else 0.0
