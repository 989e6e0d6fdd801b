"""Where the pixels of an archive come from: files below a root, or a source that makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.dataset import Images
from al_cxr.data.decode import Reading
from al_cxr.data.picture import Picture, Window, of_values, picture_of
from al_cxr.data.series import Series
from al_cxr.data.sources.cells import SUFFIXES as TABLES
from al_cxr.data.sources.files import Root
from al_cxr.data.sources.named import named_source
from al_cxr.labelling.listing import is_made
from al_cxr.labelling.settings import ArchiveSettings

MADE_SIDE = 512
"""Side in pixels of a picture of an image that is made, which has no size of its own."""


class Place(Protocol):
    """Reads images by the names that they have there; UserError for one that cannot be read."""

    def content_hash(self, name: str) -> str:
        """Hex SHA-256 of the content of an image."""

    def read(self, name: str, digest: str, size: int) -> Reading:
        """Its pixels, of the content with this hash."""

    def picture(self, name: str, digest: str) -> Picture:
        """All of its bits, of the content with this hash."""

    def path(self, name: str) -> Path:
        """Its file."""


def place_of(settings: ArchiveSettings, names: Sequence[str]) -> Place:
    """That of an archive which has images of these names."""
    return Made(settings) if is_made(settings) else Files(settings, names)


class Files:
    """Images in files."""

    def __init__(self, settings: ArchiveSettings, names: Sequence[str]) -> None:
        given = Path(settings.source).expanduser()
        of_csv = given.parent if given.name.lower().endswith(TABLES) or given.is_file() else given
        self._root = Root(Path(settings.root).expanduser() if settings.root else of_csv, settings.follow_links)
        self._series = Series(len(names), lambda i: self._root.file(names[i]))

    def content_hash(self, name: str) -> str:
        return hashlib.sha256(self._bytes(name)).hexdigest()

    def read(self, name: str, digest: str, size: int) -> Reading:
        return decode.read(self._content(name, digest), size, name, self._series.bits)

    def picture(self, name: str, digest: str) -> Picture:
        return picture_of(self._content(name, digest), name, self._series.bits)

    def path(self, name: str) -> Path:
        try:
            self._root.stat(name)  # since it was listed it may have become a link or a pipe
            return self._root.file(name)
        except FileNotFoundError:
            raise UserError(f"{name}: is not in the archive any more") from None

    def _content(self, name: str, digest: str) -> bytes:
        data = self._bytes(name)
        if hashlib.sha256(data).hexdigest() != digest:
            raise UserError(f"{name}: has another content than when the archive was scanned")
        return data

    def _bytes(self, name: str) -> bytes:
        return decode.read_file(self.path(name), name)


class Made:
    """Images that a source makes, such as phantoms; its labels are not looked at."""

    def __init__(self, settings: ArchiveSettings) -> None:
        self._text = settings.source

    @cached_property
    def _images(self) -> Images:
        return named_source(self._text).read().images

    @cached_property
    def _index(self) -> dict[str, int]:
        return {self._images.name(i): i for i in range(len(self._images))}

    def content_hash(self, name: str) -> str:
        return content_hash(self._images, self._index[name])

    def read(self, name: str, digest: str, size: int) -> Reading:
        if name not in self._index:
            raise UserError(f"{name}: is not in the archive any more")
        return self._images.read(self._index[name], size)

    def picture(self, name: str, digest: str) -> Picture:
        window = Window.between("stored range", 0, 255)
        return of_values(self.read(name, digest, MADE_SIDE).pixels, 8, (window,))

    def path(self, name: str) -> Path:
        raise UserError(f"{name}: is made by {self._text} and lies in no file")


def content_hash(images: Images, index: int) -> str:
    """Hex SHA-256 of the content of one of some images: of its bytes, or of what makes it."""
    return images.digest(index) or hashlib.sha256(f"{images.key}\0{images.name(index)}".encode()).hexdigest()
