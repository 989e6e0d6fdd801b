"""A project's labels in a folder of their own: as tables, or as one folder a class, each with its datasheet."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from al_cxr.bundles.folder import must_be_new
from al_cxr.core.drafts import write_atomically, writing
from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_free, write_files
from al_cxr.labelling.datasheet import datasheet
from al_cxr.labelling.rows import ANSWERS, DROPPED, LABELS, Column, answer_table, dropped_table, label_table
from al_cxr.labelling.state import State

TABLES = {
    "labels.csv": (LABELS, label_table),
    "answers.csv": (ANSWERS, answer_table),
    "dropped.csv": (DROPPED, dropped_table),
}
"""File -> its columns, and what makes it."""
METADATA = (
    Column("file_name", "the copy of the image"),
    *(column for column in LABELS if column.name != "path"),
)
"""Columns of metadata.csv, which Hugging Face's `imagefolder` reads."""


def export_tables(state: State, head: tuple[int, str], folder: Path, title: str) -> list[Path]:
    """labels.csv, answers.csv, dropped.csv and their datasheet; gives the files.

    What an earlier export wrote there is written anew; UserError, and nothing is written, where another file is there.
    """
    columns = {name: columns for name, (columns, _) in TABLES.items()}
    files = {name: _csv(table(state)) for name, (_, table) in TABLES.items()}
    files["README.md"] = datasheet(state, title, head, columns).encode()
    must_be_free(folder, files)
    write_files(folder, files)
    return [folder / name for name in files]


def export_imagefolder(
    state: State, head: tuple[int, str], folder: Path, title: str, file_of: Callable[[str], Path]
) -> list[Path]:
    """A new folder with a folder for each class, in it copies of its images, and metadata.csv and the datasheet; gives
    the files.

    It appears whole or not at all. A copy is called after the hash of its content, so that its name says nothing of the
    patient. `file_of` gives the file of an image by its hash. UserError where the folder is there or a file is gone.
    """
    must_be_new(folder)
    table = label_table(state)
    places = {}
    for image, label in zip(table["image_hash"], table["label"], strict=True):
        places[image] = f"{_folder_name(label)}/{image}{file_of(image).suffix.lower()}"
    metadata = table.assign(path=table["image_hash"].map(places)).rename(columns={"path": "file_name"})
    text = datasheet(state, title, head, {"metadata.csv": METADATA})
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for image, place in places.items():
            write_atomically(draft / place, file_of(image).read_bytes())
        write_atomically(draft / "metadata.csv", _csv(metadata))
        write_atomically(draft / "README.md", text.encode())
        with writing(folder):
            draft.chmod(0o755)
            os.rename(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return [folder / name for name in ("metadata.csv", "README.md", *places.values())]


def _csv(frame: pd.DataFrame) -> bytes:
    return bytes(frame.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape"))


def _folder_name(label: str) -> str:
    """A class as a folder; UserError where no folder can be called so."""
    if label.startswith(".") or any(c in '/\\:*?"<>|' for c in label):
        raise UserError(f"class {label!r}: no folder can be called so; export tables instead")
    return label
