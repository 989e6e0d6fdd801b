"""The feature cache: what a frozen backbone makes of every image, computed once, memory-mapped ever after."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from al_cxr.checkpoint import weights_hash
from al_cxr.data import decode
from al_cxr.data.loader import FeatureLoader, Loader
from al_cxr.data.store import PixelStore
from al_cxr.errors import UserError
from al_cxr.models.backbone import Backbone
from al_cxr.runtime import Runtime
from al_cxr.sampling.stochastic import evaluation
from al_cxr.seeds import digest_text

FOLDER = "features"
VERSION = 1
"""Raised whenever a change of code changes the features of the same backbone and pixels."""
BATCH = 8
"""Images a pass: few, so that memory is used again and not fetched anew; and fixed, because bits may depend on it."""


def feature_loader(backbone: Backbone, store: PixelStore, cache: Path, runtime: Runtime) -> FeatureLoader:
    """Features float32 (N, K) of the store's images, from the cache, after computing them if they are not there.

    They lie in `cache`/features in one file, named by the weights, the normalisation and the pixels. It appears there
    whole or not at all, however many compute it at once. They are computed in full precision. UserError where a
    feature is not finite or the cache cannot be written.
    """
    weights = weights_hash(backbone.body)
    key = feature_key(backbone, weights, store)
    path = cache.expanduser() / FOLDER / f"{key}.npy"
    shape = (len(store), backbone.head.linear.in_features)
    try:
        features_NK = _read(path, shape)
        if features_NK is None:
            _compute(path, shape, backbone, store, runtime)
            features_NK = _read(path, shape)
    except OSError as error:
        raise UserError(f"{path}: the feature cache cannot be used ({error}); set machine.cache") from error
    if features_NK is None:
        raise UserError(f"{path}: the feature cache was changed while it was made; delete the file")
    return FeatureLoader(features_NK, key, weights, runtime.device)


def feature_key(backbone: Backbone, weights: str, store: PixelStore) -> str:
    """40 hex digits of the SHA-256 over all that decides the features; `weights` is the hash of the backbone's."""
    facts = {
        "version": VERSION,
        "decoder": decode.VERSION,
        "pixels": store.fingerprint,
        "name": backbone.name,
        "weights": weights,
        "mean": backbone.mean.flatten().tolist(),
        "std": backbone.std.flatten().tolist(),
    }
    return digest_text(json.dumps(facts, sort_keys=True))[:40]


def _read(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """The finished features; None if they are not there or not whole."""
    try:
        features_NK = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return features_NK if features_NK.shape == shape and features_NK.dtype == np.float32 else None


def _compute(path: Path, shape: tuple[int, int], backbone: Backbone, store: PixelStore, runtime: Runtime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    os.close(handle)
    try:
        features_NK = np.lib.format.open_memmap(draft, mode="w+", dtype=np.float32, shape=shape)
        runtime.place(backbone)
        loader = Loader(store.pixels, runtime.device, mean=0.0, std=1.0, memory_format=runtime.memory_format)
        with evaluation(backbone), tqdm(total=len(store), desc="features", unit=" images", disable=None) as bar:
            for index_B, images in loader.batches(np.arange(len(store)), BATCH):
                features_BK = backbone.features(images)
                if not torch.isfinite(features_BK).all():
                    raise UserError(f"{backbone.name}: NaN or infinite features; are these its weights?")
                features_NK[index_B] = features_BK.cpu().numpy()
                bar.update(len(index_B))
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
