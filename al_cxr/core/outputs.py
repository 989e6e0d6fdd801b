"""What a command may overwrite: files that al-cxr wrote and nobody changed, and never a file that the command reads.

A file that is written alone is known by its content: a CSV of predictions by its columns, a picture by what it says
of its origin. A page has too many kinds of files for that, so its folder keeps a list of them, `written.sha256`, a
line a file, as `sha256sum -c` reads it. Whatever else lies in the folder stays as it is.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from al_cxr.core.drafts import sweep, write_atomically
from al_cxr.core.errors import UserError

WRITTEN = "written.sha256"

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_DATA = re.compile(r"(?:--data[= ]|data audit )(\S+)")
_FINGERPRINT = re.compile(r"fingerprint:? ([0-9a-f]{64})")
_PAGES = ("README.md", "index.md")
_MARKS = ("not a medical device. Percentages have one decimal", "\n## Leaks and copies\n")
"""One of them stands on every page of the versions that kept no list."""


def must_be_ours(path: Path, ours: Callable[[Path], bool], inputs: Iterable[Path] = ()) -> None:
    """UserError unless `path` is free, or is a file for which `ours` is true and which is none of `inputs`, under
    whatever name."""
    there = _there(path)
    if not os.path.lexists(there):
        return
    if any(_is_same(there, each) for each in inputs):
        raise UserError(f"{path}: this command reads that file, and does not overwrite it; choose another output")
    if not there.is_file():
        raise UserError(f"{path}: is there already and is not a file; choose another output")
    if not ours(there):
        raise UserError(
            f"{path}: is there already, and is not what al-cxr wrote; choose another output, or move it away"
        )


def must_be_free(folder: Path, names: Iterable[str], inputs: Iterable[Path] = ()) -> None:
    """UserError unless each of these files of a page (paths below its folder) may be written, as `must_be_ours`."""
    folder, inputs = _there(folder), list(inputs)
    listed = _listed(folder)
    everything = not listed and _is_older(folder)

    def ours(path: Path) -> bool:
        return everything or (_digest(path), path.relative_to(folder).as_posix()) in listed

    for name in names:
        must_be_ours(folder / name, ours, inputs)


def must_be_apart(folder: Path, images: Path | None) -> None:
    """UserError for a page in a folder of which every image is read: its figures would be images of the data set the
    next time. None for `images` where there is no such folder."""
    if images is not None and folder.resolve().is_relative_to(images.resolve()):
        raise UserError(
            f"{folder}: lies in the folder of images {images}, where the figures of the page would be taken for "
            "radiographs; choose another --out"
        )


def must_be_about(folder: Path, fingerprint: str, command: str) -> None:
    """UserError where the page in a folder is about another data set of the same name: neither its fingerprint nor
    what its command was asked about is the same. Names are not unique: a/images and b/images are both `images`."""
    page = folder / _PAGES[0]
    if not page.is_file():
        return
    text = page.read_bytes().decode(errors="replace").replace("\\", "")
    old = _FINGERPRINT.search(text)
    there, here = _asked(text), _asked(command)
    if there != here and (old is None or old[1] != fingerprint):
        raise UserError(
            f"{folder}: holds the page of another data set ({there or 'of the experiment file'}), and is not "
            "overwritten; choose another --name, --out or --results"
        )


def _asked(command: str) -> str | None:
    """The data set that a command line names."""
    named = _DATA.search(command)
    return os.path.normpath(named[1].strip("'\"")) if named else None


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Files of a page, by their paths below its folder, in this order, after `must_be_free` let them all pass."""
    folder = _there(folder)
    sweep(folder)
    before = _listed(folder)
    new = {(hashlib.sha256(data).hexdigest(), name) for name, data in files.items()}
    _list(folder, before | new)  # first, so that after a kill none of them is taken for somebody else's
    for name, data in files.items():
        write_atomically(folder / name, data)
    _list(folder, {(digest, name) for digest, name in before if name not in files} | new)


def replace_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """As `write_files`, and what al-cxr wrote into the folder before, is as it was and is not among `files`, goes."""
    there = _there(folder)
    before = _listed(there)
    write_files(folder, files)
    gone = [(digest, name) for digest, name in before if name not in files]
    for digest, name in gone:
        path = there / name
        inside = path.resolve().is_relative_to(there.resolve())  # the list may be of anywhere
        if inside and path.is_file() and _digest(path) == digest:
            path.unlink()
    _list(there, _listed(there) - set(gone))


def _there(path: Path) -> Path:
    """Where a path leads once the folders on its way are made: a/../b is b, also while there is no a."""
    return path if os.path.lexists(path) else Path(os.path.realpath(path))


def _is_same(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # one of them cannot be looked at
        return False


def _digest(path: Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _listed(folder: Path) -> set[tuple[str, str]]:
    """Digest and name of what al-cxr wrote into a folder."""
    path = folder / WRITTEN
    if not path.is_file():
        return set()
    lines = [_LINE.fullmatch(line) for line in path.read_bytes().decode(errors="replace").splitlines()]
    if not all(lines):
        raise UserError(f"{path}: not the list of files that al-cxr keeps there; move it away")
    return {(line[1], line[2]) for line in lines if line}


def _list(folder: Path, files: set[tuple[str, str]]) -> None:
    lines = [f"{digest}  {name}\n" for digest, name in sorted(files, key=lambda file: file[::-1])]
    write_atomically(folder / WRITTEN, "".join(lines).encode())


def _is_older(folder: Path) -> bool:
    """Whether a folder was written by a version that kept no list: it holds a run, or a page that says so."""
    if any((folder / name).is_file() for name in ("experiment.json", "baselines.json")):
        return True
    pages = [folder / name for name in _PAGES]
    return any(
        mark in page.read_bytes().decode(errors="replace") for page in pages if page.is_file() for mark in _MARKS
    )
