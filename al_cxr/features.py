"""The feature cache: what a frozen backbone makes of every image, computed once, memory-mapped ever after."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from al_cxr.checkpoint import weights_hash
from al_cxr.config import AugmentSettings
from al_cxr.data import chest, decode
from al_cxr.data.augment import augment
from al_cxr.data.loader import FeatureLoader, Loader
from al_cxr.data.store import PixelStore
from al_cxr.errors import UserError
from al_cxr.models.backbone import Backbone
from al_cxr.runtime import Runtime
from al_cxr.sampling.stochastic import evaluation
from al_cxr.seeds import digest, digest_text, stream

FOLDER = "features"
VERSION = 2
"""Raised whenever a change of code changes the features of the same backbone and pixels."""
BATCH = 8
"""Images a pass: few, so that memory is used again and not fetched anew; and fixed, because bits may depend on it."""


@dataclass(frozen=True, eq=False)
class Views:
    """Varied copies of some images: `count` of each, made by `augment`."""

    count: int
    index_M: np.ndarray
    augment: AugmentSettings


def feature_loader(
    backbone: Backbone, store: PixelStore, cache: Path, runtime: Runtime, views: Views | None = None
) -> FeatureLoader:
    """Features float32 (N, K) of the store's images, from the cache, after computing them if they are not there.

    They lie in `cache`/features in one file, named by the weights, the normalisation and the pixels; those of each
    varied copy in one more. A file appears there whole or not at all, however many compute it at once. They are
    computed in full precision. UserError where a feature is not finite or the cache cannot be written.
    """
    weights = weights_hash(backbone.body)
    facts = _facts(backbone, weights, store)
    pixels = Loader(store.pixels, runtime.device, mean=0.0, std=1.0, memory_format=runtime.memory_format)

    def kept(facts: dict[str, Any], batches: Iterator[Tensor], images: int) -> tuple[str, np.ndarray]:
        key = digest_text(json.dumps(facts, sort_keys=True))[:40]
        shape = (images, backbone.head.linear.in_features)
        return key, _kept(cache.expanduser() / FOLDER / f"{key}.npy", shape, backbone, batches, runtime)

    plain = (images for _, images in pixels.batches(np.arange(len(store)), BATCH))
    key, features_NK = kept(facts, plain, len(store))
    if views is None:
        return FeatureLoader(features_NK, key, weights, runtime.device)
    changed = facts | {"augment": views.augment.model_dump(mode="json"), "images": digest(views.index_M)}
    made = [
        kept({**changed, "view": view}, _varied(pixels, views, view), len(views.index_M)) for view in range(views.count)
    ]
    key = digest_text("\n".join([key, *(key for key, _ in made)]))[:40]
    return FeatureLoader(features_NK, key, weights, runtime.device, [view for _, view in made], views.index_M)


def _varied(pixels: Loader, views: Views, view: int) -> Iterator[Tensor]:
    """The batches of one varied copy of every image; each copy is another, and each image's is."""
    generator = torch.Generator().manual_seed(stream(view, "views"))
    for _, images in pixels.raw(views.index_M, BATCH):
        yield pixels.prepare(augment(images, views.augment, generator))


def _facts(backbone: Backbone, weights: str, store: PixelStore) -> dict[str, Any]:
    """All that decides the features; `weights` is the hash of the backbone's."""
    return {
        "version": VERSION,
        "decoder": decode.VERSION,
        "pixels": store.fingerprint,
        "name": backbone.name,
        "weights": weights,
        "mean": backbone.mean.flatten().tolist(),
        "std": backbone.std.flatten().tolist(),
        "layers": backbone.layers,
        "chest": chest.VERSION if backbone.chest else None,
    }


def _kept(
    path: Path, shape: tuple[int, int], backbone: Backbone, batches: Iterator[Tensor], runtime: Runtime
) -> np.ndarray:
    """The features in a file, after computing those of all batches if they are not there."""
    try:
        features_NK = _read(path, shape)
        if features_NK is None:
            _compute(path, shape, backbone, batches, runtime)
            features_NK = _read(path, shape)
    except OSError as error:
        raise UserError(f"{path}: the feature cache cannot be used ({error}); set machine.cache") from error
    if features_NK is None:
        raise UserError(f"{path}: the feature cache was changed while it was made; delete the file")
    return features_NK


def _read(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """The finished features; None if they are not there or not whole."""
    try:
        features_NK = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return features_NK if features_NK.shape == shape and features_NK.dtype == np.float32 else None


def _compute(
    path: Path, shape: tuple[int, int], backbone: Backbone, batches: Iterator[Tensor], runtime: Runtime
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    os.close(handle)
    try:
        features_NK = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float32, shape=shape)
        runtime.place(backbone)
        done = 0
        with evaluation(backbone), tqdm(total=shape[0], desc="features", unit=" images", disable=None) as bar:
            for images in batches:
                features_BK = backbone.features(images)
                if not torch.isfinite(features_BK).all():
                    raise UserError(f"{backbone.name}: NaN or infinite features; are these its weights?")
                features_NK[done : done + len(images)] = features_BK.cpu().numpy()
                done += len(images)
                bar.update(len(images))
        features_NK.flush()
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Removes drafts that a killed process left more than a day ago."""
    for draft in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > 86_400:
                draft.unlink()
