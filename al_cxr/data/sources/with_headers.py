"""Files of images as a data set; of DICOM among them, which are used, and what their headers add to the table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import SUFFIXES
from al_cxr.data.dicom import said
from al_cxr.data.dicom.found import described, look
from al_cxr.data.dicom.sniff import is_dicom_file
from al_cxr.data.doubts import doubt_lines
from al_cxr.data.sources.files import FileImages, Root
from al_cxr.data.spelling import spell


@dataclass(frozen=True, eq=False)
class Used:
    """Of N images with their columns those that are used."""

    rows: np.ndarray
    """int64, ascending."""
    columns: dict[str, list[str]]
    """Of these rows, with what headers say where a cell was empty."""
    notes: tuple[str, ...]
    infos: list[os.stat_result]
    """Of these rows, as `Root.stat` tells it."""
    left_out: tuple[tuple[str, str], ...]
    """(name, reason) of the others."""
    dicoms: frozenset[str]
    """Names of the DICOM files among these rows."""


def is_dicom_named(name: str, path: Path) -> bool:
    """Whether a file is DICOM that does not end like another image, by its name or its first bytes."""
    return not name.lower().endswith(SUFFIXES) and is_dicom_file(path)


def use(where: str, names_N: Sequence[str], root: Root, columns: dict[str, list[str]]) -> Used:
    """Look at the headers of the DICOM files among N images below a root; `where` begins errors.

    No file is opened before it is known to lie below the root. UserError where one does not, or not one image is left.
    """
    infos_N = [_stat(root, name) for name in names_N]
    found = look(root.path, [name for name in names_N if is_dicom_named(name, root.file(name))], root.file)
    out = {name for name, _ in found.left_out}
    rows_M = np.array([i for i, name in enumerate(names_N) if name not in out], dtype=np.int64)
    if not len(rows_M):
        raise UserError(f"{where}: no image that can be used: {'; '.join(said.summary(r for _, r in found.left_out))}")
    kept = {column: [cells[i] for i in rows_M.tolist()] for column, cells in columns.items()}
    return Used(
        rows=rows_M,
        columns=described([names_N[i] for i in rows_M.tolist()], found, kept),
        notes=(*left_out_lines(found.left_out, len(names_N)), *found.notes),
        infos=[infos_N[i] for i in rows_M.tolist()],
        left_out=tuple(found.left_out),
        dicoms=frozenset(found.rows),
    )


def left_out_lines(left_out: Sequence[tuple[str, str]], total: int) -> list[str]:
    """(name, reason) of files among so many -> lines for a person, and where the whole list is if they name not all."""
    lines = [f"left out, {line}" for line in doubt_lines(left_out, total)]
    if len(left_out) > len(lines):
        lines.append(f"`al-cxr data audit` lists all {len(left_out):,} files that are left out, each with its reason")
    return lines


def dataset_of(
    name: str, root: Root, names_N: Sequence[str], used: Used, notes: Sequence[str], attribution: str
) -> Dataset:
    """The used ones of N images, which have at least the columns label, split and patient_id; class names sorted."""
    images_M = [names_N[i] for i in used.rows.tolist()]
    columns, spelt = spell(used.columns, lambda i: str((root.path / images_M[i]).parent))
    order = sorted(set(columns["label"]))
    first = {"image": images_M} | {column: columns.pop(column) for column in ("label", "split", "patient_id")}
    return Dataset(
        name=name,
        classes=tuple(order),
        labels_N=np.array([order.index(label) for label in first["label"]], dtype=np.int64),
        split_N=np.array(first["split"]),
        table=pd.DataFrame(first | {"source": ""} | columns),
        images=FileImages(root, images_M, used.infos, used.dicoms),
        notes=(*notes, *spelt, *used.notes),
        attribution=attribution,
        left_out=used.left_out,
    )


def _stat(root: Root, image: str) -> os.stat_result:
    try:
        return root.stat(image)
    except FileNotFoundError:
        raise UserError(f"{root.path / image}: was taken away while the folder was read; start again") from None
