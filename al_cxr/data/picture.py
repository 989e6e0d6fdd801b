"""A radiograph with all bits that its file stores, for a person who chooses what of them is shown.

What a network sees is one fixed rule (`decode`, `dicom.pixels`). Here the rule is the first window, and the values
behind it stay. A window says which value is black and which is white:

    LINEAR_EXACT   (value - center) / width + 0.5, cut to 0..1
    SIGMOID        1 / (1 + exp(-4 (value - center) / width))
    TABLE          `levels`, evenly spread from center - width / 2 to center + width / 2, straight lines between them

The first two are those of DICOM (PS3.3 C.11.2.1.3). Its function LINEAR, of center c and width w, is LINEAR_EXACT of
c - 0.5 and w - 1; TABLE is one of its VOI LUTs.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image

from al_cxr.core.errors import UserError
from al_cxr.data import decode, depth
from al_cxr.data.dicom import reader

TAIL = 0.5
"""Per cent of the pixels at either end that the window "percentiles" cuts off."""
PREVIEW = 1000
"""Pixels of the longest side of a preview."""
_THIN = 1e-6
"""Width of a window that is a threshold."""


@dataclass(frozen=True)
class Window:
    """Which values are shown as which grey."""

    name: str
    center: float
    width: float
    function: str = "LINEAR_EXACT"
    levels: tuple[float, ...] = ()
    """0..1; of a TABLE alone."""

    @classmethod
    def between(cls, name: str, black: float, white: float) -> Window:
        """The straight line from one value to another."""
        return cls(name, (black + white) / 2, max(white - black, _THIN))

    def grey(self, values_V: np.ndarray) -> np.ndarray:
        """0..1 of values of any shape, float64."""
        if self.function == "TABLE":
            ends = self.center - self.width / 2, self.center + self.width / 2
            return np.asarray(np.interp(values_V, np.linspace(*ends, len(self.levels)), self.levels))
        from_center = (values_V.astype(np.float64) - self.center) / self.width
        if self.function == "SIGMOID":
            return np.asarray(1 / (1 + np.exp(np.clip(-4 * from_center, -700, 700))))
        return np.clip(from_center + 0.5, 0, 1)

    def turned(self, largest: float) -> Window:
        """The same of values that are inverted to largest - value."""
        return replace(self, center=largest - self.center, levels=tuple(1 - level for level in reversed(self.levels)))


@dataclass(frozen=True, eq=False)
class Picture:
    """One radiograph; larger values are brighter."""

    pixels_HW: np.ndarray
    """uint16."""
    bits: int
    """That the values have."""
    windows: tuple[Window, ...]
    """The first is the rule by which a network sees the image."""
    aspect: float = 1.0
    """Height of a pixel by its width."""
    inverted: bool = False
    """Whether the file stores dark as large, and the values were turned round."""

    @cached_property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest value."""
        return int(self.pixels_HW.min()), int(self.pixels_HW.max())

    @cached_property
    def preview(self) -> bytes:
        """A JPEG of 8 bits as the first window shows the image, with square pixels, at most `PREVIEW` a side."""
        levels_V = np.rint(255 * self.windows[0].grey(np.arange(self.range[1] + 1))).astype(np.uint8)
        height, width = self.pixels_HW.shape
        tall, wide = height * max(self.aspect, 1), width * max(1 / self.aspect, 1)
        scale = min(1.0, PREVIEW / max(tall, wide))
        size = max(1, round(wide * scale)), max(1, round(tall * scale))
        made = Image.fromarray(levels_V[self.pixels_HW])
        if size != made.size:
            made = made.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        file = io.BytesIO()
        made.save(file, "JPEG", quality=90)
        return file.getvalue()


def picture_of(data: bytes, name: str, usual: Callable[[], int | None] = lambda: None) -> Picture:
    """The picture in the bytes of one image file; `usual` as in `depth.grey`. UserError that starts with `name`."""
    if decode.reads_as_dicom(data, name):
        return _of_dicom(data, name)
    found = decode.opened(data, name)
    if not found.is_deep:
        grey, _, _ = decode.one_channel(found, data, name, usual)
        return of_values(found.turned(np.asarray(grey)), 8, (Window.between("stored range", 0, 255),))
    raw_HW = np.asarray(found.image)
    made = depth.grey(raw_HW, name, depth.stated(found.image, data), usual)
    values_HW, black, white = raw_HW, made.black, made.white
    if made.depth == "stretched":
        low, high = float(raw_HW.min()), float(raw_HW.max())
        scale = 1.0 if raw_HW.dtype.kind in "iu" and high - low < 2**16 else (2**16 - 1) / max(high - low, _THIN)
        values_HW = np.rint((raw_HW.astype(np.float64) - low) * scale)
        black, white = (black - low) * scale, (white - low) * scale
    values_HW = values_HW.clip(0, 2**16 - 1).astype(np.uint16)
    bits = int(values_HW.max()).bit_length() if made.depth == "stretched" else int(made.depth)
    windows = (Window.between("stored range", black, white),)
    return of_values(found.turned(values_HW), bits, windows, inverted=found.is_negative)


def _of_dicom(data: bytes, name: str) -> Picture:
    try:
        values_HW, said = reader.full(data)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    windows = [Window(**window | {"levels": tuple(window["levels"])}) for window in said["windows"]]
    return of_values(values_HW, int(said["bits"]), windows, float(said["aspect"]), bool(said["inverted"]))


def of_values(
    values_HW: np.ndarray, bits: int, windows: Sequence[Window], aspect: float = 1.0, inverted: bool = False
) -> Picture:
    """A picture of whole numbers from 0 on, where `inverted` turned round with their windows, which come first; windows
    that suit every image follow."""
    values_HW = values_HW.astype(np.uint16, copy=False)
    bits = max(bits, int(values_HW.max()).bit_length(), 1)
    if inverted:
        largest = (1 << bits) - 1
        values_HW, windows = np.uint16(largest) - values_HW, [window.turned(largest) for window in windows]
    return Picture(np.ascontiguousarray(values_HW), bits, (*windows, *_usual(values_HW)), aspect, inverted)


def _usual(values_HW: np.ndarray) -> tuple[Window, Window]:
    """From percentile to percentile of the values, the smallest and the largest left aside, and from end to end."""
    counts_V = np.bincount(values_HW.ravel())
    used_U = np.flatnonzero(counts_V)
    low, high = float(used_U[0]), float(used_U[-1])
    ends = low, high
    if len(used_U) > 3:
        share_U = np.cumsum(counts_V[used_U[1:-1]]) / counts_V[used_U[1:-1]].sum()
        inner = used_U[1:-1][np.searchsorted(share_U, [TAIL / 100, 1 - TAIL / 100]).clip(max=len(share_U) - 1)]
        ends = (float(inner[0]), float(inner[1])) if inner[0] < inner[1] else ends
    return Window.between("percentiles", *ends), Window.between("full range", low, high)
