"""What SQLite says when a file cannot be used, in words that a person can act on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from al_cxr.core.errors import CannotWrite, UserError

_CANNOT_WRITE = {
    "SQLITE_FULL": "there is no room; free some space there",
    "SQLITE_READONLY": "it is read-only; allow writing to the file and its folder, or copy the folder elsewhere",
    "SQLITE_CANTOPEN": "the file or its folder cannot be opened; allow writing to both",
    "SQLITE_IOERR": "the disk did not take it; free some space there, or check the disk",
    "SQLITE_PERM": "it is not allowed; allow writing to the file and its folder",
}
_UNUSABLE = {
    "SQLITE_BUSY": "another program has it locked; close that program, or try again later",
    "SQLITE_LOCKED": "another program has it locked; close that program, or try again later",
    "SQLITE_NOTADB": "is not an event log of al-cxr; give the folder of a labelling project",
    "SQLITE_CORRUPT": "the file is damaged; put a copy from a backup in its place",
    "SQLITE_PROTOCOL": "this file system cannot lock files; choose a folder on a local disk",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """A block that uses the event log `path`: what SQLite raises there for reasons outside the code is a UserError."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        for code, reason in _CANNOT_WRITE.items():
            if name.startswith(code):
                raise CannotWrite(f"{path}: cannot be written: {reason}") from None
        for code, reason in _UNUSABLE.items():
            if name.startswith(code):
                raise UserError(f"{path}: {reason}") from None
        raise
