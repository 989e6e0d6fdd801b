"""The images of a project by their content: an archive may move, grow or lose files, and an image keeps its index.

The project's log says which images were found and which are gone. The place of an image among all that were ever found
is its index for life. Two files of the same bytes are one image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.progress import Progress
from al_cxr.data.decode import Reading
from al_cxr.data.picture import Picture
from al_cxr.data.store import cores
from al_cxr.labelling.events import Event
from al_cxr.labelling.listing import Listed, Listing, list_archive
from al_cxr.labelling.places import Place, place_of
from al_cxr.labelling.settings import ArchiveSettings
from al_cxr.labelling.state import Image as Known

QUICK = 500
"""Images that are identified before one would look for progress."""


@dataclass(frozen=True)
class Image:
    """One image of a project."""

    digest: str
    """Hex SHA-256 of its content: who it is, wherever it lies."""
    name: str
    """Its path below the root of the archive, or what its source calls it."""
    patient_id: str
    """"" where unknown."""
    size: int
    mtime_ns: int
    present: bool = True
    """Whether it was there at the last scan."""


@dataclass(frozen=True)
class Scan:
    """What a look at the archive found."""

    found: tuple[Image, ...]
    """That are new, lie elsewhere than before or are there again."""
    gone: tuple[Image, ...]
    images: int
    """That are there now."""
    patients: int
    """Of those images whose patient is known."""
    joined: int
    back: int
    copies: int
    """Files whose content another file has too."""
    left_out: tuple[tuple[str, str], ...]
    """(name, reason) of what should have been an image."""
    others: int
    """Files that are no images."""

    def events(self, time: datetime) -> list[Event]:
        """What the log is told."""
        told = []
        for image in self.found:
            known = {"name": image.name, "size": image.size, "mtime_ns": image.mtime_ns}
            if image.patient_id:
                known["patient_id"] = image.patient_id
            told.append(Event(kind="image_found", time=time, image=image.digest, detail=known))
        gone = (Event(kind="image_lost", time=time, image=image.digest) for image in self.gone)
        return [*told, *gone]


class Archive:
    """The images of a project, by index; `update` tells it what the log says of them."""

    def __init__(self, settings: ArchiveSettings) -> None:
        self._settings = settings
        self.images: list[Image] = []
        self.index_of: dict[str, int] = {}
        """Hash of the content -> index."""
        self._place: Place | None = None
        self._present_N = np.zeros(0, bool)

    def __len__(self) -> int:
        return len(self.images)

    def update(self, known: Mapping[str, Known]) -> None:
        """Take in what the log says of images: hash -> image, in the order in which they were found."""
        self.images = [
            Image(
                digest,
                str(one.detail.get("name", "")),
                str(one.detail.get("patient_id", "")),
                int(one.detail.get("size", 0)),
                int(one.detail.get("mtime_ns", 0)),
                one.present,
            )
            for digest, one in known.items()
        ]
        self.index_of = {image.digest: i for i, image in enumerate(self.images)}
        self._place, self._present_N = None, np.zeros(0, bool)

    @property
    def present_N(self) -> np.ndarray:
        """Whether each image was there at the last scan, bool."""
        if len(self._present_N) != len(self.images):
            self._present_N = np.array([image.present for image in self.images], bool)
        return self._present_N.copy()

    @property
    def patients(self) -> list[str]:
        """Whose each image is; one of an unknown patient is a patient of its own."""
        return [image.patient_id or f"image {image.digest}" for image in self.images]

    def read(self, index: int, size: int) -> Reading:
        """An image at size x size pixels; UserError where it cannot be read or has another content now."""
        image = self.images[index]
        return self.place.read(image.name, image.digest, size)

    def picture(self, index: int) -> Picture:
        """All bits of an image; UserError as `read`."""
        image = self.images[index]
        return self.place.picture(image.name, image.digest)

    def path(self, index: int) -> Path:
        """The file of an image; UserError where it has none, or it is not there any more."""
        return self.place.path(self.images[index].name)

    @property
    def place(self) -> Place:
        """Where the images are read."""
        if self._place is None:
            self._place = place_of(self._settings, [image.name for image in self.images if image.present])
        return self._place

    def scan(self) -> Scan:
        """Look at the archive; only files whose name, size or time is new are read, and no pixel is decoded.

        Nothing is changed here: the log is told what was found, and `update` takes that in.
        """
        listing = list_archive(self._settings)
        place = place_of(self._settings, [found.name for found in listing.found])
        left_out, seen = list(listing.left_out), dict[str, Image]()
        copies = back = joined = 0
        found: list[Image] = []
        for listed, digest in _identified(listing, place, self.images):
            if isinstance(digest, UserError):
                left_out.append((listed.name, str(digest).removeprefix(f"{listed.name}: ")))
                continue
            if digest in seen:
                copies += 1
                continue
            at = self.index_of.get(digest)
            before = None if at is None else self.images[at]
            patient = listed.patient_id or (before.patient_id if before else "")
            seen[digest] = image = Image(digest, listed.name, patient, listed.size, listed.mtime_ns)
            if before != image:
                found.append(image)
            joined += before is None
            back += before is not None and not before.present
        if not seen:
            name, reason = left_out[0]
            raise UserError(f"{self._settings.source}: none of {len(left_out):,} images can be used ({name}: {reason})")
        gone = [image for image in self.images if image.digest not in seen and image.present]
        patients = len({image.patient_id for image in seen.values()} - {""})
        return Scan(
            tuple(found), tuple(gone), len(seen), patients, joined, back, copies, tuple(left_out), listing.others
        )


def _identified(listing: Listing, place: Place, known: Sequence[Image]) -> Iterator[tuple[Listed, str | UserError]]:
    """Each image with the hash of its content, or what is wrong with it; files that did not change are not read."""
    same = {(i.name, i.size, i.mtime_ns): i.digest for i in known if i.present}

    def one(found: Listed) -> str | UserError:
        if (digest := same.get((found.name, found.size, found.mtime_ns))) is not None:
            return digest
        try:
            return place.content_hash(found.name)
        except UserError as error:
            return error

    count = len(listing.found)
    with Progress(count, "identifying images", shown=count > QUICK) as bar, ThreadPoolExecutor(cores()) as pool:
        for found, digest in zip(listing.found, pool.map(one, listing.found), strict=True):
            yield found, digest
            bar.update()
