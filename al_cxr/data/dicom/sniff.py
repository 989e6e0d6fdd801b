"""Which files are DICOM, by their first bytes or by their names."""

from __future__ import annotations

import struct
from pathlib import Path, PurePosixPath

SUFFIXES = (".dcm", ".dicom", ".ima")

DIRECTORY = "DICOMDIR"
"""Name of the file that lists those of an exported medium."""

HEAD = 132
"""Bytes of a file that tell."""

_PREAMBLE, _MAGIC = 128, b"DICM"
_VRS = frozenset(b"AE AS AT CS DA DS DT IS LO LT OB OW PN SH SL SS ST TM UI UL US UT".split())
_LONGEST_FIRST = 128
"""Bytes that the value of a first element may have: it is a length, a code or an identifier."""


def is_dicom(data: bytes, name: str) -> bool:
    """Whether a file of this name that begins with these bytes is DICOM."""
    path = PurePosixPath(name)
    named = path.suffix.lower() in SUFFIXES or path.name.upper() == DIRECTORY
    return named or has_preamble(data) or begins_with_element(data)


def is_dicom_file(path: Path) -> bool:
    """The same of a file on the disk; False where it is no regular file or cannot be read."""
    try:
        if not path.is_file():  # a pipe would never end
            return False
        with open(path, "rb") as f:
            return is_dicom(f.read(HEAD), path.name)
    except OSError:
        return False


def has_preamble(data: bytes) -> bool:
    """Whether it begins as the standard wants: 128 bytes of anything, then DICM."""
    return data[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC


def begins_with_element(data: bytes) -> bool:
    """Whether the first bytes are a whole data element of the groups 2 or 8, as old archives write it without a
    preamble."""
    if len(data) < 8:
        return False
    for order in "<>":
        group, element, length = struct.unpack(f"{order}HHI", data[:8])
        if group not in (2, 8) or element > 0x20:
            continue
        if data[4:6] in _VRS:
            return True
        if order == "<" and 0 < length <= _LONGEST_FIRST and length % 2 == 0:  # no VR stands there
            return True
    return False
