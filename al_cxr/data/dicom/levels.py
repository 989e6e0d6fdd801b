"""Stored values as what they mean, and these as 0..1: Modality LUT or rescale, then VOI LUT, window or percentiles.

Everything is of V values and not of pixels; `al_cxr.data.dicom.pixels` says the rule.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from al_cxr.data.dicom.header import number

WIDE = 0.9
"""A window of this share of all values there can be, which also cuts off none of the image, says nothing."""

TAIL = 0.5
"""Per cent of the pixels at either end that a window cuts off where the file has none."""

SHOWN = 0.01
"""Share of grey pixels from which on a window or a table counts."""

MOST_BITS = 16


class Unreadable(Exception):
    """Pixels that cannot be read; the message says why, for a person."""


def meant(dataset: Dataset, values_V: np.ndarray, doubts: list[str]) -> np.ndarray:
    """Stored values -> values that mean something, float64."""
    tables = dataset.get("ModalityLUTSequence")
    if tables:
        return _looked_up(dataset, tables[0], values_V)[0]
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if slope == 0:
        doubts.append("RescaleSlope is 0, and was not used")
        slope = None
    return values_V * (1.0 if slope is None else slope) + (0.0 if intercept is None else intercept)


def shown(dataset: Dataset, values_V: np.ndarray, counts_V: np.ndarray, doubts: list[str]) -> np.ndarray:
    """Values -> 0..1 by the first VOI LUT or window, or by percentiles; `counts_V` says how many pixels have each."""
    if tables := dataset.get("VOILUTSequence"):
        try:
            levels_V = by_voi_table(dataset, tables[0], values_V, doubts)
            if _shows(levels_V, counts_V):
                return levels_V
            doubts.append("the VOI LUT shows next to nothing of the image, so it was not used")
        except (Unreadable, AttributeError, TypeError, ValueError):
            doubts.append("the VOI LUT is damaged, and was not used")
    center, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
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
        levels_V = window(values_V, center, width, function)
        if _shows(levels_V, counts_V):
            return levels_V
        doubts.append("the window shows next to nothing of the image, so it was not used")
    return _percentiles(values_V, counts_V)


def _shows(levels_V: np.ndarray, counts_V: np.ndarray) -> bool:
    """Whether at least `SHOWN` of the pixels are neither black nor white."""
    return bool(counts_V[(levels_V > 0.02) & (levels_V < 0.98)].sum() >= SHOWN * counts_V.sum())


def by_voi_table(dataset: Dataset, table: Dataset, values_V: np.ndarray, doubts: list[str]) -> np.ndarray:
    """Values -> 0..1 by a VOI LUT; where its bits cannot be meant, those that its largest level has."""
    levels_V, bits, largest = _looked_up(dataset, table, values_V)
    if not bits - 2 < largest.bit_length() <= bits:
        doubts.append(f"the VOI LUT has {largest.bit_length()} bits, as which it was read (it says {bits})")
        bits = max(1, largest.bit_length())
    return levels_V / ((1 << bits) - 1)


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
    slope = abs(number(dataset, "RescaleSlope") or 1.0)
    cuts = used_V.min() < center - width / 2 or used_V.max() > center + width / 2
    return bool(not cuts and width >= WIDE * slope * ((1 << int(dataset.BitsStored)) - 1))


def _percentiles(values_V: np.ndarray, counts_V: np.ndarray) -> np.ndarray:
    """Values -> 0..1 between two percentiles of the pixels; all 0 where they are one value."""
    used_U, which_V = np.unique(values_V, return_inverse=True)
    counts_U = np.bincount(which_V, weights=counts_V)
    used_U, counts_U = used_U[counts_U > 0], counts_U[counts_U > 0]
    low, high = float(used_U[0]), float(used_U[-1])
    if len(used_U) > 3:
        share_U = np.cumsum(counts_U[1:-1]) / counts_U[1:-1].sum()
        ends = np.searchsorted(share_U, [TAIL / 100, 1 - TAIL / 100]).clip(max=len(share_U) - 1)
        inner = [float(value) for value in used_U[1:-1][ends]]
        low, high = inner if inner[0] < inner[1] else (low, high)
    if high == low:
        return np.zeros(len(values_V))
    return np.clip((values_V - low) / (high - low), 0, 1)


def _looked_up(dataset: Dataset, table: Dataset, values_V: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Values through one item of a Modality or VOI LUT sequence, as float64, the bits that it says its outputs have,
    and the largest of these."""
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    count = count % 65536 or 65536
    first %= 65536
    if first >= 32768 and values_V.min() < 0:  # SS, which some write and read as US
        first -= 65536
    data = table.LUTData
    if isinstance(data, bytes):
        little = dataset.original_encoding[1] is not False
        one_byte = count <= len(data) <= count + 1
        levels_L = np.frombuffer(data[:count] if one_byte else data[: 2 * count], "u1" if one_byte else _words(little))
    else:
        levels_L = np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF
    if len(levels_L) < count or not 1 <= bits <= MOST_BITS:
        raise Unreadable(f"a lookup table of {len(levels_L)} values of {bits} bits that should have {count}")
    found_V = levels_L[np.clip(np.rint(values_V) - first, 0, count - 1).astype(int)]
    return found_V.astype(np.float64), bits, int(levels_L[:count].max())


def _words(little: bool) -> str:
    return "<u2" if little else ">u2"
