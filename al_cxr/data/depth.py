"""Which value of a file of more than 8 bits is white.

A file's own statement counts: the chunk sBIT of a PNG; the bits a sample, or the largest sample, of a TIFF. Most files
say no more than that they have room for 16 bits, and a radiograph of 12 bits in one of those is not black. Its depth is
then the smallest of `BITS` that holds 98 % of its values, the smallest and the largest value left aside: a burnt-in
letter, a hot pixel or a padded border do not decide how bright the lungs are. What lies above becomes white.

One image alone can mislead: of a series of 12 bits the darkest image uses ten. So an image that could be of the depth
that is `usual` among its neighbours is read with that depth. All else that had to be guessed is said (`Grey.doubts`).

Floating point, negative integers and integers above 16 bits have no depth. They are stretched from the 2nd to the 98th
percentile, which loses the exposure, and that is said too.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, TiffImagePlugin

from al_cxr.core.errors import UserError

BITS = (8, 10, 12, 14, 16)
"""Depths that are guessed; a file may state any."""

TAIL = 2.0
"""Per cent of the values at either end that decide nothing."""

SLACK = 1.1
"""How far above the largest value of a depth that level may lie: of a 12-bit detector some images reach 4,200."""

DARK = 8
"""How many times darker than white that level may be for an image to be of the usual depth and merely dark."""

_SAMPLED = 2**20
"""Pixels from which the level is taken, evenly spread: a larger image has no other level."""

_MAX_SAMPLE, _SIGNED_MAX_SAMPLE = 281, 341
"""TIFF tags: MaxSampleValue and SMaxSampleValue."""


@dataclass(frozen=True, eq=False)
class Grey:
    """Pixels as float32 (H, W) in 0..255, and how they came there."""

    pixels_HW: np.ndarray
    depth: str
    """The bits, or "stretched"."""
    doubts: tuple[str, ...] = ()
    """What had to be guessed against what the file holds, each as a clause; none where nothing had to be."""
    black: float = 0.0
    """Value of the file that became 0."""
    white: float = 255.0
    """Value of the file that became 255."""


def stated(image: Image.Image, data: bytes) -> int | None:
    """The bits that a file of more than 8 bits says its values have; None where it only says that 16 have room."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = _whole(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE))
        if bits and bits < 16:
            return bits
        for tag in (_MAX_SAMPLE, _SIGNED_MAX_SAMPLE):
            # Any other number is the brightest pixel of this image, which may be a burnt-in letter.
            largest = _whole(image.tag_v2.get(tag))
            if largest and largest & (largest + 1) == 0 and 8 <= largest.bit_length() < 16:
                return largest.bit_length()
        return None
    bits = next((body[0] for kind, body in _chunks(data) if kind == b"sBIT" and body), 16)
    return bits if 0 < bits < 16 else None


def grey(pixels_HW: np.ndarray, name: str, stated: int | None, usual: Callable[[], int | None] = lambda: None) -> Grey:
    """Whole numbers or floating point of more than 8 bits as grey.

    `stated` are the bits that the file states, `usual()` those of most files beside it, asked only where none are.
    UserError that starts with `name` where a value is not finite.
    """
    smallest, largest = pixels_HW.min(), pixels_HW.max()
    if not (np.isfinite(smallest) and np.isfinite(largest)):
        raise UserError(f"{name}: has pixels that are not finite numbers (NaN or infinity)")
    sample = _sampled(pixels_HW)
    low, high = _ends(sample)
    if not np.issubdtype(pixels_HW.dtype, np.integer):
        return _stretched(pixels_HW, low, high, "floating point has no bit depth")
    if low < 0 or high >= 2**16:
        return _stretched(pixels_HW, low, high, "negative values or more than 16 bits have no depth to go by")

    own = next((bits for bits in BITS if high <= SLACK * _white(bits)), 16)
    doubts = []
    if stated is not None and high <= SLACK * _white(stated):
        bits = stated
    elif stated is not None:
        bits = 16  # as a PNG should: what has 12 bits is spread over all 16
    else:
        if own == 16 and low > _white(16) / 4 and high - low < _white(16) / DARK:
            return _stretched(pixels_HW, low, high, "all values lie close together, far from black")
        bits = own
        if (most := usual()) is not None and most != own:
            fits = _white(most) / DARK <= high <= SLACK * _white(most)
            if fits:
                bits = most
                doubts.append(f"read as {most} bits, as most others are, though {own} would do")
            else:
                doubts.append(f"read as {own} bits, though most others have {most}")
        if largest > _white(bits):
            doubts.append(f"a few values lie above {bits} bits and were cut to white (a burnt-in letter, a hot pixel?)")
        if bits == 16 and _torn(sample):
            doubts.append("very dark and very bright values and none between (negative values saved without sign?)")
    scaled_HW = pixels_HW.astype(np.float64) * (255 / _white(bits))
    return Grey(scaled_HW.clip(0, 255).astype(np.float32), str(bits), tuple(doubts), 0.0, float(_white(bits)))


def empty(upper_HW: np.ndarray) -> bool:
    """Whether the upper 8 bits of an image, uint8, say next to nothing: all but TAIL per cent in the lowest quarter."""
    return _ends(_sampled(upper_HW))[1] < 64


def _white(bits: int) -> int:
    return (1 << bits) - 1


def _sampled(pixels_HW: np.ndarray) -> np.ndarray:
    step = max(1, int((pixels_HW.size / _SAMPLED) ** 0.5))
    return pixels_HW[::step, ::step]


def _ends(values: np.ndarray) -> tuple[float, float]:
    """Percentiles TAIL and 100 - TAIL of the values between the smallest and the largest; those two if none are."""
    inner = _inner(values)
    if not inner.size:
        return float(values.min()), float(values.max())
    low, high = np.percentile(inner, [TAIL, 100 - TAIL])
    return float(low), float(high)


def _inner(values: np.ndarray) -> np.ndarray:
    return np.asarray(values[(values > values.min()) & (values < values.max())])


def _torn(values: np.ndarray) -> bool:
    """Whether 16-bit values fill both ends of the scale and hardly any its middle half."""
    inner = _inner(values)
    if not inner.size:
        return False
    dark, middle, bright = np.histogram(inner, [0, 2**14, 3 * 2**14, 2**16])[0] / inner.size
    return bool(middle < 0.001 and min(dark, bright) > TAIL / 100)


def _stretched(pixels_HW: np.ndarray, low: float, high: float, why: str) -> Grey:
    doubt = f"{why}: stretched over its own range, so exposures cannot be compared"
    if high == low:
        return Grey(np.zeros(pixels_HW.shape, np.float32), "stretched", (doubt,), low, low)
    scaled_HW = (pixels_HW.astype(np.float64) - low) * (255 / (high - low))
    return Grey(scaled_HW.clip(0, 255).astype(np.float32), "stretched", (doubt,), low, high)


def _whole(value: object) -> int | None:
    """A TIFF tag as one whole number; None where it is none."""
    first = value[0] if isinstance(value, tuple) and value else value
    return int(first) if isinstance(first, (int, float)) and first == int(first) else None


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and first bytes of the chunks of a PNG before its pixels; nothing of other files or damaged ones."""
    at = 8
    while data.startswith(b"\x89PNG\r\n\x1a\n") and at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            return
        yield kind, data[at + 8 : at + 8 + min(length, 4)]
        at += 12 + length
