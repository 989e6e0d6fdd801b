"""The files that a DICOMDIR lists."""

from __future__ import annotations

from typing import BinaryIO

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword

from al_cxr.data.dicom.levels import Unreadable

MOST = 1_000_000
"""Images that it may list; the longest name is 8 parts of 8 characters."""

KEPT = ("DirectoryRecordSequence", "DirectoryRecordType", "ReferencedFileID", "RecordInUseFlag")


def listed(file: BinaryIO) -> list[str]:
    """Paths of the images, relative to the folder of the DICOMDIR, with forward slashes, in its order."""
    tags = [tag for name in KEPT if (tag := tag_for_keyword(name)) is not None]
    names: list[str] = []
    for record in dcmread(file, specific_tags=tags).get("DirectoryRecordSequence") or []:
        parts = record.get("ReferencedFileID")
        if parts and record.get("DirectoryRecordType") == "IMAGE":
            names.append("/".join([parts] if isinstance(parts, str) else [str(part) for part in parts]))
        if len(names) > MOST or (names and len(names[-1]) > 256):
            raise Unreadable(f"a DICOMDIR that lists more than {MOST:,} images, or a name of more than 256 characters")
    return names
