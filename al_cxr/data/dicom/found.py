"""DICOM files that were found somewhere: which are used, what their headers say, and why the others are not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from al_cxr.core.errors import UserError
from al_cxr.core.progress import Progress
from al_cxr.data.dicom import reader, said
from al_cxr.data.dicom.identity import Pseudonyms, pseudonyms
from al_cxr.data.dicom.usable import view, why_not
from al_cxr.data.unknown import is_unknown

COLUMNS = ("patient_id", "study_id", "image_id", "age", "sex", "view", "manufacturer", "model", "station")
"""What a row of the table gets from a header; "" where it says nothing."""

_NAMED = 3
_READERS = 4
_AGE = re.compile(r"\d{1,3}[DWMY]")


@dataclass
class Found:
    """Of some files, by name."""

    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    """Name of each that is used, in the order that was given -> its `COLUMNS`."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """(name, reason) of the others."""
    notes: list[str] = field(default_factory=list)
    """What a person has to know of those that are used."""


def look(names: Sequence[str], path: Callable[[str], Path]) -> Found:
    """Look at the headers of DICOM files; `path(name)` is where one lies."""
    found = Found()
    if not names:
        return found
    if not reader.available():
        found.left_out = [(name, said.NEEDS) for name in names]
        return found

    def one(name: str) -> dict[str, str] | str:
        try:
            return reader.header(path(name))
        except FileNotFoundError:
            return f"{said.PREFIX}was taken away"
        except UserError as error:
            return str(error).removeprefix(f"{name}: ")

    headers: dict[str, dict[str, str]] = {}
    first_of: dict[str, str] = {}
    with (
        Progress(len(names), "reading DICOM headers") as bar,
        ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as pool,
    ):
        for name, header in zip(names, pool.map(one, names), strict=True):
            reason = header if isinstance(header, str) else why_not(header)
            if isinstance(header, dict) and reason is None:
                uid = header.get("SOPInstanceUID", "") or f"\0{name}"
                if uid in first_of:
                    reason = f"a second file of one image (the same SOPInstanceUID as {first_of[uid]})"
                else:
                    first_of[uid], headers[name] = name, header
            if reason is not None:
                found.left_out.append((name, f"{said.PREFIX}{reason.removeprefix(said.PREFIX)}"))
            bar.update()
    if headers:
        names_by = pseudonyms()
        found.rows = {name: _row(header, names_by) for name, header in headers.items()}
        found.notes = _notes(headers, found.rows)
    return found


def described(names: Sequence[str], found: Found, columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """Columns of N images, with what headers say of them where they say nothing; as they are without DICOM."""
    if not found.rows:
        return columns
    rows = [found.rows.get(name, {}) for name in names]
    nothing = [""] * len(rows)
    return columns | {
        column: [cell or row.get(column, "") for cell, row in zip(columns.get(column, nothing), rows, strict=True)]
        for column in COLUMNS
    }


def _row(header: dict[str, str], names_by: Pseudonyms) -> dict[str, str]:
    age = header.get("PatientAge", "").upper()
    return {
        "patient_id": names_by.patient(header),
        "study_id": names_by.study(header),
        "image_id": names_by.image(header),
        "age": age if _AGE.fullmatch(age) else "",
        "sex": header.get("PatientSex", ""),
        "view": view(header),
        "manufacturer": header.get("Manufacturer", ""),
        "model": header.get("ManufacturerModelName", ""),
        "station": header.get("StationName", ""),
    }


def _notes(headers: dict[str, dict[str, str]], rows: dict[str, dict[str, str]]) -> list[str]:
    def some(what: str, names: list[str]) -> list[str]:
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        where = f"{len(names):,} of {len(headers):,} DICOM files ({', '.join(names[:_NAMED])}{more})"
        return [f"{what}: {where}"] if names else []

    def that(attribute: str, *values: str) -> list[str]:
        return [name for name, header in headers.items() if header.get(attribute, "").upper() in values]

    sexes: dict[str, set[str]] = {}
    for name, row in rows.items():
        if row["patient_id"] and headers[name].get("PatientSex") in ("F", "M"):
            sexes.setdefault(row["patient_id"], set()).add(headers[name]["PatientSex"])
    shared = [name for name, row in rows.items() if len(sexes.get(row["patient_id"], ())) > 1]
    nobody = [name for name, header in headers.items() if is_unknown(header.get("PatientID", ""))]
    placeless = [name for name, row in rows.items() if not row["view"]]
    partless = [n for n, h in headers.items() if is_unknown(h.get("BodyPartExamined", ""))]
    return [
        *some(
            "no PatientID, or one word for everybody such as ANONYMOUS: each counts as a patient of its own, so one "
            "patient may be in two splits",
            nobody,
        ),
        *some("one PatientID with both sexes, so it may stand for several patients", shared),
        *some(
            "the header says that writing is burnt into the pixels (BurnedInAnnotation YES)",
            that("BurnedInAnnotation", "YES"),
        ),
        *some("compressed with loss (LossyImageCompression 01)", that("LossyImageCompression", "01")),
        *some("the header does not say the body part, so it is taken for a chest", partless),
        *some("the header does not say whether it is PA, AP or lateral, so it is taken for frontal", placeless),
    ]
