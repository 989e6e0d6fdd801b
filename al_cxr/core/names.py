"""Names as people write them, in one spelling each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint

_NUMBER = re.compile(r"[+-]?\d{1,15}([.,]\d{1,15})?", re.ASCII)

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that draw nothing although Unicode does not call them format characters."""


def plain(text: str) -> str:
    """A text without what cannot be seen: accents composed (NFC), single blanks, no zero-width or control ones."""
    spaced = "".join(" " if c.isspace() or unicodedata.category(c) == "Zs" else c for c in _UNSEEN.sub("", text))
    shown = "".join(c for c in spaced if unicodedata.category(c) not in ("Cf", "Cc"))
    return unicodedata.normalize("NFC", " ".join(shown.split()))


def class_name(text: str) -> str:
    """The one spelling of a class: plain, in lower case, full-width letters and ligatures as usual ones (NFKC); a
    number without what changes nothing, so that 1, 01 and 1.0 are one class."""
    name = plain(unicodedata.normalize("NFKC", text)).lower()
    if not _NUMBER.fullmatch(name):
        return name
    number = Decimal(name.replace(",", "."))
    return f"{number.normalize():f}" if number else "0"


def known_class(word: str, classes: Iterable[str], where: str) -> str:
    """The class that a word means, as it is called among `classes`; UserError that begins with `where` otherwise."""
    known = {class_name(name): name for name in classes}
    if (name := class_name(word)) not in known:
        raise UserError(f"{where}: no class {word!r}{hint(name, known.values())}")
    return known[name]
