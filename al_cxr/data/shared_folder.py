"""A folder that several processes make at once: it appears whole or not at all, and goes in one step."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def publish(draft: Path, folder: Path, is_whole: Callable[[], bool]) -> None:
    """Puts a finished draft in its place, unless another process has put a whole one there meanwhile."""
    for _ in range(100):
        try:
            os.rename(draft, folder)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        if is_whole():
            return
        remove(folder)
    raise OSError(f"{folder} cannot be replaced")


def remove(folder: Path) -> None:
    """A damaged or old store out of the way in one step: nobody sees half of it; whoever has it mapped keeps it."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, aside / "old")
    shutil.rmtree(aside, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Removes drafts of this folder that a killed process left more than a day ago."""
    for draft in folder.parent.glob(f".{folder.name}.*"):
        with contextlib.suppress(FileNotFoundError):
            newest = max((p.stat().st_mtime for p in [draft, *draft.iterdir()]), default=0.0)
            if time.time() - newest > 86_400:
                shutil.rmtree(draft, ignore_errors=True)
