"""Subgroups of a test set that may fare worse than the whole: by source, sex, age and view, where they are known."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from al_cxr.core.enough import FEW

COLUMNS = ("source", "sex", "age", "view")
MOST = 12
"""Values a column that are told apart, the most frequent first."""
UNKNOWN = "unknown"
OTHER = "other"
AGES = ((0, "under 18"), (18, "18 to 39"), (40, "40 to 64"), (65, "65 and over"))
OLDEST = 120
_SEXES = {"m": "male", "male": "male", "f": "female", "female": "female"}
_A_YEAR = {"": 1, "Y": 1, "M": 12, "W": 52, "D": 365}
_AGE = re.compile(r"(\d{1,3})(?:\.\d+)?([YMWD]?)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Subgroup:
    """The images of one value of one column; `mask_N` is true for them."""

    column: str
    value: str
    mask_N: np.ndarray

    def __str__(self) -> str:
        return f"{self.column} {self.value}"

    @property
    def nameable(self) -> bool:
        """Whether it may be called the worst: large enough, and a group that somebody could look into."""
        return int(self.mask_N.sum()) >= FEW and self.value not in (UNKNOWN, OTHER)


def subgroups(table: pd.DataFrame) -> list[Subgroup]:
    """Find the subgroups of images by source, sex, age and view.

    Parameters
    ----------
    table : DataFrame
        One row an image. Ages are years ("58", "58.0") or DICOM's ("058Y", "011M"), 0 to 120; anything else is
        unknown, as is an empty cell.

    Returns
    -------
    list of Subgroup
        One for each value of each column; a column that is missing or has one value for all makes none.

    Examples
    --------
    >>> table = pd.DataFrame({"sex": ["F", "M", "F"], "view": ["PA", "PA", "PA"]})
    >>> [str(found) for found in subgroups(table)]
    ['sex female', 'sex male']
    """
    found = []
    for column in COLUMNS:
        if column not in table:
            continue
        values_N = np.array([_value(column, cell) for cell in table[column]], dtype=object)
        counts = pd.Series(values_N).value_counts()
        known = sorted(sorted(v for v in counts.index if v != UNKNOWN), key=lambda v: -counts[v])
        if len(known) > MOST:
            values_N[np.isin(values_N, known[MOST:])] = OTHER
            known = [*known[:MOST], OTHER]
        if column == "age":
            known = [name for _, name in AGES if name in known]
        values = [*known, *([UNKNOWN] if UNKNOWN in counts.index else [])]
        if known and len(values) > 1:
            found += [Subgroup(column, value, values_N == value) for value in values]
    return found


def age_group(text: str) -> str:
    """The group of an age as it is written in a table; "unknown" where it is no age of a person."""
    match = _AGE.fullmatch(text)
    if match is None:
        return UNKNOWN
    years = int(match[1]) // _A_YEAR[match[2].upper()]
    if years > OLDEST:
        return UNKNOWN
    return next(name for start, name in reversed(AGES) if years >= start)


def _value(column: str, cell: object) -> str:
    text = "" if cell is None or (isinstance(cell, float) and np.isnan(cell)) else " ".join(str(cell).split())
    if not text:
        return UNKNOWN
    if column == "age":
        return age_group(text)
    if column == "sex":
        return _SEXES.get(text.lower(), UNKNOWN)
    return text.upper() if column == "view" else text
