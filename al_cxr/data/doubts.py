"""What had to be guessed about single images, as lines that a person reads."""

from __future__ import annotations

from collections.abc import Iterable

_NAMED = 3
"""Images that a line names."""


def doubt_lines(doubts: Iterable[tuple[str, str]], total: int) -> list[str]:
    """(name of an image, what is doubtful) of some of `total` images -> a line for each doubt, with the first names."""
    names_of: dict[str, list[str]] = {}
    for name, doubt in doubts:
        names_of.setdefault(doubt, []).append(name)
    return [f"{doubt}: {listed(names, total)}" for doubt, names in names_of.items()]


def listed(names: list[str], total: int) -> str:
    """How many images of how many, and the first names."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{len(names):,} of {total:,} images ({', '.join(names[:_NAMED])}{more})"
