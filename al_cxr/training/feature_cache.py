"""The feature cache: what a frozen backbone makes of an image, computed once, memory-mapped ever after.

`FOLDER` has one folder for each kind of features: a backbone, a size of image, a varied copy. In it lies one file for
each data set, a row for each image: its digest, then its features. A data set that shares images with another, as a
part of an archive does or an archive that has grown, has its rows copied and only the new ones computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from al_cxr.config import AugmentSettings
from al_cxr.core.checkpoint import weights_hash
from al_cxr.core.seeds import digest_text, stream
from al_cxr.data import augment, chest, decode
from al_cxr.data.loader import FeatureLoader, Loader
from al_cxr.data.store import PixelStore
from al_cxr.models.backbone import Backbone
from al_cxr.training.feature_file import BATCH, Batches, kept_features, read_rows
from al_cxr.training.runtime import Runtime

FOLDER = "features"
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
    backbone: Backbone, store: PixelStore, cache: Path, runtime: Runtime, views: Views | None = None
) -> FeatureLoader:
    """Features float32 (N, K) of the store's images, from the cache, after computing those that are not there.

    A file appears in `cache`/features whole or not at all, however many compute it at once, and what a start that was
    killed had computed is not computed again. Features are computed in full precision, and those of an image are the
    same in any data set. UserError where a feature is not finite or the cache cannot be written.
    """
    weights = weights_hash(backbone.body)
    first, *varied = _kinds(backbone, weights, store, views)
    pixels = Loader(store.pixels, runtime.device, mean=0.0, std=1.0, memory_format=runtime.memory_format)
    root = cache.expanduser() / FOLDER

    def features(kind: str, digests: list[str], batches: Batches) -> tuple[str, np.ndarray]:
        images = digest_text("\n".join(digests))[:40]
        return f"{kind}/{images}", kept_features(root / kind / f"{images}.npy", digests, backbone, batches, runtime)

    def plain(index_M: np.ndarray) -> Iterator[Tensor]:
        return (images for _, images in pixels.batches(index_M, BATCH))

    key, features_NK = features(*first, plain)
    if views is None:
        return FeatureLoader(features_NK, key, weights, runtime.device)
    made = [features(kind, viewed, _varied(pixels, views, viewed, view)) for view, (kind, viewed) in enumerate(varied)]
    key = digest_text("\n".join([key, *(key for key, _ in made)]))[:40]
    copies = [view for _, view in made]
    return FeatureLoader(features_NK, key, weights, runtime.device, copies, views.index_M, views.originals)


def missing(backbone: Backbone, store: PixelStore, cache: Path, views: Views | None = None) -> int:
    """How many images, and varied copies of images, `feature_loader` would have to compute."""
    width, total = backbone.head.linear.in_features, 0
    for kind, digests in _kinds(backbone, weights_hash(backbone.body), store, views):
        left = set(digests)
        for file in (cache.expanduser() / FOLDER / kind).glob("*.npy"):
            rows_N = read_rows(file, width)
            left -= set() if rows_N is None else {image.tobytes().hex() for image in rows_N["image"]}
        total += len(left)
    return total


def _kinds(backbone: Backbone, weights: str, store: PixelStore, views: Views | None) -> list[tuple[str, list[str]]]:
    """Folders in the cache, and the digests of the images that are wanted in each: as they are, then each view."""
    facts = _facts(backbone, weights, store.size)
    wanted: list[tuple[dict[str, Any], list[str]]] = [(facts, store.keys)]
    if views is not None:
        viewed = [store.keys[i] for i in views.index_M]
        changed = facts | {"augment": views.augment.model_dump(mode="json")}
        wanted += [({**changed, "view": view}, viewed) for view in range(views.count)]
    return [(digest_text(json.dumps(of_kind, sort_keys=True))[:40], digests) for of_kind, digests in wanted]


def _varied(pixels: Loader, views: Views, digests: list[str], view: int) -> Batches:
    """Varied copies whose chance hangs on the image and the view alone, whatever other images there are."""

    def drawn(row: int) -> Tensor:
        generator = torch.Generator().manual_seed(stream(view, "views", digests[row]))
        return augment.draw(1, views.augment, generator)

    def batches(index_M: np.ndarray) -> Iterator[Tensor]:
        taken = 0
        for _, images in pixels.raw(views.index_M[index_M], BATCH):
            rows = index_M[taken : taken + len(images)]
            draws_BK = torch.cat([drawn(row) for row in rows.tolist()])
            yield pixels.prepare(augment.apply(images, views.augment, draws_BK))
            taken += len(rows)

    return batches


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
