"""All bits of a DICOM radiograph, and every window that its file has for it: what a person at a viewer wants.

`pixels.py` shows the same values by one fixed rule; the first window here is that rule's. Values are whole numbers from
0 on: what a Modality LUT gives, or the stored values, moved up where they have a sign. A rescale only says how to read
the windows, so no bit is lost to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from al_cxr.data.dicom.header import number, numbers
from al_cxr.data.dicom.levels import Unreadable, by_voi_table, meant, shown, window
from al_cxr.data.dicom.pixels import counted, field, padding, spacing, stored

SAME = 1.5 / 255
"""Of white, within which two windows show the same."""
MOST_WINDOWS, MOST_LEVELS = 12, 1024
KNOWN = frozenset(
    {
        *(
            "NORMAL",
            "STANDARD",
            "USER",
            "HARDER",
            "SOFTER",
            "HARD",
            "SOFT",
            "SHARP",
            "SMOOTH",
            "LOW",
            "HIGH",
            "CONTRAST",
        ),
        *("LUNG", "LUNGS", "BONE", "MEDIASTINUM", "CHEST"),
    }
)
"""Words that the name of a window may be made of: the text is free, and someone may have put a patient into it."""


@dataclass(frozen=True)
class Shown:
    """A window as `al_cxr.data.picture.Window` has it."""

    name: str
    center: float
    width: float
    function: str = "LINEAR_EXACT"
    levels: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class _Scale:
    """Patterns of bits V as values, and what these mean: meaning = slope (value - offset) + intercept."""

    values_V: np.ndarray
    meant_V: np.ndarray
    used_V: np.ndarray
    """Whether a pixel has the pattern, padding aside."""
    slope: float
    intercept: float
    offset: float

    def window(self, name: str, center: float, width: float, function: str = "LINEAR_EXACT") -> Shown:
        """A window of meanings as one of values."""
        at = (center - self.intercept) / self.slope + self.offset
        return Shown(name, at, max(width / abs(self.slope), 1e-6), function)

    def table(self, name: str, levels_V: np.ndarray) -> Shown:
        """Levels 0..1 of each pattern as a table of values, brighter with larger values where meanings are."""
        values_U, first = np.unique(self.values_V[self.used_V], return_index=True)
        levels_U = levels_V[self.used_V][first]
        low, high = float(values_U[0]), float(values_U[-1])
        at = np.linspace(low, high, int(min(max(high - low + 1, 2), MOST_LEVELS)))
        levels = np.interp(at, values_U, levels_U if self.slope > 0 else 1 - levels_U)
        return Shown(name, (low + high) / 2, max(high - low, 1e-6), "TABLE", tuple(np.round(levels, 4).tolist()))


def full(dataset: Dataset) -> tuple[np.ndarray, dict[str, Any]]:
    """Values uint16 (H, W) of a data set with one grey frame, before they are inverted, and what `picture.of_values`
    wants to know of them; Unreadable otherwise."""
    raw_HW, stored_V = stored(dataset)
    padding_V = padding(dataset, stored_V)
    counts_V = np.where(padding_V, 0, counted(raw_HW[field(dataset, raw_HW.shape)], len(stored_V)))
    if not counts_V.any():
        raise Unreadable("nothing but padding")
    scale = _scale(dataset, stored_V, counts_V > 0)
    rule_V = shown(dataset, scale.meant_V, counts_V, [])
    windows = [pair[0] for pair in _in_order(list(_of_file(dataset, scale)), rule_V, scale)]
    inverted = (dataset.PhotometricInterpretation == "MONOCHROME1") != (scale.slope < 0)
    bits = max(int(dataset.BitsStored), int(scale.values_V[scale.used_V].max()).bit_length())
    values_V = np.where(padding_V, ((1 << bits) - 1) if inverted else 0, scale.values_V).clip(0, 2**16 - 1)
    down, across = spacing(dataset)
    said = {"bits": bits, "aspect": down / across, "inverted": bool(inverted), "windows": [asdict(w) for w in windows]}
    return values_V.astype(np.uint16)[raw_HW], said


def _scale(dataset: Dataset, stored_V: np.ndarray, used_V: np.ndarray) -> _Scale:
    meant_V = meant(dataset, stored_V, [])
    if dataset.get("ModalityLUTSequence"):
        return _Scale(np.rint(meant_V).astype(np.int64), meant_V, used_V, 1.0, 0.0, 0.0)
    offset = float(1 << (int(dataset.BitsStored) - 1)) if dataset.PixelRepresentation else 0.0
    slope, intercept = number(dataset, "RescaleSlope") or 1.0, number(dataset, "RescaleIntercept") or 0.0
    return _Scale(stored_V + int(offset), meant_V, used_V, slope, intercept, offset)


def _of_file(dataset: Dataset, scale: _Scale) -> Iterator[tuple[Shown, np.ndarray]]:
    """The VOI LUTs and windows of a file that can be applied, each with the levels 0..1 of all patterns."""
    for i, table in enumerate(list(dataset.get("VOILUTSequence") or [])[:MOST_WINDOWS]):
        try:
            levels_V = by_voi_table(dataset, table, scale.meant_V, [])
        except (Unreadable, AttributeError, TypeError, ValueError):
            continue
        yield scale.table(_name(table.get("LUTExplanation"), f"table {i + 1}"), levels_V), levels_V
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    said = dataset.get("WindowCenterWidthExplanation")
    names = [said] if isinstance(said, str) else list(said or [])
    pairs = list(zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False))[:MOST_WINDOWS]
    for i, (center, width) in enumerate(pairs):
        if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or (width < 1 if function == "LINEAR" else width <= 0):
            continue
        name = _name(names[i] if i < len(names) else None, f"window {i + 1}")
        exact = (center - 0.5, width - 1) if function == "LINEAR" else (center, width)
        made = scale.window(name, *exact, "SIGMOID" if function == "SIGMOID" else "LINEAR_EXACT")
        yield made, window(scale.meant_V, center, width, function)


def _in_order(
    found: list[tuple[Shown, np.ndarray]], rule_V: np.ndarray, scale: _Scale
) -> list[tuple[Shown, np.ndarray]]:
    """That of the rule first; where it is none of the file's, the straight line between its darkest and brightest."""
    rule_U = rule_V[scale.used_V]
    for i, (_, levels_V) in enumerate(found):
        if np.abs(levels_V[scale.used_V] - rule_U).max() < SAME:
            return [found[i], *found[:i], *found[i + 1 :]]
    meant_U = scale.meant_V[scale.used_V]
    black = float(meant_U[rule_U <= 0].max())
    white = float(meant_U[rule_U >= 1].min()) if (rule_U >= 1).any() else black
    return [(scale.window("automatic", (black + white) / 2, white - black), rule_V), *found]


def _name(text: Any, otherwise: str) -> str:
    words = str(text or "").upper().split()[:3]
    return " ".join(words).lower() if words and KNOWN.issuperset(words) else otherwise
