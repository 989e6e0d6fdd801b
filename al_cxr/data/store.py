"""The pixel store: every image decoded once, to 8-bit grey at one size, memory-mapped ever after."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from al_cxr import records
from al_cxr.data import decode
from al_cxr.data.dataset import Dataset, Images
from al_cxr.data.splits import class_counts
from al_cxr.errors import UserError

PIXELS, INDEX = "pixels.u8", "index.json"
WINDOW = 512
"""Images decoded between two looks at the results: bounds the memory."""


@dataclass(frozen=True)
class PixelStore:
    """Pixels of N images, uint8 (N, size, size), read-only, 0 = black, and of each the hex SHA-256 of its origin."""

    pixels: np.ndarray
    digests: list[str]

    @property
    def size(self) -> int:
        return self.pixels.shape[1]

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the size and of all digests in order."""
        return hashlib.sha256("\n".join([str(self.size), *self.digests]).encode()).hexdigest()

    @classmethod
    def open(
        cls, images: Images, size: int, cache: Path | None = None, workers: int = 0, progress: bool = True
    ) -> PixelStore:
        """Opens the store of these images at this size (pixels), after building it if it is not there or is damaged.

        It lies in `cache` (None: `default_cache()`), in a folder named by `images.key`, the size and the version of
        the decoder; it appears there whole or not at all, whatever is killed and however many build at once.
        `workers` are threads (0: as many as cores), because Pillow decodes outside the interpreter's lock: on 2,861
        radiographs of 224 px and two cores, two threads and two processes both took 1.8 s and one thread 3.5 s; and
        threads share the images as they are, with no fork of a process that uses torch. The progress bar is shown on a
        terminal only.

        Raises:
            UserError: one for all images that cannot be decoded, or if the cache cannot be written.
        """
        cache = default_cache() if cache is None else cache.expanduser()
        key = hashlib.sha256(f"{images.key}\0{size}\0{decode.VERSION}".encode()).hexdigest()[:40]
        folder = cache / key
        try:
            store = cls._read(folder, len(images), size)
            if store is None:
                cls._build(folder, images, size, workers or cores(), progress)
                store = cls._read(folder, len(images), size)
        except OSError as error:
            raise UserError(f"{cache}: the pixel cache cannot be used ({error}); set machine.cache") from error
        if store is None:
            raise UserError(f"{folder}: the pixel cache was changed while it was made; delete the folder")
        return store

    @classmethod
    def _read(cls, folder: Path, count: int, size: int) -> PixelStore | None:
        """The finished store; None if it is not there or is not whole."""
        try:
            index = json.loads((folder / INDEX).read_bytes())
            whole = (folder / PIXELS).stat().st_size == count * size * size
            digests = index["digests"]
            whole = whole and index["size"] == size and len(digests) == count
            whole = whole and all(isinstance(d, str) and len(d) == 64 for d in digests)
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None
        if not whole:
            return None
        return cls(np.memmap(folder / PIXELS, np.uint8, mode="r", shape=(count, size, size)), digests)

    @staticmethod
    def _build(folder: Path, images: Images, size: int, workers: int, progress: bool) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            digests: list[str] = []
            bad: list[str] = []
            with open(draft / PIXELS, "wb") as f:
                for result in _decoded(images, size, workers, progress):
                    if isinstance(result, UserError):
                        bad.append(str(result))
                    else:
                        f.write(result[0].tobytes())
                        digests.append(result[1])
                f.flush()
                os.fsync(f.fileno())
            if bad:
                raise _unusable(bad, len(images))
            records.write_atomically(draft / INDEX, json.dumps({"size": size, "digests": digests}).encode())
            _publish(draft, folder, len(images), size)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def default_cache() -> Path:
    """$AL_CXR_CACHE, else $XDG_CACHE_HOME/al-cxr, else ~/.cache/al-cxr."""
    if own := os.environ.get("AL_CXR_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "al-cxr"


def cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def dataset_fingerprint(dataset: Dataset, store: PixelStore) -> str:
    """Hex SHA-256 of what is learnt from: names, pixels' origins, class names, splits and the size. On any machine."""
    rows = zip(dataset.table["image"], store.digests, dataset.labels_N, dataset.split_N, strict=True)
    digest = hashlib.sha256(json.dumps([store.size, dataset.classes]).encode())
    for image, origin, label, split in rows:
        digest.update(json.dumps([image, origin, dataset.classes[label], str(split)]).encode())
    return digest.hexdigest()


def card(dataset: Dataset, store: PixelStore) -> records.DataCard:
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


def _decoded(images: Images, size: int, workers: int, progress: bool) -> Iterator[tuple[np.ndarray, str] | UserError]:
    """Every image in order, or what is wrong with it."""

    def one(index: int) -> tuple[np.ndarray, str] | UserError:
        try:
            pixels, digest = images.read(index, size)
        except UserError as error:
            return error
        if pixels.shape != (size, size) or pixels.dtype != np.uint8:
            raise ValueError(f"{images.name(index)} was read as {pixels.dtype} {pixels.shape}")
        return pixels, digest

    bar = tqdm(total=len(images), desc=f"decoding to {size} px", unit=" images", disable=None if progress else True)
    with bar, ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(images), WINDOW):
            for result in pool.map(one, range(start, min(start + WINDOW, len(images)))):
                yield result
                bar.update()


def _unusable(bad: list[str], count: int) -> UserError:
    lines = [f"{len(bad)} of {count} images cannot be used:", *bad[:10]]
    if len(bad) > 10:
        lines.append(f"and {len(bad) - 10} more")
    return UserError("\n  ".join(lines) + "\nRepair them, or remove them from the data set.")


def _publish(draft: Path, folder: Path, count: int, size: int) -> None:
    """Puts a finished draft in its place, unless another process has put a whole one there meanwhile."""
    for _ in range(100):
        try:
            os.rename(draft, folder)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        if PixelStore._read(folder, count, size) is not None:
            return
        # Damaged: out of the way in one step, so that nobody sees half of it; whoever has it mapped keeps it.
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, aside / "damaged")
        shutil.rmtree(aside, ignore_errors=True)
    raise OSError(f"{folder} cannot be replaced")


def _sweep(folder: Path) -> None:
    """Removes drafts of this store that a killed process left more than a day ago."""
    for draft in folder.parent.glob(f".{folder.name}.*"):
        with contextlib.suppress(FileNotFoundError):
            newest = max((p.stat().st_mtime for p in [draft, *draft.iterdir()]), default=0.0)
            if time.time() - newest > 86_400:
                shutil.rmtree(draft, ignore_errors=True)
