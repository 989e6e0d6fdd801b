"""The name that somebody meant who wrote another one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.5
"""Similarity (0..1, of difflib) from which a name is offered."""
LISTED = 40
"""Names that are listed where none is near; of more, their number is said."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like a word, upper and lower case, `-`, `_` and blanks being the same; None if none is."""
    names = {_folded(name): name for name in known}
    found = difflib.get_close_matches(_folded(word), names, n=1, cutoff=CUTOFF)
    return names[found[0]] if found else None


def hint(word: str, known: Iterable[str]) -> str:
    """What stands behind "no such thing": `; did you mean 'entropy'?`, or the names there are where none is near.

    >>> hint("entrpy", ["entropy", "margin"])
    "; did you mean 'entropy'?"
    >>> hint("?", ["entropy", "margin"])
    '; known: entropy, margin'
    """
    names = list(known)
    near = nearest(word, names)
    if near is not None:
        return f"; did you mean {near!r}?"
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return f"; known: {', '.join(names[:LISTED]) or 'none'}{more}"


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")
