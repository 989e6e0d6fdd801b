"""What is kept of one DICOM file's header: whether it is used, its row of the table, and what has to be said of it.

Nothing of it names a person: patients, studies and images are pseudonyms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from al_cxr.data.dicom.identity import Pseudonyms
from al_cxr.data.dicom.usable import view, why_not
from al_cxr.data.unknown import is_unknown

COLUMNS = ("patient_id", "study_id", "image_id", "age", "sex", "view", "manufacturer", "model", "station")
"""What a row of the table gets from a header; "" where it says nothing."""

NOTES = {
    "nobody": "no PatientID, or one word for everybody such as ANONYMOUS: each counts as a patient of its own, so one "
    "patient may be in two splits",
    "burnt": "the header says that writing is burnt into the pixels (BurnedInAnnotation YES)",
    "lossy": "compressed with loss (LossyImageCompression 01)",
    "no part": "the header does not say the body part, so it is taken for a chest",
    "no view": "the header does not say whether it is PA, AP or lateral, so it is taken for frontal",
}
"""What a person has to know of files that are used."""

_AGE = re.compile(r"\d{1,3}[DWMY]")


@dataclass(frozen=True)
class Facts:
    """Of one file."""

    reason: str = ""
    """Why it is not used; "" where it is."""
    row: tuple[str, ...] = ("",) * len(COLUMNS)
    says: tuple[str, ...] = ()
    """Keys of `NOTES`."""

    def __getitem__(self, column: str) -> str:
        return self.row[COLUMNS.index(column)]


def facts_of(header: dict[str, str], names_by: Pseudonyms) -> Facts:
    """What is kept of a header."""
    if (reason := why_not(header)) is not None:
        return Facts(reason)
    age, seen = header.get("PatientAge", "").upper(), view(header)
    row = (
        names_by.patient(header),
        names_by.study(header),
        names_by.image(header),
        age if _AGE.fullmatch(age) else "",
        header.get("PatientSex", ""),
        seen,
        header.get("Manufacturer", ""),
        header.get("ManufacturerModelName", ""),
        header.get("StationName", ""),
    )
    says = {
        "nobody": is_unknown(header.get("PatientID", "")),
        "burnt": header.get("BurnedInAnnotation", "").upper() == "YES",
        "lossy": header.get("LossyImageCompression") == "01",
        "no part": is_unknown(header.get("BodyPartExamined", "")),
        "no view": not seen,
    }
    return Facts("", row, tuple(name for name, holds in says.items() if holds))
