"""The name that somebody meant who wrote another one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.5
"""Similarity (0..1, of difflib) from which a name is offered."""
LISTED = 40
"""Names that are listed where none is near; of more, their number is said."""


_SAME = (
    frozenset(["1", "true", "yes", "y", "positive", "pos", "present"]),
    frozenset(["0", "false", "no", "n", "negative", "neg", "absent"]),
    frozenset(["normal", "healthy", "no_finding", "no_findings", "nofinding", "unremarkable"]),
    frozenset(["tuberculosis", "tb", "tbc", "pulmonary_tuberculosis", "ptb"]),
    frozenset(["covid", "covid19", "covid_19", "sars_cov_2"]),
    frozenset(["effusion", "pleural_effusion"]),
    frozenset(["opacity", "lung_opacity"]),
)
"""Words of the field for one finding, folded."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like a word, upper and lower case, `-`, `_` and blanks being the same; None if none is."""
    known = list(known)
    if same := next((name for name in known if same_meaning(word, name)), None):
        return same
    names = {_folded(name): name for name in known}
    found = difflib.get_close_matches(_folded(word), names, n=1, cutoff=CUTOFF)
    return names[found[0]] if found else None


def same_meaning(a: str, b: str) -> bool:
    """Whether two classes are usual words for one finding, such as tb and tuberculosis."""
    return any(_folded(a) in words and _folded(b) in words for words in _SAME)


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
