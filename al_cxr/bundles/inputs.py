"""The images that predictions are asked for: every one below a folder, or the paths of a CSV; nothing has a label."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from al_cxr.data.decode import SUFFIXES
from al_cxr.data.files import Root
from al_cxr.errors import UserError
from al_cxr.seeds import digest_text

MAX_CSV = 256 * 2**20


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
    """Files that do not end like an image; only counted."""
    fingerprint: str
    """Hex SHA-256 of all names, sizes and times of change."""


@dataclass
class _Finder:
    path: Path
    root: Root
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

    def found(self, others: int) -> Inputs:
        lines = [f"{name}\0{info.st_size}\0{info.st_mtime_ns}\n" for name, info in self.infos.items()]
        left_out = [f"{name}\0{reason}\n" for name, reason in self.skipped]
        fingerprint = digest_text(
            "".join([f"{self.root.path!s}\n".encode(errors="replace").decode(), *lines, *left_out])
        )
        return Inputs(self.path, self.root.path, list(self.infos), self.skipped, others, fingerprint)


def find_inputs(path: Path) -> Inputs:
    """The images below a folder, or of a CSV with a column `path` (relative to the CSV's own folder).

    No path may leave the root: symbolic links that do, and links to folders, are skipped and listed. UserError where
    the path is neither, or where there is nothing to read.
    """
    if path.is_dir():
        inputs = _in_folder(path)
    elif path.suffix.lower() == ".csv":
        inputs = _in_csv(path)
    else:
        what = "neither a folder nor a CSV" if path.exists() else "no such file or folder"
        raise UserError(f"{path}: {what}; give a folder of images, or a CSV with a column path")
    if not inputs.names and not inputs.skipped:
        raise UserError(f"{path}: no image in it (files that end in {', '.join(SUFFIXES)})")
    return inputs


def _in_folder(path: Path) -> Inputs:
    finder = _Finder(path, Root(path))
    others = 0
    for name, is_link in _walk(finder, finder.root.path):
        if is_link:
            finder.skip(name, "a symbolic link to a folder, which is not followed")
        elif name.lower().endswith(SUFFIXES):
            finder.add(name)
        else:
            others += 1
    return finder.found(others)


def _walk(finder: _Finder, top: Path) -> Iterator[tuple[str, bool]]:
    """(name, whether it is a link to a folder) of everything visible below `top` but folders, sorted by folder."""

    def unreadable(error: OSError) -> None:
        finder.skip(os.path.relpath(error.filename, top), f"the folder cannot be read ({error.strerror})")

    for folder, below, files in os.walk(top, onerror=unreadable):
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "__MACOSX")
        links = {name for name in below if os.path.islink(os.path.join(folder, name))}
        for name in sorted([*links, *(name for name in files if not name.startswith("."))]):
            yield Path(os.path.relpath(os.path.join(folder, name), top)).as_posix(), name in links


def _in_csv(path: Path) -> Inputs:
    finder = _Finder(path, Root(path.parent))
    try:
        if path.stat().st_size > MAX_CSV:
            raise UserError(f"{path}: larger than {MAX_CSV >> 20} MiB, the limit for a list of images")
        with open(path, encoding="utf-8-sig", newline="") as f:
            reader = csv.DictReader(f, strict=True)
            column = next((name for name in reader.fieldnames or () if name.strip().lower() == "path"), None)
            if column is None:
                raise UserError(f"{path}: no column path; it has {', '.join(reader.fieldnames or ['nothing'])}")
            for row in reader:
                if text := (row[column] or "").strip():
                    finder.add(text)
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; save it as CSV UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV ({error})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return finder.found(0)
