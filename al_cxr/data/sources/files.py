"""Image files below one folder, which no path may leave."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.dicom import reader
from al_cxr.data.dicom.found import refuse
from al_cxr.data.dicom.said import PREFIX
from al_cxr.data.series import Series

ROOT_OPTION = "--root FOLDER (in an experiment file root: of the source)"
LINKS_OPTION = "--follow-links (in an experiment file follow_links: true of the source)"
"""How what is refused here is asked for."""

_WINDOWS = re.compile(r"[A-Za-z]:|\\\\")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Root:
    """A folder from outside: tells where a name leads, and refuses what leads out of it.

    Relative names begin at it; those that would climb out of it begin at `start` instead (the folder of the file that
    they stand in), where it is given. With `follow_links` symbolic links may lead anywhere; paths may not.
    """

    def __init__(self, path: Path, follow_links: bool = False, start: Path | None = None) -> None:
        self._given, self._start = Path(os.path.abspath(path)), start
        self.path = Path(os.path.realpath(path))
        self._follow_links = follow_links
        self._inside: dict[str, bool] = {}
        self._spelt: dict[Path, dict[str, list[str]]] = {}

    def tidy(self, text: str) -> str:
        """A path as it was written, relative or absolute -> its one spelling relative to the root, with forward
        slashes."""
        if _CONTROL.search(text):
            raise UserError(f"{text!r}: control characters or broken UTF-8 in a file name; rename the file")
        if os.name != "nt" and _WINDOWS.match(text):
            raise UserError(
                f"{text}: a path of a Windows machine, which means nothing here; write paths relative to a folder, and "
                f"name it with {ROOT_OPTION}"
            )
        if _ADDRESS.match(text):
            raise UserError(f"{text}: an address and no path; fetch the images first, and write the paths of the files")
        path = PurePosixPath((os.path.expanduser(text) if text.startswith("~/") else text).replace("\\", "/"))
        if path.is_absolute() or PureWindowsPath(text).drive:
            return self._below(text, str(path))
        parts: list[str] = []
        for part in path.parts:
            if part == ".." and not parts:
                return self._below(text, os.path.join(self._start or self.path, path))
            if part == "..":
                parts.pop()
            else:
                parts.append(part)
        return "/".join(parts)

    def file(self, name: str) -> Path:
        """Where a file lies, with its accents composed or decomposed as they are on the disk (Unicode NFC or NFD).

        FileNotFoundError if it is not there, UserError if two files differ in nothing but that.
        """
        path = self.path
        if name.isascii():
            return path / name
        for part in name.split("/"):
            path /= self._spelling(path, part)
        return path

    def like(self, name: str) -> str | None:
        """A file in place of one that is not there, whose name differs in case or in its ending alone; None if none."""
        folder, _, wanted = name.rpartition("/")
        if not self._inside.get(folder):
            return None
        try:
            there = sorted(os.listdir(self.path / folder))
        except OSError:
            return None
        stem = PurePosixPath(wanted).stem.lower() if wanted.lower().endswith(decode.SUFFIXES) else wanted.lower()
        same = [other for other in there if other.lower() == wanted.lower()]
        same += [o for o in there if o.lower().endswith(decode.SUFFIXES) and PurePosixPath(o).stem.lower() == stem]
        return f"{folder}/{same[0]}".lstrip("/") if same else None

    def stat(self, name: str) -> os.stat_result:
        """Size and times of a file; FileNotFoundError if it is not there, UserError if it is outside, no file, or a
        symbolic link to nothing."""
        path = self.file(name)
        folder, _, _ = name.rpartition("/")
        if folder not in self._inside:  # once a folder, and not once a file: resolving is slow
            self._inside[folder] = self._follow_links or self._holds(path.parent)
        try:
            info = os.lstat(path)
            inside = self._inside[folder]
            if stat.S_ISLNK(info.st_mode):
                inside = inside and (self._follow_links or self._holds(path))
                if inside and not path.exists():
                    raise UserError(
                        f"{name}: a symbolic link to {os.path.realpath(path)}, which is not there; fetch the images "
                        "first (dvc pull, git annex get), or mount the disk that holds them"
                    )
                info = os.stat(path) if inside else info
        except NotADirectoryError:
            raise FileNotFoundError(name) from None
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UserError(f"{name}: cannot be read ({error.strerror})") from None
        if not inside:
            raise UserError(
                f"{name}: a symbolic link to {os.path.realpath(path)}, outside the folder {self.path}; where you trust "
                f"it, follow links with {LINKS_OPTION}"
            )
        if not stat.S_ISREG(info.st_mode):
            raise UserError(f"{name}: not a regular file")
        return info

    def _spelling(self, folder: Path, part: str) -> str:
        """One part of a path as the disk spells it."""
        if part.isascii():
            return part
        if folder not in self._spelt:
            names: dict[str, list[str]] = {}
            try:
                for name in os.listdir(folder):
                    names.setdefault(unicodedata.normalize("NFC", name), []).append(name)
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as error:
                raise UserError(f"{folder}: cannot be read ({error.strerror})") from None
            self._spelt[folder] = names
        found = self._spelt[folder].get(unicodedata.normalize("NFC", part), [])
        if not found:
            raise FileNotFoundError(part)
        if len(found) > 1:
            raise UserError(
                f"{folder / part}: {len(found)} names on the disk that differ only in how accents are coded; rename one"
            )
        return found[0]

    def _below(self, text: str, path: str) -> str:
        """An absolute path relative to the root, which may be called by its own name, by a link or otherwise."""
        whole = Path(os.path.abspath(path))
        real = Path(os.path.realpath(whole.parent)) / whole.name
        for base, place in ((self._given, whole), (self.path, whole), (self.path, real)):
            if place.is_relative_to(base):
                return place.relative_to(base).as_posix()
        raise UserError(f"{text}: outside the folder {self.path}; name one that holds all images with {ROOT_OPTION}")

    def _holds(self, path: Path) -> bool:
        real = os.path.realpath(path)
        return os.path.commonpath([real, self.path]) == str(self.path)


class FileImages:
    """Images (see `al_cxr.data.dataset`) from files; `key` comes from names, sizes and times and reads none of them."""

    def __init__(
        self, root: Root, names: Sequence[str], infos: Sequence[os.stat_result], dicoms: Collection[str] = ()
    ) -> None:
        """N names relative to the root, as `Root.tidy` spells them, and what `Root.stat` told of each.

        `dicoms`: which of the names are DICOM files, whose pixels another version of their rule would change.
        """
        self._root, self._dicoms = root, frozenset(dicoms)
        self._names, self._infos = list(names), list(infos)
        self._series = Series(len(self._names), self.path)
        lines = [f"{n}\0{i.st_size}\0{i.st_mtime_ns}\n" for n, i in zip(names, infos, strict=True)]
        # The root belongs to it: archives unpacked with fixed times can hold other pixels under equal names and sizes.
        rule = f"DICOM {reader.VERSION}\n" if self._dicoms else ""
        self.key = hashlib.sha256(f"files\0{root.path}\n{''.join(lines)}{rule}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int, size: int) -> decode.Reading:
        return decode.read(self._bytes(index), size, self._names[index], self._series.bits)

    def digest(self, index: int) -> str:
        return hashlib.sha256(self._bytes(index)).hexdigest()

    def name(self, index: int) -> str:
        return self._names[index]

    @property
    def any_dicom(self) -> bool:
        return bool(self._dicoms)

    def refuse(self, unusable: Mapping[int, str]) -> list[int]:
        """Which of the images that cannot be used are DICOM files that the next reading of the data set leaves out.

        Those are files that are gone, and those whose pixels cannot be decoded: it is noted of them.
        """
        gone, bad = list[int](), list[int]()
        for index, reason in unusable.items():
            name = self._names[index]
            if name not in self._dicoms:
                continue
            if not self._is_there(index):
                gone.append(index)
            elif reason.startswith(f"{name}: {PREFIX}"):
                bad.append(index)
        said = [unusable[index].removeprefix(f"{self._names[index]}: {PREFIX}") for index in bad]
        notes = [(self._names[i], self._infos[i], reason) for i, reason in zip(bad, said, strict=True)]
        refuse(self._root.path, notes)
        return sorted([*gone, *bad])

    def path(self, index: int) -> Path:
        """The file itself."""
        return self._root.file(self._names[index])

    def _bytes(self, index: int) -> bytes:
        name = self._names[index]
        try:
            return decode.read_file(self.path(index), name)
        except FileNotFoundError as error:  # looked for among the files of its folder, because of its accents
            raise UserError(f"{name}: cannot be read ({error.strerror or 'no such file'})") from None

    def _is_there(self, index: int) -> bool:
        try:
            return self.path(index).exists()
        except FileNotFoundError:
            return False
