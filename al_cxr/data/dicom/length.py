"""Whether a file ends before its pixels do, told without reading them."""

from __future__ import annotations

import struct
from typing import BinaryIO

_ITEM, _END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"OW", b"UN", b"OV", b"OD", b"OF")


def cut_off(file: BinaryIO, header: dict[str, str]) -> bool:
    """Whether a file with one grey frame has not all its pixels. It stands at their element, as pydicom leaves it;
    False where that cannot be told."""
    syntax = header.get("TransferSyntaxUID", "")
    if syntax == "1.2.840.10008.1.2.1.99":  # deflated as a whole
        return False
    order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    at = file.tell()
    end = file.seek(0, 2)
    file.seek(at)
    head = file.read(12)
    if len(head) < 12:
        return True
    if struct.unpack(f"{order}HH", head[:4]) != (0x7FE0, 0x0010):
        return False
    explicit = head[4:6] in _LONG
    length = struct.unpack(f"{order}I", head[8:12] if explicit else head[4:8])[0]
    at += 12 if explicit else 8
    if length != _UNDEFINED:
        bits = int(header.get("Rows", "0")) * int(header.get("Columns", "0")) * int(header.get("BitsAllocated", "0"))
        return bool(at + length > end or length < bits // 8)
    while True:
        file.seek(at)
        item = file.read(8)
        if len(item) < 8:
            return True
        group, element, length = struct.unpack("<HHI", item)
        if (group, element) == _END:
            return False
        if (group, element) != _ITEM or length == _UNDEFINED:
            return True
        at += 8 + length
