"""The files that a DICOMDIR lists."""

from __future__ import annotations

from typing import BinaryIO

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword

KEPT = ("DirectoryRecordSequence", "DirectoryRecordType", "ReferencedFileID", "RecordInUseFlag")


def listed(file: BinaryIO) -> list[str]:
    """Paths of the images, relative to the folder of the DICOMDIR, with forward slashes, in its order."""
    tags = [tag for name in KEPT if (tag := tag_for_keyword(name)) is not None]
    names = []
    for record in dcmread(file, specific_tags=tags).get("DirectoryRecordSequence") or []:
        parts = record.get("ReferencedFileID")
        if parts and record.get("DirectoryRecordType") == "IMAGE":
            names.append("/".join([parts] if isinstance(parts, str) else [str(part) for part in parts]))
    return names
