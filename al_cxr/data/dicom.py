"""DICOM files, which are recognised and not yet read: each is told apart from files that are no images."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

REASON = "a DICOM file, which al-cxr does not read yet; convert it to a 16-bit grey PNG first"

SUFFIXES = (".dcm", ".dicom", ".ima")

_PREAMBLE, _MAGIC = 128, b"DICM"


def is_dicom(data: bytes, name: str) -> bool:
    """Whether a file of this name that begins with these bytes is DICOM, by its magic word or by its name."""
    path = PurePosixPath(name)
    named = path.suffix.lower() in SUFFIXES or path.name.upper() == "DICOMDIR"
    return named or data[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC


def is_dicom_file(path: Path) -> bool:
    """The same of a regular file; False where it cannot be read."""
    try:
        with open(path, "rb") as f:
            return is_dicom(f.read(_PREAMBLE + len(_MAGIC)), path.name)
    except OSError:
        return False
