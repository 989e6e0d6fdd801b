"""A CSV that names a path and a label an image, and whatever else is known."""

from __future__ import annotations

import csv
import os
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.config import DataSettings, ManifestSource
from al_cxr.data import splits
from al_cxr.data.dataset import Dataset
from al_cxr.data.files import FileImages, Root
from al_cxr.errors import UserError

MAX_BYTES = 256 * 2**20
REQUIRED = ("path", "label")
_NOT_A_VALUE = {"nan", "<na>", "n/a", "na", "null"}
"""What other programs write for "empty". As a patient_id it would make one patient of all unknown ones."""

Column = list[str]


def exists(source: ManifestSource) -> bool:
    return os.path.lexists(_path(source))


def load(source: ManifestSource, settings: DataSettings) -> Dataset:
    """The manifest as a data set with all three splits; labels in lower case, classes sorted."""
    return splits.complete(read(source), settings)


def read(source: ManifestSource) -> Dataset:
    """The manifest as it is: `split_N` is "" everywhere if it has no splits, and splits may be missing.

    Every error names the file and the row as a spreadsheet counts them: the header is row 1.
    """
    path = _path(source)
    numbers_N, columns = _columns(path)
    for key in ("path", "label", "split", "patient_id", "source"):
        for number, text in zip(numbers_N, columns.get(key, []), strict=False):
            if text.lower() in _NOT_A_VALUE or (not text and key in REQUIRED):
                hint = "" if key in REQUIRED else "; leave it empty where unknown"
                raise UserError(f"{path}: row {number}: {key} is {text or 'empty'}{hint}")

    n = len(numbers_N)
    root = Root(_root(source, path))
    labels_N = [label.lower() for label in columns.pop("label")]
    split_N = _splits(path, numbers_N, columns.pop("split", [""] * n))
    images_N, infos = _files(path, numbers_N, columns.pop("path"), root)
    order = sorted(set(labels_N))
    table = pd.DataFrame(
        {"image": images_N, "label": labels_N, "split": split_N, "patient_id": [""] * n, "source": [""] * n} | columns
    )
    return Dataset(
        name=path.stem,
        classes=tuple(order),
        labels_N=np.array([order.index(label) for label in labels_N], dtype=np.int64),
        split_N=np.array(split_N),
        table=table,
        images=FileImages(root, images_N, infos),
        attribution=source.attribution,
    )


def _path(source: ManifestSource) -> Path:
    return Path(source.path).expanduser()


def _root(source: ManifestSource, path: Path) -> Path:
    root = path.parent if source.root is None else Path(source.root).expanduser()
    if not root.is_dir():
        raise UserError(f"{root}: no such folder (the root of the manifest {path})")
    return root


def _columns(path: Path) -> tuple[list[int], dict[str, Column]]:
    """Row numbers and the cells a column, stripped; blank rows are passed over but counted."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES >> 20} MiB, the limit for a manifest")
        with open(path, encoding="utf-8-sig", newline="") as f:
            rows = [(i, [cell.strip() for cell in row]) for i, row in enumerate(csv.reader(f, strict=True), start=1)]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; save it as CSV UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV ({error})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    rows = [(i, cells) for i, cells in rows if any(cells)]
    if not rows:
        raise UserError(f"{path}: empty; a manifest has the columns path and label, and a row an image")
    header = [name.lower() for name in rows.pop(0)[1]]
    _check_header(path, header)
    if not rows:
        raise UserError(f"{path}: has a header and no rows")
    for number, cells in rows:
        if len(cells) != len(header):
            raise UserError(f"{path}: row {number}: {len(cells)} cells, but the header has {len(header)}")
    cells_of = zip(*(cells for _, cells in rows), strict=True)
    return [i for i, _ in rows], {name: list(cells) for name, cells in zip(header, cells_of, strict=True)}


def _check_header(path: Path, header: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        hint = "; it looks separated by semicolons, use commas" if any(";" in name for name in header) else ""
        raise UserError(f"{path}: no column {' and no column '.join(missing)}; it has {', '.join(header)}{hint}")
    for name in header:
        if header.count(name) > 1:
            raise UserError(f"{path}: column {name!r} stands there twice")
    if "" in header or "image" in header:
        bad = "without a name" if "" in header else "'image', a name that is taken (it will hold the path)"
        raise UserError(f"{path}: there is a column {bad}; rename or remove it")


def _splits(path: Path, numbers_N: list[int], texts_N: Column) -> list[str]:
    if not any(texts_N):
        return texts_N
    for number, text in zip(numbers_N, texts_N, strict=True):
        if text.lower() not in splits.SYNONYMS:
            what = f"unknown split {text!r}" if text else "split is empty (and is not in other rows)"
            raise UserError(f"{path}: row {number}: {what}; known are {', '.join(splits.SYNONYMS)}")
    return [splits.SYNONYMS[text.lower()] for text in texts_N]


def _files(path: Path, numbers_N: list[int], texts_N: Column, root: Root) -> tuple[list[str], list[os.stat_result]]:
    """Tidy names and what the file system knows of each file."""
    infos: dict[str, os.stat_result] = {}
    row_of: dict[str, int] = {}
    missing: list[tuple[int, str]] = []
    for number, text in zip(numbers_N, texts_N, strict=True):
        try:
            name = root.tidy(text)
            spelt = unicodedata.normalize("NFC", name)  # accents coded otherwise are still the same file
            if spelt in row_of:
                raise UserError(f"{name}: the same path as in row {row_of[spelt]}; every image may stand there once")
            row_of[spelt] = number
            infos[name] = root.stat(name)
        except FileNotFoundError:
            missing.append((number, name))
        except UserError as error:
            raise UserError(f"{path}: row {number}: {error}") from None
    if missing:
        number, name = missing[0]
        more = f" (and {len(missing) - 1} more of {len(texts_N)})" if len(missing) > 1 else ""
        raise UserError(f"{path}: row {number}: no file {name} in {root.path}{more}; is root the right folder?")
    return list(infos), list(infos.values())
