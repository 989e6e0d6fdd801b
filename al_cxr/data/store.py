"""The pixel store: every image decoded once, to 8-bit grey at one size, memory-mapped ever after."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from al_cxr.core import records
from al_cxr.core.cache import default_cache
from al_cxr.core.drafts import remedy, write_atomically
from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.core.progress import Progress
from al_cxr.data import decode
from al_cxr.data.dataset import Dataset, Images
from al_cxr.data.doubts import doubt_lines
from al_cxr.data.shared_folder import publish, remove
from al_cxr.data.splits import class_counts
from al_cxr.data.stale import changed
from al_cxr.data.store_draft import LINES, PIXELS, Decoded, decode_into, draft_of, left_behind, take_over

INDEX = "index.json"
Watch = Callable[[list[str], np.ndarray], None]
"""Keys of some images, and their pixels, uint8 (., size, size)."""

ATTEMPTS = 4
"""To read, build and verify, before it is said that somebody else keeps changing the store."""


@dataclass(frozen=True)
class PixelStore:
    """Pixels of N images, uint8 (N, size, size), read-only, 0 = black, and of each the hex SHA-256 of its origin."""

    pixels: np.ndarray
    digests: list[str]
    depths: dict[int, str] = field(default_factory=dict)
    """How those of more than 8 bits were read (`decode.Reading.depth`), by index."""
    notes: tuple[str, ...] = ()
    """What had to be guessed about images, for a person."""
    doubts: tuple[tuple[int, str], ...] = ()
    """The same, by index."""
    unusable: dict[int, str] = field(default_factory=dict)
    """Why images cannot be used, by index; they are black, and their digests empty."""

    @property
    def size(self) -> int:
        return int(self.pixels.shape[1])

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def keys(self) -> list[str]:
        """Of each image what decides its pixels, as hex SHA-256: its digest, and how more than 8 bits were read."""
        return [key_of(digest, self.depths.get(index, "")) for index, digest in enumerate(self.digests)]

    @cached_property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the size and of all keys in order."""
        return hashlib.sha256("\n".join([str(self.size), *self.keys]).encode()).hexdigest()

    @classmethod
    def open(
        cls,
        images: Images,
        size: int,
        cache: Path | None = None,
        workers: int = 0,
        progress: bool = True,
        verify: bool = True,
        watch: Watch | None = None,
        unusable: bool = False,
        before: tuple[Images, PixelStore] | None = None,
    ) -> PixelStore:
        """Opens the store of these images at this size (pixels), after building it if it is not there or is damaged.

        It lies in `cache` (None: `default_cache()`), in a folder named by `images.key`, the size and the version of
        the decoder; it appears there whole or not at all, whatever is killed and however many build at once.
        `workers` are threads (0: as many as cores), because Pillow decodes outside the interpreter's lock: on 2,861
        radiographs of 224 px and two cores, two threads and two processes both took 1.8 s and one thread 3.5 s; and
        threads share the images as they are, with no fork of a process that uses torch. With `progress` a bar is
        shown on a terminal, and a warning printed where something was found changed.

        With `verify` the files are hashed and compared with what was decoded, because one can be replaced by another of
        equal size and time: less than a second for the same radiographs. What was decoded just now is not compared.
        Only who knows the fingerprint from a process that has just verified it does without, such as the workers of a
        run.

        `watch` is told the keys and pixels of images as they are decoded, a window at a time, while the next window is
        decoded; not of those that were decoded before. With `unusable`, images that cannot be decoded are listed in the
        store instead of an error. `before` is the store of a data set that had these images and a few more: what it
        holds is taken over, and it is removed.

        Raises
        ------
        UserError
            One for all images that cannot be decoded, or if the cache cannot be written.
        """
        cache = default_cache() if cache is None else cache.expanduser()
        folder = _folder(images, size, cache)
        workers = workers or cores()
        try:
            fresh = False
            for _ in range(ATTEMPTS):
                store = cls._read(folder, images, size)
                if store is None:
                    fresh = cls._build(folder, images, size, workers, progress, watch, before)
                    if before is not None:
                        remove(_folder(before[0], size, cache))
                    continue
                if any(_is_usable(images, index, size) for index in store.unusable):  # by now
                    remove(folder)
                    continue
                if store.unusable and not unusable:
                    raise _unusable(list(store.unusable.values()), len(images))
                found = changed(images, store.digests, workers, progress) if verify and not fresh else ""
                if not found:
                    return store
                if progress:
                    print(f"warning   files replaced by others of equal size and time are decoded anew: {found}")
                remove(folder)
        except OSError as error:
            where = "machine.cache or AL_CXR_CACHE says where it lies"
            raise CannotWrite(f"{cache}: the pixel cache cannot be used: {remedy(error)} ({where})") from error
        raise UserError(f"{folder}: the pixel cache was changed while it was made; delete the folder")

    def decoded(self, images: Images) -> dict[str, tuple[int, Decoded]]:
        """Name of each of these images that can be used -> its row, and what is kept of it beside its pixels."""
        doubts_of: dict[int, list[str]] = {}
        for index, doubt in self.doubts:
            doubts_of.setdefault(index, []).append(doubt)
        return {
            images.name(i): (i, Decoded(digest, self.depths.get(i, ""), doubts_of.get(i, [])))
            for i, digest in enumerate(self.digests)
            if i not in self.unusable
        }

    @classmethod
    def kept(cls, images: Images, size: int, cache: Path) -> PixelStore | None:
        """The finished store as it is, without a look at the files; None if it is not there or is not whole."""
        return cls._read(_folder(images, size, cache), images, size)

    @staticmethod
    def begun(images: Images, size: int, cache: Path) -> list[str]:
        """Keys of the images that a start which was stopped has decoded, "" where one cannot be used; without a look at
        the files."""
        found = left_behind(_folder(images, size, cache), size)
        return [key_of(one.digest, one.depth) for one in found]

    @classmethod
    def _read(cls, folder: Path, images: Images, size: int) -> PixelStore | None:
        """The finished store; None if it is not there or is not whole."""
        count = len(images)
        try:
            index = json.loads((folder / INDEX).read_bytes())
            whole = (folder / PIXELS).stat().st_size == count * size * size
            digests = index["digests"]
            whole = whole and index["size"] == size and len(digests) == count
            bad = {int(i): str(reason) for i, reason in index.get("unusable", {}).items()}
            whole = whole and all(isinstance(d, str) and len(d) == 64 for i, d in enumerate(digests) if i not in bad)
            depths = {int(i): str(depth) for i, depth in index["depths"].items()}
            doubts = tuple((int(i), str(doubt)) for i, doubt in index["doubts"])
            notes = doubt_lines(((images.name(i), doubt) for i, doubt in doubts), count)
        except (FileNotFoundError, NotADirectoryError, LookupError, ValueError, TypeError, AttributeError):
            return None
        if not whole:
            return None
        pixels = np.memmap(folder / PIXELS, np.uint8, mode="r", shape=(count, size, size))
        return cls(pixels, digests, depths, tuple(notes), doubts, bad)

    @staticmethod
    def _build(
        folder: Path,
        images: Images,
        size: int,
        workers: int,
        progress: bool,
        watch: Watch | None,
        before: tuple[Images, PixelStore] | None,
    ) -> bool:
        """Whether all images were decoded now, none by an earlier start."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        what = f"decoding to {size} px" + ("" if watch is None else ", computing features")
        with draft_of(folder) as draft, Progress(len(images), what, shown=progress) as bar:
            found: list[Decoded] = []
            if before is not None:
                take_over(draft, images, before[1].pixels, before[1].decoded(before[0]))
            fresh = True
            for window, pixels_WSS in decode_into(draft, images, size, workers, bar):
                found += window
                fresh = fresh and len(window) == len(pixels_WSS)
                good_M = np.flatnonzero([not one.unusable for one in window])
                if watch is not None and len(pixels_WSS) and len(good_M):
                    watch([key_of(window[i].digest, window[i].depth) for i in good_M], pixels_WSS[good_M])
            index: dict[str, Any] = {
                "size": size,
                "digests": [one.digest for one in found],
                "depths": {i: one.depth for i, one in enumerate(found) if one.depth},
                "doubts": [(i, doubt) for i, one in enumerate(found) for doubt in one.doubts],
            }
            if bad := {i: one.unusable for i, one in enumerate(found) if one.unusable}:
                index["unusable"] = bad
            (draft / LINES).unlink()
            write_atomically(draft / INDEX, json.dumps(index).encode())
            publish(draft, folder, lambda: PixelStore._read(folder, images, size) is not None)
            return fresh


def _folder(images: Images, size: int, cache: Path) -> Path:
    return cache / hashlib.sha256(f"{images.key}\0{size}\0{decode.VERSION}".encode()).hexdigest()[:40]


def key_of(digest: str, depth: str) -> str:
    """What decides the pixels of an image, as hex SHA-256: its digest, and how more than 8 bits were read."""
    return hashlib.sha256(f"{digest} {depth} {decode.VERSION}".encode()).hexdigest() if depth else digest


def cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def dataset_fingerprint(dataset: Dataset, store: PixelStore) -> str:
    """Hex SHA-256 of what is learnt from: names, pixels' origins, class names, splits and the size. On any machine."""
    rows = zip(dataset.table["image"], store.keys, dataset.labels_N, dataset.split_N, strict=True)
    digest = hashlib.sha256(json.dumps([store.size, dataset.classes]).encode())
    for image, origin, label, split in rows:
        digest.update(json.dumps([image, origin, dataset.classes[label], str(split)]).encode())
    return digest.hexdigest()


def data_card(dataset: Dataset, store: PixelStore) -> records.DataCard:
    """What the records say of a data set."""
    return records.DataCard(
        name=dataset.name,
        synthetic=dataset.synthetic,
        classes=list(dataset.classes),
        counts=class_counts(dataset),
        fingerprint=dataset_fingerprint(dataset, store),
        image_size=store.size,
        attribution=dataset.attribution,
        notes=list(dataset.notes),
    )


def _is_usable(images: Images, index: int, size: int) -> bool:
    try:
        images.read(index, size)
    except UserError:
        return False
    return True


def _unusable(bad: list[str], count: int) -> UserError:
    lines = [f"{len(bad)} of {count} images cannot be used:", *bad[:10]]
    if len(bad) > 10:
        lines.append(f"and {len(bad) - 10} more")
    return UserError("\n  ".join(lines) + "\nRepair them, or remove them from the data set.")
