"""Peak memory of a call, read from the operating system.

What earlier calls freed is given back first: an allocator that still holds it would make the next call look free.
"""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path


def extra_bytes(call: Callable[[], object]) -> float:
    """Largest resident size while `call` runs, beyond the size before it, in bytes; NaN where that cannot be read."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        before = _resident()
    except (AttributeError, OSError):
        call()
        return float("nan")
    peak, over = before, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.is_set():
            peak = max(peak, _resident())
            time.sleep(0.002)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        call()
    finally:
        over.set()
        thread.join()
    return float(peak - before)


def _resident() -> int:
    fields = Path("/proc/self/statm").read_text(encoding="utf-8").split()
    return int(fields[1]) * 4096


class PeakOfProcesses:
    """A block in which the memory of a process and all that it starts is watched: `bytes` is the most at one moment.

    Memory that several share is counted once (proportional set size), so that forked processes are not counted double;
    what they have mapped from files counts. NaN where the operating system does not tell.
    """

    def __init__(self, pid: int, every: float = 0.25) -> None:
        self.bytes = float("nan")
        self._pid, self._every, self._over = pid, every, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakOfProcesses:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._every):
            now = sum(map(_proportional, [self._pid, *_descendants(self._pid)]))
            self.bytes = float(now) if self.bytes != self.bytes else max(self.bytes, float(now))


def _proportional(pid: int) -> int:
    """0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _descendants(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(after_name[1])
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        children = [child for child, of in parents.items() if of == parent]
        found += children
        waiting += children
    return found
