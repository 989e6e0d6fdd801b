"""The bit depth that is usual among many files: asked for once, when the first file does not state its own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from al_cxr.core.errors import UserError
from al_cxr.data import decode

VOTES = 48
"""Files that are decoded to find it, evenly spread over all that have more than 8 bits."""


class Series:
    """Files that are looked at together, such as a data set or all that one prediction is asked for."""

    def __init__(self, count: int, path: Callable[[int], Path]) -> None:
        """`path(i)` is the file i of `count`; UserError or OSError where it is not to be read."""
        self._count, self._path = count, path
        self._lock = threading.Lock()
        self._bits: int | None = None
        self._known = False

    def bits(self) -> int | None:
        """The bits that most of a sample of the files of more than 8 have (the larger of two equal); None if none."""
        with self._lock:
            if not self._known:
                self._bits, self._known = self._most(), True
            return self._bits

    def _most(self) -> int | None:
        with ThreadPoolExecutor() as pool:
            deep = [path for path in pool.map(self._deep, range(self._count)) if path is not None]
            step = max(1, len(deep) // VOTES)
            votes = Counter(bits for bits in pool.map(_bits, deep[::step]) if bits)
        return max(votes, key=lambda bits: (votes[bits], bits), default=None)

    def _deep(self, index: int) -> Path | None:
        """A file that can have more than 8 bits, by its first bytes."""
        try:
            path = self._path(index)
            with open(path, "rb") as f:
                head = f.read(25)
        except (OSError, UserError):
            return None
        is_png, is_tiff = head.startswith(b"\x89PNG"), head.startswith((b"II", b"MM"))
        return path if is_tiff or (is_png and head[24:] == bytes([16])) else None


def _bits(path: Path) -> int:
    """The bits of a file by itself; 0 where it has no depth or cannot be read."""
    try:
        depth = decode.read(decode.read_file(path, path.name), 16, path.name).depth
    except UserError:
        return 0
    return int(depth) if depth.isdigit() else 0
