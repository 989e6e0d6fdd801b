"""Files that appear whole or not at all, and what is said where they cannot be written.

Everything that al-cxr writes passes through here: a file is written beside its place, as a draft, and put there when it
is whole. Where that fails nothing is left, and a person reads one line that names the file and the remedy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from al_cxr.core.errors import CannotWrite

DAY = 86_400
"""Seconds after which a draft is a leftover, whoever wrote it."""

_NO_ROOM = "free some space there, or choose a place with more"
_NOT_ALLOWED = "choose a folder that you may write to"
_REMEDY = {
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f), or choose a place without one",
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: _NOT_ALLOWED,
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another place",
    errno.EEXIST: "a file is where a folder should be; choose another place",
    errno.EISDIR: "a folder has this name; choose another",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs: the machine has too many files open",
}
_HOST = re.sub(r"[^A-Za-z0-9]", "_", platform.node())
_DRAFT = re.compile(r"\..*\.(?P<host>[A-Za-z0-9_]*)-(?P<pid>\d+)-[0-9a-f]{8}\.tmp")


def remedy(error: OSError) -> str:
    """What went wrong and what helps, in half a sentence: "No space left on device; free some space there, ..."."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{reason}; {_REMEDY[error.errno]}" if error.errno in _REMEDY else reason


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A block that writes `path` and nothing else: an OSError in it is raised as CannotWrite."""
    try:
        yield
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be written: {remedy(error)}") from None


def write_atomically(path: Path, data: bytes) -> None:
    """All or nothing: a reader, or a kill, sees the old file or the new one. CannotWrite where it stays the old one."""
    # The name says whose draft it is, for `sweep`, and is no longer than names may be.
    draft = path.with_name(f".{path.name[:30]}.{_HOST}-{os.getpid()}-{uuid4().hex[:8]}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(draft, "xb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def sweep(folder: Path, below: bool = False) -> None:
    """Remove the drafts that a killed process left in a folder, or in all folders `below` it as well.

    A draft stays as long as its process may live: it runs on this machine, or it ran on another less than a day ago.
    """
    for draft in folder.glob("**/.*.tmp" if below else ".*.tmp"):
        if (found := _DRAFT.fullmatch(draft.name)) is not None:
            with contextlib.suppress(OSError):
                ended = found["host"] == _HOST and not _lives(int(found["pid"]))
                if ended or time.time() - draft.stat().st_mtime > DAY:
                    draft.unlink()


def _lives(pid: int) -> bool:
    if os.name != "posix":  # where asking a process may end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
