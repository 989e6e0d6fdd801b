"""Who is at the page: a token in the start address becomes a cookie, and the cookie stands for a reader or the lead."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from al_cxr.labelling.readers import matches, new_token

MOST = 1000
"""Sessions that are kept; the oldest is forgotten for the next."""


@dataclass(frozen=True)
class Visitor:
    """One browser that came with a token."""

    reader: str | None
    """None for the lead of the project."""
    kept: str | None = None
    """The hash of the token that the reader had then; None for a token of this start."""


class Sessions:
    """Those of one server; a restart forgets them. Threads may share one."""

    def __init__(self, reader: str | None, hashes: Callable[[], Mapping[str, str]]) -> None:
        """`reader` may come with a token of this start; None where each reader has to have a token of their own, of
        which `hashes` gives name -> hash."""
        self.lead = new_token()
        """Token of who started the server."""
        self.start = new_token() if reader is not None else None
        """Token of the reader, good for this start."""
        self._reader, self._hashes = reader, hashes
        self._visitors: OrderedDict[str, Visitor] = OrderedDict()
        self._lock, self._guess = threading.Lock(), threading.Lock()

    def enter(self, token: str) -> tuple[str, Visitor] | None:
        """A fresh cookie for who has a token, and who that is; None for a wrong one. It takes a moment."""
        visitor = self._known(token)
        if visitor is None:
            return None
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._visitors[cookie] = visitor
            if len(self._visitors) > MOST:
                self._visitors.popitem(last=False)
        return cookie, visitor

    def visitor(self, cookie: str) -> Visitor | None:
        """Whom a cookie stands for; None where it is none, or the reader has got another token since."""
        with self._lock:
            found = self._visitors.get(cookie)
        if found is None or found.reader is None or found.kept is None:
            return found
        return found if self._hashes().get(found.reader) == found.kept else None

    def _known(self, token: str) -> Visitor | None:
        if _same(token, self.lead):
            return Visitor(None)
        if self.start is not None and _same(token, self.start):
            return Visitor(self._reader)
        with self._guess:  # one guess at a time: each costs 16 MiB
            for reader, kept in self._hashes().items():
                if matches(token, kept):
                    return Visitor(reader, kept)
        return None


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())
