"""What lies in an archive now: the files or images, and whose they are; nothing of it has a label."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from al_cxr.bundles.inputs import Inputs, find_inputs
from al_cxr.core.errors import UserError
from al_cxr.data.sources.cells import SUFFIXES as TABLES
from al_cxr.data.sources.cells import read_cells
from al_cxr.data.sources.files import Root
from al_cxr.data.sources.named import named_source
from al_cxr.data.sources.source import kinds
from al_cxr.labelling.settings import ArchiveSettings


@dataclass(frozen=True)
class Listed:
    """One image as it was found."""

    name: str
    patient_id: str
    """"" where unknown."""
    size: int = 0
    """Bytes."""
    mtime_ns: int = 0


@dataclass(frozen=True)
class Listing:
    """The images of an archive, in its order."""

    found: list[Listed]
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """(name, reason) of what should have been an image."""
    others: int = 0
    """Files that are no images."""


def is_made(settings: ArchiveSettings) -> bool:
    """Whether the images are no files below a folder, but come from a kind of source such as phantom:COUNT."""
    return settings.source.partition(":")[0] in kinds() and not os.path.exists(settings.source)


def list_archive(settings: ArchiveSettings) -> Listing:
    """Looks at names, sizes and headers, and at no pixel. UserError where there is nothing to read."""
    if is_made(settings):
        dataset = named_source(settings.source).read()
        patients = dataset.table["patient_id"].astype(str)
        return Listing([Listed(dataset.images.name(i), of) for i, of in enumerate(patients)], list(dataset.left_out))
    path = Path(settings.source).expanduser()
    root = Path(settings.root).expanduser() if settings.root is not None else None
    inputs = find_inputs(path, root, settings.follow_links)
    if not inputs.names:
        name, reason = inputs.skipped[0]
        raise UserError(f"{path}: none of {len(inputs.skipped):,} images can be used ({name}: {reason})")
    return _of_files(inputs, settings.patient_folders)


def _of_files(inputs: Inputs, patient_folders: bool) -> Listing:
    root = Root(inputs.root, inputs.follow_links)
    listed = _patients_in_csv(inputs.path, root) if inputs.path.name.lower().endswith(TABLES) else {}
    found, left_out = [], list(inputs.skipped)
    for name in inputs.names:
        try:
            info = root.stat(name)
        except (FileNotFoundError, UserError):
            left_out.append((name, "was taken away while the archive was read"))
            continue
        patient = listed.get(name) or inputs.patients.get(name, "")
        if patient_folders and "/" in name:
            patient = patient or name.partition("/")[0]
        found.append(Listed(name, patient, info.st_size, info.st_mtime_ns))
    return Listing(found, left_out, inputs.others)


def _patients_in_csv(path: Path, root: Root) -> dict[str, str]:
    """Name -> patient, of a CSV with a column patient_id."""
    header, rows = read_cells(path)
    if "patient_id" not in header:
        return {}
    at, of = header.index("path"), header.index("patient_id")
    patients = {}
    for _, cells in rows:
        if len(cells) > max(at, of) and cells[at].strip():
            try:
                patients[root.tidy(cells[at].strip())] = cells[of].strip()
            except UserError:
                continue  # `find_inputs` has said it
    return patients
