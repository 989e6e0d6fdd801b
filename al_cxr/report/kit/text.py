"""Text from outside (names of classes, files, arms; notes) on its way onto a page, into a figure or a file name."""

from __future__ import annotations

import re


def escape(text: object) -> str:
    """One line of markdown that can neither open a cell, a tag nor a link."""
    return re.sub(r"([\\|`*<\[\]])", r"\\\1", " ".join(str(text).split()))


def file_name(text: str) -> str:
    """A part of a file name: no separators, no spaces."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", text)


def plain(text: str, longest: int = 28) -> str:
    """For a figure: one line, not too long, and never read as mathematics."""
    line = " ".join(str(text).split())
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    return line.replace("$", r"\$")


def tail(text: str, longest: int) -> str:
    """For a figure, the end of a name that is too long: of a path, the file."""
    return plain(text if len(text) <= longest else f"…{text[1 - longest :]}", longest)
