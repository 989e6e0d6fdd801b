"""The pixels of one DICOM radiograph as grey values that mean the same for every file: 0 = black, 255 = white.

In the order of the standard (PS3.3 C.7.6.3, C.11.1, C.11.2): stored value (BitsStored, HighBit, sign), Modality LUT or
rescale, VOI LUT or window, polarity; then square pixels. What a person would choose at a viewer has to be one
fixed rule here (its version is `reader.VERSION`):

- The first VOI LUT of the file; where there is none the first window, by its function. Its darkest output is 0 and its
  brightest 255.
- Where there is neither, or the window cannot be applied or is so wide that it says nothing, the values from the 0.5th
  to the 99.5th percentile of all pixels that are no padding.
- Inverted once, where PhotometricInterpretation is MONOCHROME1. PresentationLUTShape, which says the same a second time
  and is wrong in files of known machines, does not count.
- Padding is black.

All of it is a function of the stored value, so it is computed once for each of at most 65,536 values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

WIDE = 0.9
"""A window of this share of all values there can be, which also cuts off none of the image, says nothing."""

TAIL = 0.5
"""Per cent of the pixels at either end that a window cuts off where the file has none."""

SQUARE = 0.01
"""Relative difference of the spacings from which on pixels are not square."""

MAX_SIDE = 20_000
"""Of an image with square pixels."""

_REPRESENTABLE = 16


class Unreadable(Exception):
    """Pixels that cannot be read; the message says why, for a person."""


@dataclass(frozen=True, eq=False)
class Made:
    """Pixels as float32 (H, W) in 0..255, and what had to be guessed, each as a clause."""

    pixels_HW: np.ndarray
    doubts: tuple[str, ...]


def grey(dataset: Dataset) -> Made:
    """The pixels of a data set with one grey frame; Unreadable otherwise."""
    stored_HW = _stored(dataset)
    doubts: list[str] = []
    low, high = int(stored_HW.min()), int(stored_HW.max())
    if high - low >= 1 << _REPRESENTABLE:
        raise Unreadable("more than 16 bits")
    values_V = np.arange(low, high + 1)
    index_HW = stored_HW - low
    counts_V = np.bincount(index_HW.ravel(), minlength=len(values_V))
    padding_V = _padding(dataset, values_V)
    if counts_V[~padding_V].sum() == 0:
        raise Unreadable("nothing but padding")
    modality_V = _modality(dataset, values_V, doubts)
    shown_V = _shown(dataset, modality_V, np.where(padding_V, 0, counts_V), doubts)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown_V = 1 - shown_V
    elif str(dataset.get("PresentationLUTShape", "")) == "INVERSE":
        doubts.append("PresentationLUTShape INVERSE contradicts MONOCHROME2, which counts: look whether it is negative")
    shown_V[padding_V] = 0
    made_HW = (255 * shown_V).astype(np.float32)[index_HW]
    return Made(_square(dataset, made_HW, doubts), tuple(doubts))


def _stored(dataset: Dataset) -> np.ndarray:
    """Stored values as int32 (H, W): BitsStored bits below HighBit, with the sign that PixelRepresentation says."""
    if "PixelData" not in dataset:
        raise Unreadable("no pixel data of whole numbers")
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax.is_compressed and not syntax.is_deflated:
        _must_have_decoder(syntax)
    bits, signed, high_bit = int(dataset.BitsStored), bool(dataset.PixelRepresentation), dataset.get("HighBit")
    if not syntax.is_encapsulated:  # all bits as they lie there; pydicom cuts some off and looks at no HighBit
        dataset.BitsStored, dataset.PixelRepresentation = dataset.BitsAllocated, 0
    raw_HW = pixel_array(dataset, index=0, raw=True)
    dataset.BitsStored, dataset.PixelRepresentation = bits, int(signed)
    if raw_HW.ndim != 2 or not 1 <= bits <= _REPRESENTABLE:
        raise Unreadable(f"{bits} bits in {raw_HW.ndim} dimensions; grey images of at most 16 bits are read")
    shift = 0 if syntax.is_encapsulated or high_bit is None else max(0, int(high_bit) + 1 - bits)
    stored_HW = (raw_HW.astype(np.int64) >> shift & ((1 << bits) - 1)).astype(np.int32)
    if signed:
        stored_HW[stored_HW >= 1 << (bits - 1)] -= 1 << bits
    return stored_HW


def _must_have_decoder(syntax: UID) -> None:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise Unreadable(f"transfer syntax {syntax.name} ({syntax}), for which there is no decoder") from None
    if not decoder.is_available:
        missing = "; or ".join(decoder.missing_dependencies)
        raise Unreadable(f"transfer syntax {syntax.name} ({syntax}), whose decoder is not installed: {missing}")


def _padding(dataset: Dataset, values_V: np.ndarray) -> np.ndarray:
    """Which stored values are padding."""
    first = _number(dataset, "PixelPaddingValue")
    if first is None:
        return np.zeros(len(values_V), bool)
    last = _number(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    return np.asarray((values_V >= low) & (values_V <= high))


def _modality(dataset: Dataset, values_V: np.ndarray, doubts: list[str]) -> np.ndarray:
    """Stored values -> values that mean something, float64."""
    tables = dataset.get("ModalityLUTSequence")
    if tables:
        return _looked_up(dataset, tables[0], values_V)[0]
    slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
    if slope == 0:
        doubts.append("RescaleSlope is 0, and was not used")
        slope = None
    return values_V * (1.0 if slope is None else slope) + (0.0 if intercept is None else intercept)


def _shown(dataset: Dataset, values_V: np.ndarray, counts_V: np.ndarray, doubts: list[str]) -> np.ndarray:
    """Values -> 0..1 by the first VOI LUT or window, or by percentiles; `counts_V` says how many pixels have each."""
    tables = dataset.get("VOILUTSequence")
    if tables:
        levels_V, bits = _looked_up(dataset, tables[0], values_V)
        return levels_V / ((1 << bits) - 1)
    center, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    used_V = values_V[counts_V > 0]
    if center is None and width is None:
        return _percentiles(values_V, counts_V)
    if center is None or width is None:
        doubts.append("only one of WindowCenter and WindowWidth is given, so neither was used")
    elif function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        doubts.append(f"the VOI LUT function {function[:20]} is not known, so the window was not used")
    elif width < 1 if function == "LINEAR" else width <= 0:
        doubts.append(f"the window width {width:g} is not allowed, so the window was not used")
    elif not _says_nothing(dataset, center, width, used_V):
        return window(values_V, center, width, function)
    return _percentiles(values_V, counts_V)


def window(values_V: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """Values -> 0..1 by a window, PS3.3 C.11.2.1.2.1 and C.11.2.1.3."""
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values_V - center) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return np.clip((values_V - center) / width + 0.5, 0, 1)
    if width == 1:  # a threshold
        return (values_V > center - 0.5).astype(np.float64)
    return np.clip((values_V - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _says_nothing(dataset: Dataset, center: float, width: float, used_V: np.ndarray) -> bool:
    slope = abs(_number(dataset, "RescaleSlope") or 1.0)
    cuts = used_V.min() < center - width / 2 or used_V.max() > center + width / 2
    return bool(not cuts and width >= WIDE * slope * ((1 << int(dataset.BitsStored)) - 1))


def _percentiles(values_V: np.ndarray, counts_V: np.ndarray) -> np.ndarray:
    """Values -> 0..1 between two percentiles of the pixels; all 0 where they are one value."""
    order_V = np.argsort(values_V, kind="stable")
    share_V = np.cumsum(counts_V[order_V]) / counts_V.sum()
    ends = np.searchsorted(share_V, [TAIL / 100, 1 - TAIL / 100]).clip(max=len(order_V) - 1)
    low, high = (float(value) for value in values_V[order_V][ends])
    if high == low:
        used_V = values_V[counts_V > 0]
        low, high = float(used_V.min()), float(used_V.max())
    if high == low:
        return np.zeros(len(values_V))
    return np.clip((values_V - low) / (high - low), 0, 1)


def _looked_up(dataset: Dataset, table: Dataset, values_V: np.ndarray) -> tuple[np.ndarray, int]:
    """Values through one item of a Modality or VOI LUT sequence, as float64, and the bits of its outputs."""
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    count = count % 65536 or 65536
    first %= 65536
    if first >= 32768 and values_V.min() < 0:  # SS, which some write and read as US
        first -= 65536
    data = table.LUTData
    if isinstance(data, bytes):
        little = dataset.original_encoding[1] is not False
        one_byte = len(data) < 2 * count
        levels_L = np.frombuffer(data[:count] if one_byte else data[: 2 * count], "u1" if one_byte else _words(little))
    else:
        levels_L = np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF
    if len(levels_L) < count or not 1 <= bits <= _REPRESENTABLE:
        raise Unreadable(f"a lookup table of {len(levels_L)} values of {bits} bits that should have {count}")
    found_V = levels_L[np.clip(np.rint(values_V) - first, 0, count - 1).astype(int)]
    return np.clip(found_V.astype(np.float64), 0, (1 << bits) - 1), bits


def _words(little: bool) -> str:
    return "<u2" if little else ">u2"


def _square(dataset: Dataset, pixels_HW: np.ndarray, doubts: list[str]) -> np.ndarray:
    """With as many pixels more, along the axis where they are larger, as makes them square."""
    down, across = _spacing(dataset)
    if abs(down - across) <= SQUARE * min(down, across):
        return pixels_HW
    height, width = pixels_HW.shape
    unit = min(down, across)
    shape = (round(width * across / unit), round(height * down / unit))
    if max(shape) > MAX_SIDE or shape[0] * shape[1] > 2 * 80_000_000:
        doubts.append(f"pixels of {across:g} x {down:g} mm cannot be meant, and were taken for square ones")
        return pixels_HW
    return np.asarray(Image.fromarray(pixels_HW).resize(shape, Image.Resampling.BICUBIC)).clip(0, 255)


def _spacing(dataset: Dataset) -> tuple[float, float]:
    """Height and width of a pixel, in some unit: at the patient, else at the detector, else by their ratio."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        numbers = _numbers(dataset, name)
        if len(numbers) == 2 and min(numbers) > 0:
            return numbers[0], numbers[1]
    return 1.0, 1.0


def _number(dataset: Dataset, name: str) -> float | None:
    """The first value of an attribute; None where it is absent, empty or no finite number."""
    return next(iter(_numbers(dataset, name)), None)


def _numbers(dataset: Dataset, name: str) -> list[float]:
    value: Any = dataset.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    several = list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    try:
        numbers = [float(one) for one in several]
    except (TypeError, ValueError):
        return []
    return numbers if np.isfinite(numbers).all() else []
