"""What compressed pixels say of their own shape, read before any decoder sees them.

A file may have another shape in its header: decoders then return other pixels, end the process, or ask for memory.
"""

from __future__ import annotations

import re
import struct

_JPEG_2000 = b"\xff\x4f\xff\x51"
_FRAME = frozenset([*range(0xC0, 0xD0), 0xF7]) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG (and, the last, of JPEG-LS) that begin a frame."""


def shape(code: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and colours of JPEG, JPEG-LS or JPEG 2000; None where it is none of these."""
    if (start := code.find(_JPEG_2000, 0, 4096)) >= 0:
        return _of_jpeg_2000(code[start + 6 :])
    return _of_jpeg(code) if code.startswith(b"\xff\xd8") else None


def _of_jpeg_2000(size: bytes) -> tuple[int, int, int] | None:
    if len(size) < 36:
        return None
    _, right, bottom, left, top = struct.unpack(">H4I", size[:18])
    return bottom - top, right - left, struct.unpack(">H", size[34:36])[0]


def _of_jpeg(code: bytes) -> tuple[int, int, int] | None:
    at = 2
    while found := re.compile(rb"\xff+([^\xff])").match(code, at):
        at = found.end()
        if len(code) < at + 8:
            return None
        if found[1][0] in _FRAME:
            _, _, rows, columns, colours = struct.unpack(">HBHHB", code[at : at + 8])
            return rows, columns, colours
        at += max(2, struct.unpack(">H", code[at : at + 2])[0])
    return None
