"""The features of an archive's images: computed once by a frozen network, chunk by chunk, and kept in the project.

A chunk is in use as soon as it is there, and is never computed again: a start that was killed goes on. An image that
cannot be decoded has no features, and says why.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from al_cxr import models
from al_cxr.core.cache import default_cache
from al_cxr.core.checkpoint import load_tensors, save_tensors, weights_hash
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import EDITED
from al_cxr.core.seeds import digest_text, rng, stream
from al_cxr.data.decode import Reading
from al_cxr.data.store import cores, key_of
from al_cxr.labelling.archive import Archive
from al_cxr.labelling.settings import ProjectSettings
from al_cxr.models.backbone import Backbone
from al_cxr.training.archive import FeaturePass, Looking
from al_cxr.training.runtime import plain

FOLDER = "features"
CHUNK = 256
"""Images whose features are computed and kept together."""


class ProjectFeatures:
    """Features float32 (N, K) of a project's images, by index, as far as they are there. Threads may share one."""

    def __init__(self, project: Path, settings: ProjectSettings, archive: Archive) -> None:
        self._archive, self._settings = archive, settings
        self._backbone: Backbone | None = None
        self._looking: Looking | None = None
        network = settings.network
        facts = [network.arch, network.options, network.image_size]
        self.folder = project / FOLDER / digest_text(json.dumps(facts, sort_keys=True))[:16]
        self._lock = threading.Lock()
        self._features_NK: np.ndarray | None = None
        self._ready_N = np.zeros(0, bool)
        self.unreadable: dict[int, str] = {}
        """Index -> why it could not be decoded, of the images that were tried."""
        for file in sorted(self.folder.glob("*.safetensors")):
            self._take(*_read_chunk(file))

    @property
    def ready_N(self) -> np.ndarray:
        """Whether an image has its features, bool (N,); N is the archive's."""
        with self._lock:
            self._grow(0)
            return self._ready_N.copy()

    @property
    def features_NK(self) -> np.ndarray:
        """Those of images without features are 0. Not to be changed."""
        with self._lock:
            if self._features_NK is None:
                raise UserError("no features yet; they are computed first")
            return self._features_NK

    def missing(self) -> np.ndarray:
        """Indices of the images that are there and have neither features nor a reason to have none, ascending."""
        left_N = self._archive.present_N & ~self.ready_N
        left_N[list(self.unreadable)] = False
        return np.flatnonzero(left_N)

    def advance(self, first: Sequence[int] = ()) -> int:
        """Compute the next chunk, with the images `first` before others; how many images were dealt with."""
        left = self.missing()
        if not len(left):
            self._close()
            return 0
        # In a random order, so that what is there early is like the whole archive.
        order = rng(self._settings.seed, "features").permutation(len(self._archive))
        left = order[np.isin(order, left)]
        wanted = np.intersect1d(first, left)
        chunk = np.concatenate([wanted, left[~np.isin(left, wanted)]]).astype(np.int64)[:CHUNK].tolist()
        good: list[int] = []
        readings: list[Reading] = []
        for index, reading in zip(chunk, self._decoded(chunk), strict=True):
            if isinstance(reading, UserError):
                self.unreadable[index] = str(reading).removeprefix(f"{self._archive.images[index].name}: ")
            else:
                good.append(index)
                readings.append(reading)
        if good:
            digests = [self._archive.images[i].digest for i in good]
            features_MK = self._compute(readings)
            file = self.folder / f"{digest_text(' '.join(digests))[:24]}.safetensors"
            save_tensors(file, {"features": torch.from_numpy(features_MK)}, digests)
            self._take(digests, features_MK)
        return len(chunk)

    @property
    def backbone(self) -> Backbone:
        """The frozen network."""
        if self._backbone is None:
            self._backbone = frozen_network(self._settings)
        return self._backbone

    @property
    def weights(self) -> str:
        """Hex SHA-256 of the frozen weights."""
        return weights_hash(self.backbone.body)

    def _decoded(self, chunk: Sequence[int]) -> Iterator[Reading | UserError]:
        def one(index: int) -> Reading | UserError:
            try:
                return self._archive.read(index, self._settings.network.image_size)
            except UserError as error:
                return error

        with ThreadPoolExecutor(self._settings.machine.workers or cores()) as pool:
            yield from pool.map(one, chunk)

    def _compute(self, readings: Sequence[Reading]) -> np.ndarray:
        """On all cores, from the cache where another pass has computed them; its threads wait for the next chunk."""
        if self._looking is None:
            machine, size = self._settings.machine, self._settings.network.image_size
            cache = Path(machine.cache) if machine.cache else default_cache()
            given = FeaturePass(self.backbone, size, cache, plain(machine), workers=machine.workers)
            self._looking = given.looking(self.folder.name)
        keys = [key_of(reading.digest, reading.depth) for reading in readings]
        return self._looking(keys, np.stack([reading.pixels for reading in readings]))

    def _close(self) -> None:
        if self._looking is not None:
            self._looking.close()
            self._looking = None

    def _take(self, digests: Sequence[str], features_MK: np.ndarray) -> None:
        known = [(row, self._archive.index_of[d]) for row, d in enumerate(digests) if d in self._archive.index_of]
        with self._lock:
            self._grow(features_MK.shape[1])
            if known and self._features_NK is not None:
                rows, index = np.array(known).T
                self._features_NK[index] = features_MK[rows]
                self._ready_N[index] = True

    def _grow(self, width: int) -> None:
        """Room for all images that the archive has by now."""
        size = len(self._archive)
        if self._features_NK is None and width:
            self._features_NK = np.zeros((size, width), np.float32)
        if self._features_NK is not None and len(self._features_NK) < size:
            larger_NK = np.zeros((size, self._features_NK.shape[1]), np.float32)
            larger_NK[: len(self._features_NK)] = self._features_NK
            self._features_NK = larger_NK
        if len(self._ready_N) < size:
            self._ready_N = np.concatenate([self._ready_N, np.zeros(size - len(self._ready_N), bool)])


def frozen_network(settings: ProjectSettings) -> Backbone:
    """The network that makes the features; UserError where the settings name none that can."""
    network = settings.network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(settings.seed, "weights"))
        try:
            built = models.build(network.arch, 1, len(settings.classes), network.image_size, network.options)
        except UserError as error:  # it speaks of the settings of an experiment
            said = str(error).replace(f"model.options.{network.arch}", "network.options")
            raise UserError(said.replace("model.arch", "network.arch")) from None
    if not isinstance(built, Backbone):
        raise UserError(f"network.arch: {network.arch} has no features to train a head on; choose a backbone")
    return built


def _read_chunk(file: Path) -> tuple[list[str], np.ndarray]:
    tensors, digests = load_tensors(file)
    if "features" not in tensors or not isinstance(digests, list) or len(digests) != len(tensors["features"]):
        raise UserError(f"{file}: not features that al-cxr wrote; {EDITED}; delete the file")
    return [str(digest) for digest in digests], tensors["features"].numpy()
