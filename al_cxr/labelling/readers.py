"""Who reads: names that are safe wherever they are shown, tokens of which only a salted hash is kept, and figures."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from al_cxr.core.errors import UserError
from al_cxr.core.names import plain
from al_cxr.labelling.events import OUTCOMES
from al_cxr.labelling.state import State

_NAME = re.compile(r"\w[\w .@'-]*")
_LONGEST = 64
_COST = {"n": 2**14, "r": 8, "p": 1}
"""Of scrypt: 16 MiB of memory, some hundredths of a second a guess."""


def reader_name(text: str, known: Iterable[str] = ()) -> str:
    """A reader's name in one spelling; that of `known` where it differs only in case. UserError for what is no name.

    A name begins with a letter or digit, so that no table program takes it for a formula, and has no character that is
    special in a path, a page or a CSV file.
    """
    name = plain(text)
    if not (_NAME.fullmatch(name) and not name.startswith("_") and len(name) <= _LONGEST):
        raise UserError(
            f"reader {text[:_LONGEST]!r}: a name begins with a letter or digit and has at most {_LONGEST} letters, "
            "digits, blanks and . _ @ ' -"
        )
    return {other.casefold(): other for other in known}.get(name.casefold(), name)


def new_token() -> str:
    """A fresh secret of a reader; it is shown once and kept nowhere."""
    return secrets.token_urlsafe(24)


def hashed(token: str) -> str:
    """What the log keeps of a token: scrypt with a random salt, and its costs."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_COST['n']}${_COST['r']}${_COST['p']}${salt.hex()}${_scrypt(token, salt, **_COST).hex()}"


def matches(token: str, kept: str) -> bool:
    """Whether a token is the one that a hash was made of. It takes as long for a wrong one."""
    try:
        scheme, n, r, p, salt, key = kept.split("$")
        costs = {"n": int(n), "r": int(r), "p": int(p)}
        made = _scrypt(token, bytes.fromhex(salt), **costs)
        return scheme == "scrypt" and hmac.compare_digest(made, bytes.fromhex(key))
    except ValueError:
        return False


def _scrypt(token: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(token.encode(errors="surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=2**26, dklen=32)


@dataclass(frozen=True)
class ReaderFigures:
    """What a reader did so far."""

    outcomes: dict[str, int]
    """Kind of outcome -> questions that are closed so now."""
    median_seconds: float | None
    """Active time an answer, without skips; None where nobody measured it."""
    can_undo: int
    """Answers that the reader may still take back, one after another."""

    @property
    def answers(self) -> int:
        """Questions closed other than by a skip."""
        return sum(count for kind, count in self.outcomes.items() if kind != "skipped")


def figures(state: State, reader: str) -> ReaderFigures:
    """What a reader did so far. UserError for a reader whom the project does not know."""
    if reader not in state.readers:
        raise UserError(f"no reader {reader!r} in this project")
    outcomes = [q.outcome for q in state.questions.values() if q.reader == reader and q.outcome is not None]
    counts = Counter(outcome.kind for outcome in outcomes)
    times = [o.milliseconds for o in outcomes if o.milliseconds is not None and o.kind != "skipped"]
    return ReaderFigures(
        outcomes={kind: counts[kind] for kind in OUTCOMES if counts[kind]},
        median_seconds=statistics.median(times) / 1000 if times else None,
        can_undo=len(state.readers[reader].undo),
    )
