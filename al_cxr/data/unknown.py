"""What people and programs write where they know nothing."""

from __future__ import annotations

import re

_EMPTY = frozenset(["", "nan", "na", "null", "nat"])
"""Without what is no letter or digit, in lower case: also N/A, <NA>, #N/A, n.a., --, ? and the like."""

_UNKNOWN = _EMPTY | {
    *("none", "unknown", "unk", "unbekannt", "inconnu", "desconocido", "notknown", "unspecified", "notspecified"),
    *("anonymous", "anonymized", "anonymised", "anon", "deidentified", "redacted", "withheld", "removed"),
    *("missing", "notavailable", "unavailable", "notrecorded", "undefined", "value", "ref"),  # #VALUE! and #REF!
}

_UNDECIDED = frozenset(
    ["uncertain", "unsure", "notsure", "unclear", "undecided", "unlabeled", "unlabelled", "tbd", "todo", "excluded"]
)


def is_empty(text: str) -> bool:
    """Whether a cell holds nothing, or what other programs write for that."""
    return _letters(text) in _EMPTY


def is_unknown(text: str) -> bool:
    """The same of a person or a place: as a patient_id it would make one patient of all unknown ones."""
    word = re.sub("patient|subject", "", _letters(text))
    return word in _UNKNOWN or re.fullmatch("xx+", word) is not None


def is_undecided(label: str) -> bool:
    """Whether a label may say that nobody knows which class it is; CheXpert writes -1 where its reader was unsure."""
    return is_unknown(label) or _letters(label) in _UNDECIDED or re.fullmatch(r"-\d+", label) is not None


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())
