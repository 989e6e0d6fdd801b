"""One process at a time where several could do the same work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from al_cxr.core.drafts import writing
from al_cxr.core.errors import UserError


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """A block that no other process is in with the same lock file; whoever comes later waits.

    The lock ends with its process, however that ends. On a file system without locks the block is entered at once:
    what is done in it must be right then, too, if it is done twice. CannotWrite where the file cannot be made.
    """
    lock = FileLock(path)
    try:
        with writing(path):
            lock.acquire()
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


@contextmanager
def sole(path: Path, taken: str) -> Iterator[None]:
    """The same, but whoever comes later gets the UserError `taken` and does not wait."""
    lock = FileLock(path, timeout=0)
    try:
        with writing(path):
            try:
                lock.acquire()
            except Timeout:  # an OSError too
                raise UserError(taken) from None
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        lock.release()
