"""Why a DICOM file is not used: it is no frontal chest radiograph, or not the one that is shown to people."""

from __future__ import annotations

import re
import unicodedata

Header = dict[str, str]

MAX_PIXELS = 80_000_000
"""Five times the largest digital radiographs, and below the size at which Pillow itself warns."""

TINY = 16
"""Pixels of the shorter side, with nothing to see."""

MODALITIES = ("CR", "DX", "DR", "RG")
"""Computed and digital radiography, by its two names, and digitised films."""

CHEST = re.compile(r"CHEST|THORAX|TORAX|TORAC|LUNG|PULMO|POUMON|\bHEART|\bRIBS?\b")
"""What the body part of a chest radiograph is called, in capitals without accents."""

OTHER_PARTS = (
    *(
        "ABDOMEN",
        "ABDOMINAL",
        "ANKLE",
        "ARM",
        "CALCANEUS",
        "CLAVICLE",
        "ELBOW",
        "EXTREMITY",
        "FEMUR",
        "FINGER",
        "FOOT",
        "FEET",
    ),
    *(
        "FOREARM",
        "HAND",
        "HEAD",
        "HIP",
        "HUMERUS",
        "JAW",
        "KNEE",
        "LEG",
        "MANDIBLE",
        "NECK",
        "PATELLA",
        "PELVIS",
        "SCAPULA",
    ),
    *("SHOULDER", "SKULL", "SPINE", "TEETH", "THUMB", "TIBIA", "TOE", "WRIST", "BREAST", "SINUS", "SACRUM", "KUB"),
)
"""Words in a description, or with an S, that say so where no body part is stated."""

_LATERAL = re.compile(r"(?<![A-Z])(LL|RL|LLAT|RLAT|LAT|LATERAL|LLD|RLD|LLO|RLO|LATERALE|SEITLICH)(?![A-Z])")
_OBLIQUE = re.compile(r"(?<![A-Z])(LAO|RAO|LPO|RPO|OBLIQUE|OBL)(?![A-Z])")
_FRONTAL = re.compile(r"(?<![A-Z])(PA|AP|POSTERO-?ANTERIOR|ANTERO-?POSTERIOR)(?![A-Z])")
_UNSAID = frozenset(["", "UNKNOWN", "UNDEFINED", "NONE", "OTHER", "N/A", "NA"])

PDF, FOR_PROCESSING = (
    "1.2.840.10008.5.1.4.1.1.104.1",
    "1.2.840.10008.5.1.4.1.1.1.1.1",
)
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def why_not(header: Header) -> str | None:
    """Why an image with this header is not used; None where it is. Asked before its pixels are read."""
    return _kind(header) or _shape(header) or _part(header) or _direction(header)


def view(header: Header) -> str:
    """PA or AP where the header says so, "" where it does not, as a description of a PA and a lateral view together."""
    for name in ("ViewPosition", "ViewCodeSequence", "SeriesDescription", "ProtocolName"):
        text = _capitals(header, name)
        if (found := _FRONTAL.search(text)) and not _LATERAL.search(text):
            return "PA" if found[0].startswith("P") else "AP"
    return ""


def _kind(header: Header) -> str | None:
    sop_class, modality = header.get("SOPClassUID", ""), header.get("Modality", "").upper()
    if sop_class == PDF:
        return "an encapsulated PDF"
    if sop_class == SECONDARY_CAPTURE or sop_class.startswith(f"{SECONDARY_CAPTURE}."):
        return "secondary capture (a screenshot or a scan)"
    if sop_class == FOR_PROCESSING or header.get("PresentationIntentType", "").upper() == "FOR PROCESSING":
        return "for processing (raw values of the detector); export the image for presentation"
    if modality and modality not in MODALITIES:
        return f"modality {modality[:16]}, not CR or DX"
    if not ("Rows" in header and "Columns" in header):
        return "damaged or truncated (no image in it)"
    return None if modality else "modality not stated, so not known to be CR or DX"


def _shape(header: Header) -> str | None:
    rows, columns, bits, frames, samples = (
        _whole(header.get(name, absent))
        for name, absent in (
            ("Rows", "0"),
            ("Columns", "0"),
            ("BitsAllocated", "0"),
            ("NumberOfFrames", "1"),
            ("SamplesPerPixel", "1"),
        )
    )
    if frames not in (0, 1):  # also what is no number
        return "multi-frame"
    if samples != 1 or header.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        return f"not grey (PhotometricInterpretation {header.get('PhotometricInterpretation', 'not stated')})"
    if min(rows, columns) < TINY or bits not in (8, 16, 32):
        return f"nothing that can be seen (only {columns} x {rows} pixels of {bits} bits)"
    if rows * columns > MAX_PIXELS:
        return f"more than {MAX_PIXELS // 10**6} million pixels: no radiograph"
    return None


def _part(header: Header) -> str | None:
    part = _capitals(header, "BodyPartExamined")
    if part not in _UNSAID:
        return None if CHEST.search(part) else f"body part {part[:16]}, not the chest"
    described = _capitals(header, "StudyDescription", "SeriesDescription", "ProtocolName")
    if CHEST.search(described):
        return None
    words = re.findall("[A-Z]+", described)
    other = next((word for word in words if word in OTHER_PARTS or word.removesuffix("S") in OTHER_PARTS), None)
    return f"body part {other} by its description, not the chest" if other else None


def _direction(header: Header) -> str | None:
    position, meaning = _capitals(header, "ViewPosition"), _capitals(header, "ViewCodeSequence")
    for text in (position, meaning):
        if _LATERAL.search(text):
            return f"lateral view ({text[:32]})"
        if _OBLIQUE.search(text):
            return f"oblique view ({text[:32]})"
    if _FRONTAL.search(position) or _FRONTAL.search(meaning):
        return None
    rows = _capitals(header, "PatientOrientation").split("\\")[0]
    if rows[:1] in ("A", "P"):  # along a row one goes forwards or backwards through the patient
        return "lateral view (by PatientOrientation)"
    series = _capitals(header, "SeriesDescription")
    if _LATERAL.search(series) and not _FRONTAL.search(series):
        return "lateral view (by SeriesDescription)"
    return None


def _capitals(header: Header, *names: str) -> str:
    """What some attributes say, in capitals, without accents."""
    text = unicodedata.normalize("NFKD", " ".join(header.get(name, "") for name in names))
    return "".join(c for c in text if not unicodedata.combining(c)).upper().strip()


def _whole(text: str) -> int:
    return int(text) if re.fullmatch(r"\d{1,9}", text) else -1
