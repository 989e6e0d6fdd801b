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
