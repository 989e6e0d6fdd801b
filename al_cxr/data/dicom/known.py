"""Facts about the DICOM files of one folder, kept in the cache: a large archive is parsed once, not at every start.

A file's facts hold as long as its size and its times of change (also that of its entry in the folder, which no program
can set back) are the same. The file of the cache is named by the folder, the secret of the pseudonyms and everything
that decides the facts; its keys are pseudonyms of file names, because these may name patients.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import time
from pathlib import Path
from typing import Any

from al_cxr.core.cache import default_cache
from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import CannotWrite
from al_cxr.data.dicom.facts import COLUMNS, NOTES, Facts
from al_cxr.data.dicom.identity import Pseudonyms

FOLDER = "dicom"
"""Of the cache."""

RULES = ("child", "codestream", "facts", "header", "length", "levels", "limits", "pixels", "sniff", "usable")
"""Modules that decide what the facts of a file are, and whether its pixels can be decoded."""

DECODERS = ("pydicom", "numpy", "pillow", "pylibjpeg-openjpeg", "pyjpegls", "python-gdcm", "pylibjpeg-libjpeg")
"""Packages that do so too: what one of them could not decode, another may."""

SAVED = 60.0
"""Seconds after which what is new is saved, so that whoever is stopped goes on from there."""

SPARE = 10_000
"""Facts of files that nobody asks for any more, beside as many as are asked for, that are kept."""


class Known:
    """The facts of one folder's files."""

    def __init__(self, folder: Path, names_by: Pseudonyms) -> None:
        self._names_by = names_by
        self._path = default_cache() / FOLDER / f"{names_by.of('folder', str(folder), _rules())}.json"
        self._facts = _read(self._path)
        self._asked: set[str] = set()
        self._is_new, self._saved = False, time.monotonic()

    def get(self, name: str, info: os.stat_result) -> Facts | None:
        """The facts of a file that lies there with this size and these times; None where they are not known."""
        key = self._key(name)
        self._asked.add(key)
        entry = self._facts.get(key)
        if not isinstance(entry, list) or len(entry) != 6 or entry[:3] != _state(info):
            return None
        reason, row, says = entry[3:]
        sound = isinstance(row, list) and len(row) == len(COLUMNS) and all(isinstance(t, str) for t in (reason, *row))
        if not (sound and isinstance(says, list) and all(key in NOTES for key in says)):
            return None
        return Facts(reason, tuple(row), tuple(says))

    def put(self, name: str, info: os.stat_result, facts: Facts) -> None:
        self._facts[self._key(name)] = [*_state(info), facts.reason, [*facts.row], [*facts.says]]
        self._is_new = True
        if time.monotonic() - self._saved > SAVED:
            self.save()

    def save(self) -> None:
        """Keep what is new; a cache that cannot be written costs time at the next start and nothing else."""
        if not self._is_new:
            return
        if self._asked and len(self._facts) > 2 * len(self._asked) + SPARE:
            self._facts = {key: self._facts[key] for key in self._asked if key in self._facts}
        with contextlib.suppress(CannotWrite):
            write_atomically(self._path, json.dumps(self._facts, separators=(",", ":")).encode())
        self._is_new, self._saved = False, time.monotonic()

    def _key(self, name: str) -> str:
        return self._names_by.of("file", name)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # none yet, or damaged: made anew
        return {}
    return found if isinstance(found, dict) else {}


def _state(info: os.stat_result) -> list[int]:
    return [info.st_size, info.st_mtime_ns, info.st_ctime_ns]


def _rules() -> str:
    """Hex SHA-256 of the code that makes facts, so that nobody has to remember to count a version up."""
    digest = hashlib.sha256("\n".join(f"{name} {_version(name)}" for name in DECODERS).encode())
    for name in RULES:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
