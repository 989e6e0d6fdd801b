"""One folder a class, optionally below train/val/test, and with a folder a patient where that is asked for."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import Field

from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import SUFFIXES
from al_cxr.data.dicom import said
from al_cxr.data.sources.files import Root
from al_cxr.data.sources.source import KIND, Source, register
from al_cxr.data.sources.with_headers import dataset_of, is_dicom_named, use
from al_cxr.data.spelling import split_name

PATIENTS = "where they are patients, say --patient-folders (in an experiment file patient_folders: true of the source)"
DEEPEST = 8
"""Folders below a patient's."""


@register
class FolderSource(Source):
    """One folder a class, optionally below train/val/test (the layout of the Kaggle chest X-ray sets).

    Examples
    --------
    >>> source = FolderSource(path="scans", patient_folders=True)
    >>> source.describe(), source.exists()
    ('folder scans', False)
    """

    usage = "FOLDER"

    kind: Literal["folder"] = Field("folder", description=KIND)
    path: str = Field(description="folder that holds the class folders or the split folders")
    follow_links: bool = Field(False, description="read symbolic links that lead out of the folder (DVC, git-annex)")
    patient_folders: bool = Field(
        False, description="each class folder holds one folder for each patient, named by the patient's id"
    )
    attribution: str = Field("", description="who made the images and under which terms; printed in every report")

    @classmethod
    def from_text(cls, text: str) -> FolderSource:
        if not text:
            raise ValueError("no folder is named")
        return cls(path=text)

    def exists(self) -> bool:
        return os.path.lexists(_path(self))

    def read(self) -> Dataset:
        return _read(self)

    def describe(self) -> str:
        return f"folder {self.path}"

    def short_name(self) -> str:
        return Path(os.path.abspath(self.path)).name  # of "." the folder's own name

    def image_folder(self) -> Path:
        return Path(self.path)


def _read(source: FolderSource) -> Dataset:
    """The folder as a data set; class names in lower case, sorted."""
    path = _path(source)
    if not path.is_dir():
        raise UserError(f"{path}: {_what_it_is(path) if os.path.lexists(path) else 'no such folder'}")
    name = path.resolve().name
    if not source.patient_folders:
        path = _inside_wrappers(path)
    root = Root(path, source.follow_links)
    notes: list[str] = []
    left_out: Counter[str] = Counter()
    rows: list[tuple[str, str, str, str]] = []
    for split, start in split_folders(path, notes):
        classes, beside = listing(path / start)
        if not classes:
            if any(is_dicom_named(file, path / start / file) for file in beside):
                raise UserError(
                    f"{path / start}: DICOM files without class folders: put those of each class into a folder of its "
                    "name, or name a CSV with the columns path and label"
                )
            raise UserError(f"{path / start}: no class folders; put the images of each class into a folder of its name")
        for folder in classes:
            found = _images(path / start / folder, source.patient_folders, left_out, notes)
            rows += [(root.tidy(os.path.join(start, folder, im)), folder, split, patient) for im, patient in found]
    if left_out:
        kinds = ", ".join(f"{n} {suffix or 'without extension'}" for suffix, n in sorted(left_out.items()))
        notes.append(f"{left_out.total()} files left out that are no {'/'.join(s[1:] for s in SUFFIXES)}: {kinds}")

    images_N, folder_N, split_N, patient_N = (list(column) for column in zip(*rows, strict=True))
    used = use(str(path), images_N, root, {"label": folder_N, "split": split_N, "patient_id": patient_N})
    kept = set(used.rows.tolist())
    for folder in sorted(set(folder_N)):
        if not any(i in kept for i, other in enumerate(folder_N) if other == folder):
            reasons = [reason for image, reason in used.left_out if Path(image).parts[:-1].count(folder)]
            raise UserError(f"{path}: no image of {folder} can be used: {'; '.join(said.summary(reasons))}")
    return dataset_of(name, root, images_N, used, notes, source.attribution)


def _path(source: FolderSource) -> Path:
    return Path(source.path).expanduser()


def _what_it_is(path: Path) -> str:
    """A file that was given as a folder, and what to do."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return "a file and not a folder; a MedMNIST set is named medmnist:FLAG@FOLDER"
    if suffix in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"):
        return "an archive and not a folder; unpack it and name the folder"
    return (
        "not a folder; name a folder that holds a folder a class, or a CSV (NAME.csv) with the columns path and label"
    )


def _inside_wrappers(path: Path) -> Path:
    """The folder itself, or the only folder in it that is no class and no split but holds them, such as
    archive/chest_xray of archive."""
    folders = listing(path)[0]
    if len(folders) == 1 and split_name(folders[0]) is None and listing(path / folders[0])[0]:
        return _inside_wrappers(path / folders[0])
    return path


def listing(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files in a folder, each sorted, without hidden ones."""
    try:
        with os.scandir(folder) as entries:
            visible = [(e.name, e.is_dir()) for e in entries if not e.name.startswith(".") and e.name != "__MACOSX"]
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None
    return sorted(n for n, is_folder in visible if is_folder), sorted(n for n, is_folder in visible if not is_folder)


def split_folders(path: Path, notes: list[str]) -> list[tuple[str, str]]:
    """Pairs of a split ("" if there are none) and its folder relative to `path`."""
    folders, files = listing(path)
    stray = sum(Path(f).suffix.lower() in SUFFIXES for f in files)
    if stray:
        notes.append(f"{stray} images left out that lie beside the folders in {path.name}/ and so have no class")
    named = [f for f in folders if split_name(f)]
    if not named:
        return [("", "")]
    found: dict[str, str] = {}
    for folder in named:
        split = split_name(folder) or ""
        if split in found:
            raise UserError(f"{path}: {found[split]!r} and {folder!r} both name the {split} split; remove one")
        found[split] = folder
    others = [f for f in folders if f not in named]
    if others:
        notes.append(f"folders left out that are beside the splits: {', '.join(others)}")
    return list(found.items())


def _images(folder: Path, patient_folders: bool, left_out: Counter[str], notes: list[str]) -> list[tuple[str, str]]:
    """Names of the images of one class folder, relative to it, and their patients; UserError if there are none."""
    folders, files = listing(folder)
    found = [(image, "") for image in _only_images(folder, files, left_out)]
    if patient_folders:
        for patient in folders:
            found += [(image, patient) for image in below(folder, patient, left_out)]
    if not found:
        others = []
        if folders:
            others.append(_shown(folders))
        if files:
            others.append(f"{len(files)} other files")
        holds = f" (it holds {' and '.join(others)}; images end in {', '.join(SUFFIXES)})" if others else ""
        what_to_do = PATIENTS if folders and not patient_folders else "add images or remove the folder"
        raise UserError(f"{folder}: empty class, no image in this folder{holds}; {what_to_do}")
    if folders and not patient_folders:
        notes.append(f"in the class folder {folder.name} {_shown(folders)}: not searched; {PATIENTS}")
    return found


def below(folder: Path, name: str, left_out: Counter[str]) -> list[str]:
    """Every image below a folder of `folder`, relative to `folder`; studies may have folders of their own."""
    if name.count("/") > DEEPEST:
        raise UserError(f"{folder / name}: more than {DEEPEST} folders deep; does a symbolic link lead back?")
    folders, files = listing(folder / name)
    found = [f"{name}/{image}" for image in _only_images(folder / name, files, left_out)]
    return found + [image for inner in folders for image in below(folder, f"{name}/{inner}", left_out)]


def _only_images(folder: Path, files: list[str], left_out: Counter[str]) -> list[str]:
    found = [f for f in files if Path(f).suffix.lower() in SUFFIXES or is_dicom_named(f, folder / f)]
    left_out.update(Path(f).suffix.lower() for f in sorted({*files} - {*found}))
    return found


def _shown(folders: list[str]) -> str:
    more = f" and {len(folders) - 3} more" if len(folders) > 3 else ""
    noun = "folders" if len(folders) > 1 else "folder"
    return f"the {noun} {', '.join(folders[:3])}{more}"
