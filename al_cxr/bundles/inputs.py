"""The images that predictions are asked for: every one below a folder, or the paths of a CSV; nothing has a label."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from al_cxr.core.errors import UserError
from al_cxr.core.seeds import digest_text
from al_cxr.data.decode import SUFFIXES
from al_cxr.data.dicom import reader
from al_cxr.data.dicom.found import look
from al_cxr.data.dicom.sniff import DIRECTORY
from al_cxr.data.sources.cells import SUFFIXES as SUFFIXES_OF_TABLES
from al_cxr.data.sources.cells import read_cells
from al_cxr.data.sources.files import LINKS_OPTION, Root
from al_cxr.data.sources.medium import images_of
from al_cxr.data.sources.with_headers import is_dicom_named


@dataclass(frozen=True)
class Inputs:
    """Files below one root, sorted (a CSV: in its order), and what was left out."""

    path: Path
    """The folder or the CSV."""
    root: Path
    names: list[str]
    """Relative to the root, with forward slashes, each once."""
    skipped: list[tuple[str, str]]
    """(name, reason) of what should have been an image and cannot be read."""
    others: int
    """Files that are neither DICOM nor end like an image; only counted."""
    fingerprint: str
    """Hex SHA-256 of all names, sizes and times of change."""
    follow_links: bool = False
    """Whether symbolic links may lead out of the root."""
    patients: dict[str, str] = field(default_factory=dict)
    """Pseudonym of the patient, of the DICOM files whose headers tell."""


@dataclass
class _Finder:
    path: Path
    root: Root
    follow_links: bool
    infos: dict[str, os.stat_result] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Look at one path as it was written; anything that cannot be read is skipped with its reason."""
        try:
            name = self.root.tidy(text)
            if name not in self.infos:
                self.infos[name] = self.root.stat(name)
        except FileNotFoundError:
            self.skip(text, "no such file")
        except UserError as error:
            self.skip(text, str(error))

    def skip(self, text: str, reason: str) -> None:
        shown = text.encode("utf-8", "backslashreplace").decode()  # a file name need not be valid UTF-8
        self.skipped.append((shown, reason.removeprefix(f"{text}: ").removeprefix(f"{text!r}: ")))

    def is_dicom(self, name: str) -> bool:
        """Whether a file that does not end like an image is DICOM, by its name or its first bytes."""
        try:
            self.root.stat(name)
            return is_dicom_named(name, self.root.file(name))
        except (FileNotFoundError, UserError):
            return False

    def found(self, others: int) -> Inputs:
        """All that was added, without DICOM files whose headers say that they are no frontal chest radiographs."""
        dicoms = [name for name in self.infos if self.is_dicom(name)]
        seen = look(self.root.path, dicoms, self.root.file)
        for name, reason in seen.left_out:
            del self.infos[name]
            self.skip(name, reason)
        lines = [f"{name}\0{info.st_size}\0{info.st_mtime_ns}\n" for name, info in self.infos.items()]
        left_out = [f"{name}\0{reason}\n" for name, reason in self.skipped]
        if any(name in self.infos for name in dicoms):
            left_out.append(f"DICOM {reader.VERSION}\n")
        fingerprint = digest_text(
            "".join([f"{self.root.path!s}\n".encode(errors="replace").decode(), *lines, *left_out])
        )
        names, patients = list(self.infos), {name: row["patient_id"] for name, row in seen.rows.items()}
        return Inputs(self.path, self.root.path, names, self.skipped, others, fingerprint, self.follow_links, patients)


def find_inputs(path: Path, root: Path | None = None, follow_links: bool = False) -> Inputs:
    """The images below a folder, or of a CSV with a column `path` (relative to `root`, by default its own folder).

    No path may lead out of it: symbolic links that do, and links to folders, are skipped and listed, unless
    `follow_links` allows them. UserError where the path is neither, or where there is nothing to read.
    """
    if path.is_dir() or _is_directory_file(path):
        if root is not None:
            raise UserError(f"--root {root}: is for the paths of a CSV, and {path} is none; leave it out")
        inputs = _in_folder(path, follow_links) if path.is_dir() else _in_directory_file(path, follow_links)
    elif path.exists() and path.name.lower().endswith(SUFFIXES_OF_TABLES):
        if root is not None and not root.is_dir():
            raise UserError(f"--root {root}: no such folder")
        inputs = _in_csv(path, root or path.parent, follow_links)
    else:
        what = "neither a folder nor a CSV nor a DICOMDIR" if path.exists() else "no such file or folder"
        raise UserError(f"{path}: {what}; give a folder of images, a CSV with a column path, or a DICOMDIR")
    if not inputs.names and not inputs.skipped:
        raise UserError(f"{path}: no image in it (files that end in {', '.join(SUFFIXES)})")
    return inputs


def _in_folder(path: Path, follow_links: bool) -> Inputs:
    finder = _Finder(path, Root(path, follow_links), follow_links)
    others = 0
    for name, is_link in _walk(finder, finder.root.path):
        if is_link:
            finder.skip(name, f"a symbolic link to a folder, which is not followed without {LINKS_OPTION}")
        elif name.lower().endswith(SUFFIXES) or finder.is_dicom(name):
            finder.add(name)
        else:
            others += 1
    return finder.found(others)


def _is_directory_file(path: Path) -> bool:
    return path.name.upper() == DIRECTORY and path.is_file()


def _in_directory_file(path: Path, follow_links: bool) -> Inputs:
    """The images that a DICOMDIR lists; its other files are not looked at."""
    finder = _Finder(path, Root(path.parent, follow_links), follow_links)
    names, others = images_of(path, finder.root)
    for name in names:
        finder.add(name)
    for name, reason in others:
        finder.skip(name, reason)
    return finder.found(0)


def _walk(finder: _Finder, top: Path) -> Iterator[tuple[str, bool]]:
    """(name, whether it is a link to a folder that is not followed) of everything visible below `top` but folders,
    sorted by folder. A folder that links lead to several times is walked once."""
    walked: set[str] = set()

    def unreadable(error: OSError) -> None:
        finder.skip(os.path.relpath(error.filename, top), f"the folder cannot be read ({error.strerror})")

    for folder, below, files in os.walk(top, onerror=unreadable, followlinks=finder.follow_links):
        if (real := os.path.realpath(folder)) in walked:
            below.clear()
            continue
        walked.add(real)
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "__MACOSX")
        links = {n for n in below if not finder.follow_links and os.path.islink(os.path.join(folder, n))}
        for name in sorted([*links, *(name for name in files if not name.startswith("."))]):
            yield Path(os.path.relpath(os.path.join(folder, name), top)).as_posix(), name in links


def _in_csv(path: Path, root: Path, follow_links: bool) -> Inputs:
    finder = _Finder(path, Root(root, follow_links, path.parent), follow_links)
    header, rows = read_cells(path)
    if "path" not in header:
        raise UserError(f"{path}: no column path; it has {', '.join(header)}")
    column = header.index("path")
    for _, cells in rows:
        if len(cells) > column and (text := cells[column].strip()):
            finder.add(text)
    return finder.found(0)
