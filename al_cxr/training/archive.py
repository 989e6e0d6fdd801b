"""The features of a whole archive: files are decoded and looked at in one pass, a window at a time.

While a window is decoded the one before is computed, so memory holds two windows however large the archive is. Both
results are kept as they come: a start that was killed goes on, and loses a window at most.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.seeds import digest_text
from al_cxr.data.dataset import Images
from al_cxr.data.store import PixelStore, cores
from al_cxr.models.backbone import Backbone
from al_cxr.training import feature_engines
from al_cxr.training.extractor import Extractor
from al_cxr.training.feature_cache import file_of, kind_folder
from al_cxr.training.feature_file import keep_part, kept_features, kept_images, read_rows, remove_parts, row_bytes
from al_cxr.training.feature_pass import BATCH, Batch, Pass
from al_cxr.training.runtime import Runtime

READ = 512
"""Images whose pixels are read from the store together."""

TRIAL = 24
"""Images that an estimate decodes and computes."""


@dataclass(frozen=True, eq=False)
class ArchiveFeatures:
    """What was made of an archive of N images."""

    features_MK: np.ndarray
    """float32, memory-mapped: of each image that can be used."""
    index_M: np.ndarray
    """Which images these are, ascending."""
    keys: list[str]
    """Of each of them what decides its features, hex SHA-256."""
    unusable: dict[int, str]
    """Why the others cannot be used, by index."""
    notes: tuple[str, ...]
    """What had to be guessed about images."""
    path: Path
    computed: int
    """Images that were computed in this pass; the others were there."""
    seconds: float

    def without_features(self) -> ArchiveFeatures:
        """All else: the features are in the file."""
        return replace(self, features_MK=np.empty((0, 0), np.float32))


@dataclass(frozen=True)
class Estimate:
    """What a pass over an archive would take here."""

    images: int
    decoded: int
    """Images whose pixels are kept already."""
    missing: int | None
    """Images whose features are not kept; None where this is only known once they are decoded."""
    seconds: float
    """From a trial on some of the images."""
    features_bytes: int
    pixels_bytes: int
    folder: Path


class Looking:
    """A backbone that looks at images as they come, and keeps what it saw; its threads live until it is closed."""

    def __init__(self, given: FeaturePass, path: Path) -> None:
        self.extractor = Extractor(given.backbone, given.runtime, given.engine, given.workers)
        self.computed = 0
        self._path, self._width = path, given.width
        kept = kept_images(given.folder, given.width)
        self._places = {image: (file, row) for file, images in kept for row, image in enumerate(images)}

    def __enter__(self) -> Looking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End its threads."""
        self.extractor.close()

    def keep(self, keys: list[str], pixels_MSS: np.ndarray) -> None:
        """Compute and keep the features of those images that have none yet; `keys` as of `PixelStore.keys`."""
        new = [i for i, key in enumerate(keys) if bytes.fromhex(key) not in self._places]
        if not new:
            return
        features_MK = self.extractor(pixels_MSS[new])
        part = keep_part(self._path, [keys[i] for i in new], features_MK)
        self._places |= {bytes.fromhex(keys[i]): (part, row) for row, i in enumerate(new)}
        self.computed += len(new)

    def __call__(self, keys: list[str], pixels_MSS: np.ndarray) -> np.ndarray:
        """Features, float32 (M, K), of images, uint8 (M, S, S): computed now, or ever before."""
        self.keep(keys, pixels_MSS)
        features_MK = np.empty((len(keys), self._width), np.float32)
        for at, key in enumerate(keys):
            file, row = self._places[bytes.fromhex(key)]
            rows_N = read_rows(file, self._width)
            if rows_N is None:  # another process has put its rows into a file of its own
                del self._places[bytes.fromhex(key)]
                features_MK[at] = self([key], pixels_MSS[at : at + 1])[0]
            else:
                features_MK[at] = rows_N["features"][row]
        return features_MK


class FeaturePass:
    """A frozen backbone that looks at archives, at one size of image in pixels a side, with one engine."""

    def __init__(
        self,
        backbone: Backbone,
        size: int,
        cache: Path,
        runtime: Runtime,
        engine: str = feature_engines.DEFAULT,
        workers: int = 0,
    ) -> None:
        self.backbone, self.size, self.cache, self.runtime = backbone, size, cache.expanduser(), runtime
        self.engine, self.workers = engine, workers or cores()
        self.folder = kind_folder(backbone, size, cache, engine)

    @property
    def on_gpu(self) -> bool:
        return self.runtime.device.startswith("cuda")

    @property
    def width(self) -> int:
        """Features of an image."""
        return self.backbone.head.linear.in_features

    def run(self, images: Images) -> ArchiveFeatures:
        """The features of all images that can be used, after decoding and computing what is not kept yet.

        UserError where a feature is not finite or the cache cannot be written.
        """
        began, ahead = time.monotonic(), digest_text(images.key)[:40]
        with self.looking(ahead) as look:
            store = PixelStore.open(images, self.size, self.cache, self.workers, watch=look.keep, unusable=True)
            index_M = np.array([i for i in range(len(store)) if i not in store.unusable], np.int64)
            store_keys = store.keys
            keys = [store_keys[i] for i in index_M]

            def rest(rows: np.ndarray) -> Iterator[np.ndarray]:
                look.computed += len(rows)
                parts = (index_M[rows[start : start + READ]] for start in range(0, len(rows), READ))
                return look.extractor.stream(Batch(store.pixels[part]) for part in parts)

            path = self.folder / file_of(keys)
            features_MK = kept_features(path, keys, self.width, rest)
        remove_parts(self.folder / ahead)
        seconds = time.monotonic() - began
        return ArchiveFeatures(features_MK, index_M, keys, store.unusable, store.notes, path, look.computed, seconds)

    def looking(self, name: str) -> Looking:
        """The backbone, open for images that come a few at a time.

        What it computes is kept in parts of this name until a file has it, so that it is there for everybody.
        """
        return Looking(self, self.folder / f"{name}.npy")

    def joined(self, made: Sequence[ArchiveFeatures], shards: Sequence[np.ndarray]) -> ArchiveFeatures:
        """The features of an archive of which each shard (indices) was looked at by itself, maybe elsewhere."""
        keys = [key for one in made for key in one.keys]
        path = self.folder / file_of(keys)

        def elsewhere(rows: np.ndarray) -> Iterator[np.ndarray]:
            raise UserError(
                f"{self.folder}: the features that were computed elsewhere are not here; put the cache on a file "
                "system that all nodes share"
            )

        whole = ArchiveFeatures(
            features_MK=kept_features(path, keys, self.width, elsewhere),
            index_M=np.concatenate([shard[one.index_M] for one, shard in zip(made, shards, strict=True)]),
            keys=keys,
            unusable={
                int(shard[i]): reason
                for one, shard in zip(made, shards, strict=True)
                for i, reason in one.unusable.items()
            },
            notes=tuple(dict.fromkeys(note for one in made for note in one.notes)),
            path=path,
            computed=sum(one.computed for one in made),
            seconds=max(one.seconds for one in made),
        )
        for one in made:
            if one.path != path:
                one.path.unlink(missing_ok=True)
        return whole

    def estimate(self, images: Images) -> Estimate:
        """What `run` would take, from a trial on images from all over the archive; nothing is kept."""
        store = PixelStore.kept(images, self.size, self.cache)
        known = {image for _, kept in kept_images(self.folder, self.width) for image in kept}
        begun = PixelStore.begun(images, self.size, self.cache) if store is None else store.keys
        decoded = {bytes.fromhex(key) for key in begun if key}
        decoding, computing = self._trial(images)
        to_decode = len(images) - len(begun)
        to_compute = to_decode + len(decoded - known)
        return Estimate(
            images=len(images),
            decoded=len(images) - to_decode,
            missing=None if store is None else to_compute,
            seconds=(to_decode * decoding + to_compute * computing) / self.workers,
            features_bytes=to_compute * row_bytes(self.width),
            pixels_bytes=to_decode * self.size**2,
            folder=self.cache,
        )

    def _trial(self, images: Images) -> tuple[float, float]:
        """Seconds of one core to decode an image, and to compute its features."""
        pixels, began = [], time.perf_counter()
        tried = np.unique(np.linspace(0, len(images) - 1, TRIAL).astype(int)).tolist()
        for index in tried:
            with contextlib.suppress(UserError):
                pixels.append(images.read(index, self.size).pixels)
        decoding = (time.perf_counter() - began) / len(tried)
        if not pixels:
            raise UserError(f"none of {len(tried)} images that were tried can be used; `al-cxr data audit` says why")
        compute = Pass(self.backbone, self.runtime, self.engine)
        batch = Batch(np.stack([pixels[i % len(pixels)] for i in range(BATCH)]))
        compute(batch)  # the first one warms up
        began = time.perf_counter()
        for _ in range(TRIAL // BATCH):
            compute(batch)
        return decoding, (time.perf_counter() - began) / (TRIAL // BATCH * BATCH)
