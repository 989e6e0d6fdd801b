"""The standard streams of a command, whatever they lead to: a terminal, a pipe, a full disk, nothing."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO


def make_ready() -> None:
    """Make all three streams usable: one that is closed leads nowhere, and a character that cannot be shown is
    replaced."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which a file of ours would get otherwise
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's streams have no encoding to fail
            stream.reconfigure(errors="replace", line_buffering=True)  # a log has each line when it is said


def give_up(stream: TextIO) -> None:
    """Lead a stream that nothing can be written to nowhere: the interpreter would try, and complain, at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def failed(stream: TextIO) -> bool:
    """Whether what was printed to a stream cannot be delivered; it is given up then."""
    try:
        stream.flush()
    except (OSError, ValueError):
        give_up(stream)
        return True
    return False
