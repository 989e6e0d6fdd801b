"""What is read of a DICOM file beside its pixels: a list of attributes that may be read, and nothing else.

Names, dates of birth, addresses, institutions, physicians, free comments and private attributes are not in it.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

SAID = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "IssuerOfPatientID",
    "PatientID",
    "PatientAge",
    "PatientSex",
    "Modality",
    "PresentationIntentType",
    "BodyPartExamined",
    "ViewPosition",
    "PatientOrientation",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "Manufacturer",
    "ManufacturerModelName",
    "StationName",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "PresentationLUTShape",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
)
"""Attributes whose values leave the child process."""

LONGEST = 256
"""Characters that are kept of a value."""

NESTED = ("ViewCodeSequence",)
"""Sequences of which the meanings of the codes are kept."""

Header = dict[str, str]


def opened(file: BinaryIO, force: bool) -> Dataset:
    """The attributes of `SAID` up to the pixels, and no others; `force` where there is no preamble but an element."""
    tags = [tag for name in (*SAID, *NESTED) if (tag := tag_for_keyword(name)) is not None]
    return dcmread(file, stop_before_pixels=True, force=force, specific_tags=tags)


def header(dataset: Dataset) -> Header:
    """Attribute -> its value as text, several joined by a backslash; those that are absent or empty are not in it."""
    found = {name: text for name in SAID if (text := _text(dataset.get(name)))}
    for name in NESTED:
        meanings = [_text(item.get("CodeMeaning")) for item in dataset.get(name) or []]
        if any(meanings):
            found[name] = "\\".join(meanings)
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return found | ({"TransferSyntaxUID": str(syntax)[:LONGEST]} if syntax else {})


def _text(value: Any) -> str:
    if value is None:
        return ""
    parts = [str(part) for part in value] if isinstance(value, (MultiValue, list, tuple)) else [str(value)]
    text = "\\".join(part.strip(" \0") for part in parts)[:LONGEST]
    return "".join(c if c.isprintable() else " " for c in text)


def number(dataset: Dataset, name: str) -> float | None:
    """The first value of an attribute; None where it is absent, empty or no finite number."""
    return next(iter(numbers(dataset, name)), None)


def numbers(dataset: Dataset, name: str) -> list[float]:
    value: Any = dataset.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    several = list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    try:
        found = [float(one) for one in several]
    except (TypeError, ValueError):
        return []
    return found if np.isfinite(found).all() else []
