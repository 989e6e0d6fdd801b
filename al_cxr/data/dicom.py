"""DICOM files, which are recognised and not yet read: each is told apart from files that are no images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

REASON = "a DICOM file, which al-cxr does not read yet; convert it to a 16-bit grey PNG first"

KIND = "DICOM"
"""Among the kinds of files that are left out."""

SUFFIXES = (".dcm", ".dicom", ".ima")

_PREAMBLE, _MAGIC = 128, b"DICM"


def is_dicom(data: bytes, name: str) -> bool:
    """Whether a file of this name that begins with these bytes is DICOM, by its magic word or by its name."""
    path = PurePosixPath(name)
    named = path.suffix.lower() in SUFFIXES or path.name.upper() == "DICOMDIR"
    return named or data[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC


def is_dicom_file(path: Path) -> bool:
    """The same of a file on the disk; False where it is no regular file or cannot be read."""
    try:
        if not path.is_file():  # a pipe would never end
            return False
        with open(path, "rb") as f:
            return is_dicom(f.read(_PREAMBLE + len(_MAGIC)), path.name)
    except OSError:
        return False


def sentence(count: int) -> str:
    """What is said of so many DICOM files."""
    files = "1 DICOM file was" if count == 1 else f"{count:,} DICOM files were"
    return f"{files} skipped: al-cxr does not read DICOM yet; convert to 16-bit grey PNG first"


def skipped(reasons: Iterable[str]) -> list[str]:
    """The sentence about the DICOM files among images that were skipped for these reasons; none if there are none."""
    count = sum(reason == REASON for reason in reasons)
    return [sentence(count)] if count else []
