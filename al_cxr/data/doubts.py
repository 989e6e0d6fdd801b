"""What had to be guessed about single images, or why they are left out, as lines that a person reads."""

from __future__ import annotations

from collections.abc import Iterable

_NAMED = 3
"""Images that a line names."""

FEW = 5
"""Details of one kind that have a line each; of more the kind has one line."""

MOST = 20
"""Lines about all images together: a hostile archive can give each of its files a reason of its own."""


def doubt_lines(doubts: Iterable[tuple[str, str]], total: int) -> list[str]:
    """(name of an image, what is doubtful) of some of `total` images -> a line for each doubt, with the first names."""
    names_of = grouped(doubts)
    lines = [f"{doubt}: {listed(names, total)}" for doubt, names in names_of.items()]
    if len(lines) <= MOST:
        return lines
    others = sum(len(names) for names in list(names_of.values())[MOST:])
    return [*lines[:MOST], f"and {len(lines) - MOST:,} more kinds, each of few: {others:,} of {total:,} images"]


def grouped(said: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """(name, text) of some images -> text -> names, in the order of the texts.

    A text may end in details in brackets. Where more than `FEW` differ in these alone, they are one text without them.
    """
    names_of: dict[str, list[str]] = {}
    for name, text in said:
        names_of.setdefault(text, []).append(name)
    details_of: dict[str, int] = {}
    for text in names_of:
        details_of[_kind(text)] = details_of.get(_kind(text), 0) + 1
    found: dict[str, list[str]] = {}
    for text, names in names_of.items():
        kind = _kind(text)
        found.setdefault(kind if details_of[kind] > FEW else text, []).extend(names)
    return found


def listed(names: list[str], total: int) -> str:
    """How many images of how many, and the first names."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{len(names):,} of {total:,} images ({', '.join(names[:_NAMED])}{more})"


def _kind(text: str) -> str:
    return text.partition(" (")[0] if text.endswith(")") else text
