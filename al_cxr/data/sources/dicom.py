"""DICOM files as an archive exports them: a tree of any depth, or what a DICOMDIR lists."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.dicom.identity import pseudonyms
from al_cxr.data.dicom.sniff import DIRECTORY
from al_cxr.data.sources.cells import read_cells
from al_cxr.data.sources.files import Root
from al_cxr.data.sources.folder import below, listing, split_folders
from al_cxr.data.sources.medium import images_of
from al_cxr.data.sources.source import KIND, Source, register
from al_cxr.data.sources.with_headers import Used, dataset_of, is_dicom_named, left_out_lines, use

UIDS = {"sop_instance_uid": ("SOPInstanceUID", "image_id"), "study_instance_uid": ("StudyInstanceUID", "study_id")}
"""Column of a table of labels -> the attribute that it names, and the column of the data set that holds its pseudonym.
The first that a table has counts."""


@register
class DicomSource(Source):
    """DICOM files below one folder, or those that a DICOMDIR lists.

    Without `labels` the folder holds a folder a class, directly or below train/val/test, each with files at any depth.
    With it, a CSV gives the label of each image or of each study.

    Examples
    --------
    >>> source = DicomSource.from_text("export@labels.csv")
    >>> source.describe(), source.labels, source.exists()
    ('DICOM files in export', 'labels.csv', False)
    """

    usage = "dicom:FOLDER[@LABELS.csv]"

    kind: Literal["dicom"] = Field("dicom", description=KIND)
    path: str = Field(description="folder that holds the files at any depth, or a DICOMDIR")
    labels: str | None = Field(
        None, description="CSV with the columns label and sop_instance_uid or study_instance_uid; null = class folders"
    )
    follow_links: bool = Field(False, description="read symbolic links that lead out of the folder (DVC, git-annex)")
    attribution: str = Field("", description="who made the images and under which terms; printed in every report")

    @classmethod
    def from_text(cls, text: str) -> DicomSource:
        path, _, labels = text.partition("@")
        if not path:
            raise ValueError("no folder is named")
        return cls(path=path, labels=labels or None)

    @classmethod
    def claims(cls, path: Path) -> bool:
        return path.name.upper() == DIRECTORY and path.is_file()

    def exists(self) -> bool:
        return os.path.lexists(_path(self))

    def read(self) -> Dataset:
        return _read(self)

    def describe(self) -> str:
        return f"DICOM files in {self.path}"

    def short_name(self) -> str:
        path = Path(os.path.abspath(self.path))
        return path.parent.name if path.name.upper() == DIRECTORY else path.name

    def image_folder(self) -> Path:
        path = _path(self)
        return path.parent if path.is_file() else path


def _path(source: DicomSource) -> Path:
    return Path(source.path).expanduser()


def _read(source: DicomSource) -> Dataset:
    path = _path(source)
    if not os.path.lexists(path):
        raise UserError(f"{path}: nothing there; name a folder of DICOM files, or a DICOMDIR")
    if not path.is_dir() and not DicomSource.claims(path):
        raise UserError(f"{path}: neither a folder nor a {DIRECTORY}; name one of these")
    folder = source.image_folder()
    root, notes = Root(folder, source.follow_links), list[str]()
    if path.is_dir():
        files = _in_tree(folder, source.labels is not None, notes)
        missing: list[tuple[str, str]] = []
    else:
        listed, missing = images_of(path, root)
        files = [(name, "") for name in listed]
    if not files:
        what = (
            "none of the images that it lists is there; copy the medium as a whole"
            if missing
            else "no DICOM file in it"
        )
        raise UserError(f"{path}: {what}")
    names_N, split_N = [name for name, _ in files], [split for _, split in files]
    if source.labels is None:
        label_N = [_class_of(path, name, split, folder) for name, split in files]
        used = use(str(path), names_N, root, {"label": label_N, "split": split_N, "patient_id": [""] * len(files)})
    else:
        used = use(str(path), names_N, root, {"split": split_N, "patient_id": [""] * len(files)})
        used = _labelled(used, Path(source.labels).expanduser(), names_N, notes)
    notes += left_out_lines(missing, len(files) + len(missing))
    used = dataclasses.replace(used, left_out=(*used.left_out, *missing))
    return dataset_of(folder.resolve().name, root, names_N, used, notes, source.attribution)


def _in_tree(folder: Path, flat: bool, notes: list[str]) -> list[tuple[str, str]]:
    """(name, split) of every DICOM file below a folder; `flat` takes folders called train, val or test as any other."""
    left_out: Counter[str] = Counter()
    found: list[tuple[str, str]] = []
    seen = 0
    for split, start in [("", "")] if flat else split_folders(folder, notes):
        folders, beside = listing(folder / start)
        inside = [f"{start}/{name}".lstrip("/") for name in (beside if flat else [])]
        for inner in folders:
            inside += below(folder, f"{start}/{inner}".lstrip("/"), left_out)
        seen += len(inside)
        found += [(name, split) for name in inside if is_dicom_named(name, folder / name)]
        if not flat and (
            stray := sum(n.upper() != DIRECTORY and is_dicom_named(n, folder / start / n) for n in beside)
        ):
            notes.append(f"{stray} DICOM files left out that lie beside the class folders and so have no class")
    if others := seen - len(found) + left_out.total():
        notes.append(f"{others} files left out that are no DICOM")
    return found


def _class_of(path: Path, name: str, split: str, folder: Path) -> str:
    """The class folder of a file."""
    parts = name.split("/")[1 if split else 0 : -1]
    if not parts:
        raise UserError(
            f"{path}: {name} lies in no class folder; put the files of each class into a folder of its name, or give "
            f"a table of labels: {DicomSource.usage}"
        )
    return parts[0]


def _labelled(used: Used, path: Path, names_N: list[str], notes: list[str]) -> Used:
    """The images that a table has a label for, with it."""
    header, rows = read_cells(path)
    column = next((name for name in UIDS if name in header), None)
    if column is None or "label" not in header:
        raise UserError(f"{path}: needs the columns label and {' or '.join(UIDS)}; it has {', '.join(header)}")
    label_of: dict[str, str] = {}
    attribute, pseudonym = UIDS[column]
    names_by = pseudonyms()
    for number, cells in rows:
        if len(cells) != len(header):
            raise UserError(f"{path}: row {number}: {len(cells)} cells, but the header has {len(header)}")
        uid, label = cells[header.index(column)].strip(), cells[header.index("label")].strip()
        known = (names_by.image if pseudonym == "image_id" else names_by.study)({attribute: uid})
        if label_of.setdefault(known, label) != label:
            raise UserError(f"{path}: row {number}: {uid} stands there before with the label {label_of[known]!r}")
    ids = used.columns.get(pseudonym, [""] * len(used.rows))
    chosen = [i for i, one in enumerate(ids) if one in label_of]
    without = [(names_N[int(used.rows[i])], f"no label in {path}") for i, one in enumerate(ids) if one not in label_of]
    if not chosen:
        raise UserError(f"{path}: no {column} in it is one of the {len(ids):,} images'")
    notes += left_out_lines(without, len(names_N))
    columns = {name: [cells[i] for i in chosen] for name, cells in used.columns.items()}
    return dataclasses.replace(
        used,
        rows=np.asarray(used.rows[chosen]),
        columns={"label": [label_of[ids[i]] for i in chosen], **columns},
        infos=[used.infos[i] for i in chosen],
        left_out=(*used.left_out, *without),
    )
