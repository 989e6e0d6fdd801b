"""The feature cache: what a frozen backbone makes of an image, computed once, memory-mapped ever after.

`FOLDER` has one folder for each kind of features: a backbone, a size of image, a varied copy. In it lies one file for
each data set, a row for each image: its digest, then its features. A data set that shares images with another, as a
part of an archive does or an archive that has grown, has its rows copied and only the new ones computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from al_cxr.config import AugmentSettings
from al_cxr.core.checkpoint import weights_hash
from al_cxr.core.seeds import digest_text, stream
from al_cxr.data import augment, chest, decode
from al_cxr.data.loader import FeatureLoader
from al_cxr.data.store import PixelStore
from al_cxr.models.backbone import Backbone
from al_cxr.training import feature_engines
from al_cxr.training.extractor import Extractor
from al_cxr.training.feature_file import Compute, kept_features, kept_images
from al_cxr.training.feature_pass import Batch
from al_cxr.training.runtime import Runtime

FOLDER = "features"
READ = 512
"""Images whose pixels are read together."""
VERSION = 3
"""Raised whenever a change of code changes the features of the same backbone and pixels."""


@dataclass(frozen=True, eq=False)
class Views:
    """Varied copies of some images: `count` of each, made by `augment`; `originals` is of `FeatureLoader`."""

    count: int
    index_M: np.ndarray
    augment: AugmentSettings
    originals: float | None = None


def feature_loader(
    backbone: Backbone,
    store: PixelStore,
    cache: Path,
    runtime: Runtime,
    views: Views | None = None,
    engine: str = feature_engines.DEFAULT,
    workers: int = 0,
) -> FeatureLoader:
    """Features float32 (N, K) of the store's images, from the cache, after computing those that are not there.

    A file appears in `cache`/features whole or not at all, however many compute it at once, and what a start that was
    killed had computed is not computed again. The features of an image are the same in any data set; `engine`
    (`feature_engines`) decides their last bits, `workers` (`Extractor`) only the speed. UserError where a feature is
    not finite or the cache cannot be written.
    """
    weights = weights_hash(backbone.body)
    first, *varied = _kinds(backbone, weights, store.size, store.keys, views, engine)
    width, root = backbone.head.linear.in_features, cache.expanduser() / FOLDER

    def features(kind: str, digests: list[str], compute: Compute) -> tuple[str, np.ndarray]:
        path = root / kind / file_of(digests)
        return f"{kind}/{path.stem}", kept_features(path, digests, width, compute)

    augment = None if views is None else views.augment
    with Extractor(backbone, runtime, engine, workers, augment) as extractor:

        def plain(index_M: np.ndarray) -> Iterator[np.ndarray]:
            return extractor.stream(Batch(store.pixels[rows]) for rows in _parts(index_M))

        key, features_NK = features(*first, plain)
        made = []
        for view, (kind, viewed) in enumerate(varied):
            assert views is not None
            made.append(features(kind, viewed, _varied(extractor, store, views, viewed, view)))
    if views is None:
        return FeatureLoader(features_NK, key, weights, runtime.device)
    key = digest_text("\n".join([key, *(key for key, _ in made)]))[:40]
    copies = [view for _, view in made]
    return FeatureLoader(features_NK, key, weights, runtime.device, copies, views.index_M, views.originals)


def missing(
    backbone: Backbone,
    store: PixelStore,
    cache: Path,
    views: Views | None = None,
    engine: str = feature_engines.DEFAULT,
) -> int:
    """How many images, and varied copies of images, `feature_loader` would have to compute."""
    width, total = backbone.head.linear.in_features, 0
    for kind, digests in _kinds(backbone, weights_hash(backbone.body), store.size, store.keys, views, engine):
        left = {bytes.fromhex(digest) for digest in digests}
        for _, images in kept_images(cache.expanduser() / FOLDER / kind, width):
            left.difference_update(images)
        total += len(left)
    return total


def kind_folder(backbone: Backbone, size: int, cache: Path, engine: str) -> Path:
    """Where the features of images as they are lie, of so many pixels a side."""
    ((kind, _),) = _kinds(backbone, weights_hash(backbone.body), size, [], None, engine)
    return cache.expanduser() / FOLDER / kind


def file_of(keys: list[str]) -> str:
    """What the file of the features of these images is called there."""
    return f"{digest_text(chr(10).join(keys))[:40]}.npy"


def _kinds(
    backbone: Backbone, weights: str, size: int, keys: list[str], views: Views | None, engine: str
) -> list[tuple[str, list[str]]]:
    """Folders in the cache, and the digests of the images that are wanted in each: as they are, then each view."""
    facts = _facts(backbone, weights, size) | feature_engines.facts(engine)
    wanted: list[tuple[dict[str, Any], list[str]]] = [(facts, keys)]
    if views is not None:
        viewed = [keys[i] for i in views.index_M]
        changed = facts | {"augment": views.augment.model_dump(mode="json")}
        wanted += [({**changed, "view": view}, viewed) for view in range(views.count)]
    return [(digest_text(json.dumps(of_kind, sort_keys=True))[:40], digests) for of_kind, digests in wanted]


def _varied(extractor: Extractor, store: PixelStore, views: Views, digests: list[str], view: int) -> Compute:
    """Varied copies whose chance hangs on the image and the view alone, whatever other images there are."""

    def drawn(row: int) -> np.ndarray:
        generator = torch.Generator().manual_seed(stream(view, "views", digests[row]))
        return augment.draw(1, views.augment, generator).numpy()

    def batches(index_M: np.ndarray) -> Iterator[Batch]:
        for rows in _parts(index_M):
            yield Batch(store.pixels[views.index_M[rows]], np.concatenate([drawn(row) for row in rows.tolist()]))

    return lambda index_M: extractor.stream(batches(index_M))


def _parts(index_M: np.ndarray) -> Sequence[np.ndarray]:
    """Few enough at a time that their pixels take little memory."""
    return [index_M[start : start + READ] for start in range(0, len(index_M), READ)]


def _facts(backbone: Backbone, weights: str, size: int) -> dict[str, Any]:
    """All that decides the features of an image; `weights` is the hash of the backbone's, `size` the pixels a side."""
    return {
        "version": VERSION,
        "decoder": decode.VERSION_8_BITS,  # the version for more bits is part of their keys
        "size": size,
        "name": backbone.name,
        "weights": weights,
        "mean": backbone.mean.flatten().tolist(),
        "std": backbone.std.flatten().tolist(),
        "layers": backbone.layers,
        "chest": chest.VERSION if backbone.chest else None,
    }
