"""Ages, sexes and views as people write them, in one spelling each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from al_cxr.core.errors import UserError
from al_cxr.data.unknown import is_unknown

OLDEST = 120
_SEXES = {"m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F", "w": "F"}
_AGE = re.compile(r"[>≥]?=?\s*(\d{1,3})(?:[.,](\d+))?\s*\+?\s*([a-z]*)\.?(?: old)?", re.ASCII)
_IN_A_YEAR = {"": 1, "y": 1, "m": 12, "w": 52, "d": 365}
_UNITS = {
    *("", "y", "yo", "yr", "yrs", "year", "years"),
    *("m", "mo", "month", "months", "w", "week", "weeks", "d", "day", "days"),
}

Where = Callable[[int], str]
"""Position of an image -> how an error begins that is about it: the file and the row, or the folder."""


def ages(texts_N: list[str], where: Where, notes: list[str]) -> list[str]:
    """Years as they were written; in another unit, as years. Numbers that are no age of a person are unknown."""
    out, odd = [], []
    for i, text in enumerate(texts_N):
        if is_unknown(text):
            out.append("")
            continue
        match = _AGE.fullmatch(text.lower())
        if match is None and re.fullmatch(r"[+-]?\d+([.,]\d+)?", text):
            odd.append(text)
            out.append("")
            continue
        if match is None or match[3] not in _UNITS:
            raise UserError(f"{where(i)}: age {text!r} is not an age; write years, such as 45 or 0.5, or nothing")
        number = float(f"{match[1]}.{match[2] or 0}")
        years = number / _IN_A_YEAR[match[3][:1]]
        if years > OLDEST:
            odd.append(text)
            out.append("")
        elif re.fullmatch(r"\d+(\.\d+)?", text):
            out.append(text)
        else:
            out.append(f"{round(years, 2):g}")
    if odd:
        notes.append(f"{len(odd)} ages are not those of a person and count as unknown: {', '.join(odd[:3])}")
    return out


def sexes(texts_N: list[str], where: Where, notes: list[str]) -> list[str]:
    """M and F; "" for anything else, which is said in a note."""
    odd = Counter(t for t in texts_N if not is_unknown(t) and t.lower() not in _SEXES)
    if odd:
        written = ", ".join(repr(text) for text, _ in odd.most_common(3))
        notes.append(f"{odd.total()} cells of sex are neither M nor F and count as unknown: {written}")
    return [_SEXES.get(text.lower(), "") for text in texts_N]


def views(texts_N: list[str], where: Where, notes: list[str]) -> list[str]:
    """In capitals, such as PA and AP; "" where unknown."""
    return ["" if is_unknown(text) else text.upper() for text in texts_N]
