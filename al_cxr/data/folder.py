"""One folder a class, optionally below train/val/test."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.config import DataSettings, FolderSource
from al_cxr.data import splits
from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import SUFFIXES
from al_cxr.data.files import FileImages, Root
from al_cxr.errors import UserError


def exists(source: FolderSource) -> bool:
    return os.path.lexists(_path(source))


def load(source: FolderSource, settings: DataSettings) -> Dataset:
    """The folder as a data set with all three splits; class names in lower case, sorted."""
    return splits.complete(read(source), settings)


def read(source: FolderSource) -> Dataset:
    """The folder as it is: `split_N` is "" everywhere if it has no split folders, and splits may be missing."""
    path = _path(source)
    if not path.is_dir():
        raise UserError(f"{path}: {'not a folder' if os.path.lexists(path) else 'no such folder'}")
    name = path.resolve().name
    while len(folders := _listing(path)[0]) == 1 and not _is_split(folders[0]) and _listing(path / folders[0])[0]:
        path = path / folders[0]  # such as archive/chest_xray/train: the only folder, with folders in it
    root = Root(path)
    notes: list[str] = []
    left_out: Counter[str] = Counter()
    rows: list[tuple[str, str, str]] = []
    classes: set[str] = set()
    for split, below in _splits(path, notes):
        seen: dict[str, str] = {}
        for folder in _listing(path / below)[0]:
            label = folder.strip().lower()
            if label in seen:
                raise UserError(f"{path / below}: {seen[label]!r} and {folder!r} are folders of one class; merge them")
            seen[label] = folder
            images = _images(path / below / folder, left_out, notes)
            rows += [(root.tidy(os.path.join(below, folder, image)), label, split) for image in images]
        if not seen:
            raise UserError(f"{path / below}: no class folders; put the images of each class into a folder of its name")
        classes |= seen.keys()
    if left_out:
        kinds = ", ".join(f"{n} {suffix or 'without extension'}" for suffix, n in sorted(left_out.items()))
        notes.append(f"{left_out.total()} files left out that are no {'/'.join(s[1:] for s in SUFFIXES)}: {kinds}")

    images_N, labels_N, split_N = (list(column) for column in zip(*rows, strict=True))
    order = sorted(classes)
    table = pd.DataFrame({"image": images_N, "label": labels_N, "split": split_N, "patient_id": "", "source": ""})
    return Dataset(
        name=name,
        classes=tuple(order),
        labels_N=np.array([order.index(label) for label in labels_N], dtype=np.int64),
        split_N=np.array(split_N),
        table=table,
        images=FileImages(root, images_N, [_stat(root, image) for image in images_N]),
        notes=tuple(notes),
        attribution=source.attribution,
    )


def _path(source: FolderSource) -> Path:
    return Path(source.path).expanduser()


def _is_split(folder: str) -> bool:
    return folder.strip().lower() in splits.SYNONYMS


def _listing(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files in a folder, each sorted, without hidden ones."""
    try:
        with os.scandir(folder) as entries:
            visible = [(e.name, e.is_dir()) for e in entries if not e.name.startswith(".") and e.name != "__MACOSX"]
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None
    return sorted(n for n, is_folder in visible if is_folder), sorted(n for n, is_folder in visible if not is_folder)


def _splits(path: Path, notes: list[str]) -> list[tuple[str, str]]:
    """Pairs of a split ("" if there are none) and its folder relative to `path`."""
    folders, files = _listing(path)
    stray = sum(Path(f).suffix.lower() in SUFFIXES for f in files)
    if stray:
        notes.append(f"{stray} images left out that lie beside the folders in {path.name}/ and so have no class")
    named = [f for f in folders if _is_split(f)]
    if not named:
        return [("", "")]
    found: dict[str, str] = {}
    for folder in named:
        split = splits.SYNONYMS[folder.strip().lower()]
        if split in found:
            raise UserError(f"{path}: {found[split]!r} and {folder!r} both name the {split} split; remove one")
        found[split] = folder
    others = [f for f in folders if f not in named]
    if others:
        notes.append(f"folders left out that are beside the splits: {', '.join(others)}")
    return list(found.items())


def _images(folder: Path, left_out: Counter[str], notes: list[str]) -> list[str]:
    """Names of the images of one class folder; UserError if there are none."""
    folders, files = _listing(folder)
    images = [f for f in files if Path(f).suffix.lower() in SUFFIXES]
    left_out.update(suffix for f in files if (suffix := Path(f).suffix.lower()) not in SUFFIXES)
    if not images:
        others = [f"the folder {f}, which is not searched" for f in folders] + [f"{len(files)} other files"] * bool(
            files
        )
        holds = f" (it holds {', '.join(others)})" if others else ""
        raise UserError(f"{folder}: empty class, no image in this folder{holds}; add images or remove the folder")
    if folders:
        notes.append(f"folders inside the class folder {folder.name} are not searched: {', '.join(folders)}")
    return images


def _stat(root: Root, image: str) -> os.stat_result:
    try:
        return root.stat(image)
    except FileNotFoundError:
        raise UserError(f"{root.path / image}: a symbolic link to nothing") from None
