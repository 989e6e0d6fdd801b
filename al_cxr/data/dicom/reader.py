"""Headers and pixels of DICOM files, asked of child processes: `child.py` says why, and in which words."""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.data.dicom import said
from al_cxr.data.dicom.limits import MEMORY, READY, SECONDS

VERSION = 2
"""Counted up whenever `square` gives other pixels for the same bytes, so that old pixels of DICOM files, and no others,
are not reused."""

WALL = 3 * SECONDS
"""Seconds by the clock after which a child that gives no answer is ended, whatever it does."""

_MOST_TEXT, _MOST = 2**27, 2**30
"""Bytes of an answer in words and of one in pixels."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Grey, 0 = black, 255 = white, and what had to be guessed, each as a clause."""

    pixels_HW: np.ndarray
    doubts: tuple[str, ...]


class Passing(UserError):
    """A file could not be read, and may be at another time: nothing is wrong with it, or nothing that is known."""


def available() -> bool:
    """Whether the extra `dicom` is installed."""
    return importlib.util.find_spec("pydicom") is not None


def header(path: Path) -> dict[str, str]:
    """What `header.SAID` lists, of the file at `path`. UserError with the reason why it cannot be read."""
    return dict(_ask({"what": "header", "path": str(path)})[0]["header"])


def directory(path: Path) -> list[str]:
    """Paths of the images that a DICOMDIR lists, relative to its folder."""
    return [str(name) for name in _ask({"what": "directory", "path": str(path)})[0]["names"]]


def pixels(data: bytes) -> Pixels:
    """The pixels of a whole file, float32 (H, W). UserError with the reason why it is not used or cannot be read."""
    return _pixels(data, None, "float32")


def square(data: bytes, size: int) -> Pixels:
    """The same, squashed to uint8 (size, size) where it is decoded: few bytes come back."""
    return _pixels(data, size, "uint8")


def full(data: bytes) -> tuple[np.ndarray, dict[str, Any]]:
    """All bits of a whole file, uint16 (H, W), and what `dicom.full.full` says of them."""
    found, content = _ask({"what": "pixels", "full": True, "bytes": len(data)}, data)
    return np.frombuffer(content, np.uint16).reshape(found["shape"]), dict(found["picture"])


def _pixels(data: bytes, size: int | None, dtype: str) -> Pixels:
    found, content = _ask({"what": "pixels", "size": size, "bytes": len(data)}, data)
    return Pixels(np.frombuffer(content, dtype).reshape(found["shape"]), tuple(found["doubts"]))


def _ask(question: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
    if not available():
        raise UserError(said.NEEDS)
    with _children.one() as child:
        found, content = child.ask(question, data)
    if "bad" in found:
        raise (Passing if found.get("passing") else UserError)(f"{said.PREFIX}{found['bad']}")
    return found, content


class _Child:
    """One process; it answers one question after the other."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "al_cxr.data.dicom.child"]
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, **one_thread},
        )
        self.dead = False
        assert self._process.stdout is not None
        if self._process.stdout.read(len(READY)) != READY:
            self.close()
            raise RuntimeError("the process that reads DICOM did not start; what it printed says why")

    def ask(self, question: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        clock = threading.Timer(WALL, end)
        clock.start()
        try:
            return self._answer(question, data)
        except (OSError, EOFError, ValueError):
            self.close()
            time = f"more than {SECONDS} seconds of the processor"
            why = (
                time
                if late.is_set()
                else f"{time}, more than {MEMORY[question['what']] >> 30} GiB of memory, or a damaged file"
            )
            return {"bad": f"decoding was ended: {why}", "passing": True}, b""
        except BaseException:  # stopped in the middle of an answer
            self.close()
            raise
        finally:
            clock.cancel()

    def close(self) -> None:
        self.dead = True
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue
        self._process.wait()

    def _answer(self, question: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        text = json.dumps(question).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(struct.pack("<I", len(text)) + text)
        self._process.stdin.write(data)
        self._process.stdin.flush()
        found = json.loads(self._read(struct.unpack("<I", self._read(4, 4))[0], _MOST_TEXT))
        return found, self._read(int(found.get("bytes", 0)), _MOST)

    def _read(self, count: int, most: int) -> bytes:
        assert self._process.stdout is not None
        if not 0 <= count <= most:
            raise ValueError(f"an answer of {count} bytes")
        content = self._process.stdout.read(count)
        if len(content) < count:
            raise EOFError
        return content


class _Children:
    """As many processes as threads have asked at once; they live on, because one takes half a second to start."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """After a fork: the processes are those of the parent."""
        self._lock = threading.Lock()
        self._idle: list[_Child] = []

    @contextmanager
    def one(self) -> Iterator[_Child]:
        with self._lock:
            child = self._idle.pop() if self._idle else None
        child = child or _Child()
        try:
            yield child
        finally:
            if not child.dead:
                with self._lock:
                    self._idle.append(child)

    def close(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.pop().close()


_children = _Children()
atexit.register(_children.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_children.forget)
