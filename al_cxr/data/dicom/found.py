"""DICOM files that were found somewhere: which are used, what their headers say, and why the others are not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from al_cxr.core.errors import UserError
from al_cxr.core.progress import Progress
from al_cxr.data.dicom import reader, said
from al_cxr.data.dicom.facts import COLUMNS, NOTES, Facts, facts_of
from al_cxr.data.dicom.identity import Pseudonyms, pseudonyms
from al_cxr.data.dicom.known import Known

MOST_OF_ALL, FEW = 0.5, 20
"""Share of at least so many files that one patient has only where its number stands for several."""

_NAMED = 3
_READERS = 4


@dataclass
class Found:
    """Of some files, by name."""

    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    """Name of each that is used, in the order that was given -> its `facts.COLUMNS`."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """(name, reason) of the others."""
    notes: list[str] = field(default_factory=list)
    """What a person has to know of those that are used."""


def look(folder: Path, names: Sequence[str], path: Callable[[str], Path]) -> Found:
    """Look at the headers of DICOM files below a folder; `path(name)` is where one lies."""
    found = Found()
    if not names:
        return found
    if not reader.available():
        found.left_out = [(name, said.NEEDS) for name in names]
        return found
    first_of: dict[str, str] = {}
    used: dict[str, Facts] = {}
    for name, facts in zip(names, _facts(folder, names, path), strict=True):
        reason, image = facts.reason, facts["image_id"] or name
        if not reason and first_of.setdefault(image, name) != name:
            reason = f"a second file of one image (the same SOPInstanceUID as {first_of[image]})"
        if reason:
            found.left_out.append((name, f"{said.PREFIX}{reason.removeprefix(said.PREFIX)}"))
        else:
            used[name] = facts
    found.rows = {name: dict(zip(COLUMNS, facts.row, strict=True)) for name, facts in used.items()}
    found.notes = _notes(used)
    return found


def refuse(folder: Path, bad: Iterable[tuple[str, os.stat_result, str]]) -> None:
    """Note (name, size and times, reason) of files below a folder whose pixels could not be decoded.

    From now on `look` leaves them out for this reason, as long as they and the packages that decode are the same.
    """
    known = Known(folder, pseudonyms())
    for name, info, reason in bad:
        known.put(name, info, Facts(reason))
    known.save()


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


def _facts(folder: Path, names: Sequence[str], path: Callable[[str], Path]) -> list[Facts]:
    """Of each file what is known of it, or what its header says."""
    names_by = pseudonyms()
    known = Known(folder, names_by)
    facts: dict[str, Facts] = {}
    asked: list[tuple[str, Path, os.stat_result]] = []
    for name in names:
        try:
            place = path(name)
            info = os.stat(place)
        except OSError as error:
            facts[name] = Facts(f"cannot be read ({error.strerror or 'was taken away'})")
            continue
        if (before := known.get(name, info)) is not None:
            facts[name] = before
        else:
            asked.append((name, place, info))
    with (
        Progress(len(asked), "reading DICOM headers", shown=bool(asked)) as bar,
        ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as pool,
    ):
        try:
            answers = pool.map(lambda one: _of_header(one[1], names_by), asked)
            for (name, _, info), (found, lasts) in zip(asked, answers, strict=True):
                facts[name] = found
                if lasts:
                    known.put(name, info, found)
                bar.update()
        finally:
            known.save()
    return [facts[name] for name in names]


def _of_header(path: Path, names_by: Pseudonyms) -> tuple[Facts, bool]:
    """What a header says, and whether it would say it again."""
    try:
        return facts_of(reader.header(path), names_by), True
    except reader.Passing as error:
        return Facts(str(error)), False
    except UserError as error:
        return Facts(str(error)), True


def _notes(used: dict[str, Facts]) -> list[str]:
    def some(what: str, names: list[str]) -> list[str]:
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        where = f"{len(names):,} of {len(used):,} DICOM files ({', '.join(names[:_NAMED])}{more})"
        return [f"{what}: {where}"] if names else []

    sexes: dict[str, set[str]] = {}
    for facts in used.values():
        if facts["patient_id"] and facts["sex"] in ("F", "M"):
            sexes.setdefault(facts["patient_id"], set()).add(facts["sex"])
    counts = Counter(facts["patient_id"] for facts in used.values())
    del counts[""]
    notes = {
        key: some(what, [name for name, facts in used.items() if key in facts.says]) for key, what in NOTES.items()
    }
    shared = some(
        "one PatientID with both sexes, so it may stand for several patients",
        [name for name, facts in used.items() if len(sexes.get(facts["patient_id"], ())) > 1],
    )
    for patient, count in counts.most_common(1):
        if len(used) >= FEW and count > MOST_OF_ALL * len(used):
            shared += some(
                "one PatientID for most files, so it may stand for several patients",
                [name for name, facts in used.items() if facts["patient_id"] == patient],
            )
    return [*notes.pop("nobody"), *shared, *(line for lines in notes.values() for line in lines)]
