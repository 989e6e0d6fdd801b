"""A CSV that names a path and a label an image, and whatever else is known."""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.sources.cells import SUFFIXES as SUFFIXES_OF_TABLES
from al_cxr.data.sources.cells import read_cells
from al_cxr.data.sources.files import ROOT_OPTION, FileImages, Root
from al_cxr.data.sources.source import KIND, Source, register
from al_cxr.data.sources.with_headers import use
from al_cxr.data.spelling import spell
from al_cxr.data.unknown import is_empty

REQUIRED = ("path", "label")
MEANT = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_index", "img"),
    "label": ("labels", "class", "finding", "findings", "finding_labels", "diagnosis", "target", "dx"),
    "split": ("set", "subset", "partition", "fold"),
    "patient_id": ("patient", "patientid", "patients", "pid", "subject", "subject_id", "subjectid", "patient_number"),
    "age": ("patient_age", "patientage", "age_years"),
    "sex": ("gender", "patient_sex", "patientsex", "patient_gender"),
    "source": ("hospital", "dataset", "institution"),
    "view": ("view_position", "viewposition", "projection"),
}
"""Column -> what others call it."""

Column = list[str]


@register
class ManifestSource(Source):
    """A CSV with the columns path and label, and optionally split, patient_id, source and any others.

    Examples
    --------
    >>> source = ManifestSource(path="labels.csv", root="/archive/images")
    >>> source.describe(), source.short_name()
    ('manifest labels.csv', 'labels')
    """

    usage = "FILE.csv"

    kind: Literal["manifest"] = Field("manifest", description=KIND)
    path: str = Field(description="the CSV file with the paths and the labels")
    root: str | None = Field(
        None, description="folder that the paths start from and stay in; null = the folder of the CSV"
    )
    follow_links: bool = Field(False, description="read symbolic links that lead out of that folder (DVC, git-annex)")
    attribution: str = Field("", description="who made the images and under which terms; printed in every report")

    @classmethod
    def from_text(cls, text: str) -> ManifestSource:
        if not text:
            raise ValueError("no CSV is named")
        return cls(path=text)

    @classmethod
    def claims(cls, path: Path) -> bool:
        return path.name.lower().endswith(SUFFIXES_OF_TABLES) and not path.is_dir()

    def exists(self) -> bool:
        return os.path.lexists(_path(self))

    def read(self) -> Dataset:
        return _read(self)

    def describe(self) -> str:
        return f"manifest {self.path}"

    def short_name(self) -> str:
        return Path(self.path).stem


def _read(source: ManifestSource) -> Dataset:
    """The manifest as a data set; labels in lower case, classes sorted.

    Every error names the file and the row as a spreadsheet counts them: the header is row 1.
    """
    path = _path(source)
    header, rows = read_cells(path)
    notes = _check_header(path, header)
    for number, cells in rows:
        if len(cells) != len(header):
            raise UserError(f"{path}: row {number}: {len(cells)} cells, but the header has {len(header)}")
    raw = {name: [cells[i] for _, cells in rows] for i, name in enumerate(header)}
    paths_N = raw.pop("path")

    def where(i: int) -> str:
        return f"{path}: row {rows[i][0]}"

    columns, spelt = spell(raw, where)  # before anything is looked for
    root = Root(_root(source, path), source.follow_links, path.parent)
    images_N = _files([cell.strip() for cell in paths_N], root, where, source.root is None)
    used = use(str(path), images_N, root, raw)
    if used.dicoms or used.left_out:
        rows = [rows[i] for i in used.rows.tolist()]
        images_N = [images_N[i] for i in used.rows.tolist()]
        columns, spelt = spell(used.columns, where)
    labels_N, unknown = columns.pop("label"), [""] * len(rows)
    order = sorted(set(labels_N))
    known = {"image": images_N, "label": labels_N, "split": unknown, "patient_id": unknown, "source": unknown}
    table = pd.DataFrame(known | columns)
    return Dataset(
        name=path.stem,
        classes=tuple(order),
        labels_N=np.array([order.index(label) for label in labels_N], dtype=np.int64),
        split_N=table["split"].to_numpy(dtype=str),
        table=table,
        images=FileImages(root, images_N, used.infos, used.dicoms),
        notes=(*notes, *spelt, *used.notes),
        left_out=used.left_out,
        attribution=source.attribution,
    )


def _path(source: ManifestSource) -> Path:
    return Path(source.path).expanduser()


def _root(source: ManifestSource, path: Path) -> Path:
    root = path.parent if source.root is None else Path(source.root).expanduser()
    if not root.is_dir():
        raise UserError(f"{root}: no such folder (the root of the manifest {path})")
    return root


def _check_header(path: Path, header: list[str]) -> list[str]:
    """A note for each column that is not used and may hold what is; UserError where a table cannot be made."""
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        nearest = {name: _meant(name, header) for name in missing}
        meant = [f"; rename {near!r} to {name}" for name, near in nearest.items() if near]
        raise UserError(
            f"{path}: no column {' and no column '.join(missing)}; it has {', '.join(header)}{''.join(meant)}"
        )
    for name in header:
        if header.count(name) > 1:
            raise UserError(f"{path}: two columns are called {name!r}; rename or remove one")
    if "" in header or "image" in header:
        bad = "without a name" if "" in header else "'image', a name that is taken (it will hold the path)"
        raise UserError(f"{path}: there is a column {bad}; rename or remove it")
    notes = []
    for name in MEANT:
        near = None if name in header else _meant(name, header)
        if near:
            what = name.replace("_id", "")
            notes.append(f"the column {near!r} is not used: if it is the {what} of each image, rename it to {name}")
    return notes


def _meant(name: str, header: list[str]) -> str | None:
    """The column that somebody may have meant by a name which is not there."""
    others = [other for other in header if other not in MEANT]
    found = [other for other in others if other in MEANT[name]]
    found += difflib.get_close_matches(name, others, n=1, cutoff=0.8)
    return found[0] if found else None


def _files(texts_N: Column, root: Root, where: Callable[[int], str], own_root: bool) -> list[str]:
    """Tidy names of files that are all there."""
    names: list[str] = []
    row_of: dict[str, str] = {}
    missing: list[tuple[int, str]] = []
    for i, text in enumerate(texts_N):
        try:
            if is_empty(text):
                raise UserError(f"path is {text or 'empty'}; name a file, or leave this row out")
            name = root.tidy(text)
            spelt = unicodedata.normalize("NFC", name)  # accents coded otherwise are still the same file
            if spelt in row_of:
                first = row_of[spelt].rpartition(": ")[2]
                raise UserError(f"{name}: the same path as in {first}; list every image once")
            row_of[spelt] = where(i)
            root.stat(name)
            names.append(name)
        except FileNotFoundError:
            missing.append((i, name))
        except UserError as error:
            raise UserError(f"{where(i)}: {error}") from None
    if missing:
        i, name = missing[0]
        more = f" (and {len(missing) - 1} more of {len(texts_N)})" if len(missing) > 1 else ""
        base = "the folder of the CSV" if own_root else "the root that was given"
        like = root.like(name)
        what_to_do = (
            f"{like} is there: write names as they are on the disk, with their ending"
            if like
            else f"paths are taken from {base}; name another with {ROOT_OPTION}"
        )
        raise UserError(f"{where(i)}: no file {name} in {root.path}{more}; {what_to_do}")
    return names
