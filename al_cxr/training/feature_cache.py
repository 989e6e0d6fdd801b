"""The feature cache: what a frozen backbone makes of an image, computed once, memory-mapped ever after.

`FOLDER` has one folder for each kind of features: a backbone, a size of image, a varied copy. In it lies one file for
each data set, a row for each image: its digest, then its features. A data set that shares images with another, as a
part of an archive does or an archive that has grown, has its rows copied and only the new ones computed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from al_cxr.config import AugmentSettings
from al_cxr.core.checkpoint import weights_hash
from al_cxr.core.drafts import remedy, write_atomically
from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.core.progress import Progress
from al_cxr.core.seeds import digest_text, stream
from al_cxr.data import augment, chest, decode
from al_cxr.data.loader import FeatureLoader, Loader
from al_cxr.data.store import PixelStore
from al_cxr.models.backbone import Backbone
from al_cxr.sampling.stochastic import eval_mode
from al_cxr.training.runtime import Runtime

FOLDER = "features"
VERSION = 3
"""Raised whenever a change of code changes the features of the same backbone and pixels."""
BATCH = 8
"""Images a pass: few, so that memory is used again and not fetched anew; always as many, because bits depend on it."""

PART = 1024
"""Images after which what is computed is kept: a start that was killed loses no more."""

Batches = Callable[[np.ndarray], Iterator[Tensor]]
"""The images of some rows, ready for the backbone, in batches of up to BATCH."""


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

    def kept(kind: str, digests: list[str], batches: Batches) -> tuple[str, np.ndarray]:
        images = digest_text("\n".join(digests))[:40]
        return f"{kind}/{images}", _kept(root / kind / f"{images}.npy", digests, backbone, batches, runtime)

    def plain(index_M: np.ndarray) -> Iterator[Tensor]:
        return (images for _, images in pixels.batches(index_M, BATCH))

    key, features_NK = kept(*first, plain)
    if views is None:
        return FeatureLoader(features_NK, key, weights, runtime.device)
    made = [kept(kind, viewed, _varied(pixels, views, viewed, view)) for view, (kind, viewed) in enumerate(varied)]
    key = digest_text("\n".join([key, *(key for key, _ in made)]))[:40]
    copies = [view for _, view in made]
    return FeatureLoader(features_NK, key, weights, runtime.device, copies, views.index_M, views.originals)


def missing(backbone: Backbone, store: PixelStore, cache: Path, views: Views | None = None) -> int:
    """How many images, and varied copies of images, `feature_loader` would have to compute."""
    width, total = backbone.head.linear.in_features, 0
    for kind, digests in _kinds(backbone, weights_hash(backbone.body), store, views):
        left = set(digests)
        for file in (cache.expanduser() / FOLDER / kind).glob("*.npy"):
            rows_N = _read(file, width)
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


def _kept(path: Path, digests: list[str], backbone: Backbone, batches: Batches, runtime: Runtime) -> np.ndarray:
    """The features of the images in a file, after making it if it is not there."""
    width, images = backbone.head.linear.in_features, _as_bytes(digests)
    try:
        rows_N = _read(path, width, images)
        if rows_N is None:
            _make(path, width, images, backbone, batches, runtime)
            rows_N = _read(path, width, images)
    except OSError as error:
        where = "machine.cache or AL_CXR_CACHE says where it lies"
        raise CannotWrite(f"{path}: the feature cache cannot be used: {remedy(error)} ({where})") from error
    if rows_N is None:
        raise UserError(f"{path}: the feature cache was changed while it was made; delete the file")
    return rows_N["features"]


def _row(width: int) -> np.dtype:
    return np.dtype([("image", "u1", (32,)), ("features", "<f4", (width,))])


def _as_bytes(digests: list[str]) -> np.ndarray:
    """SHA-256 in hex -> uint8 (N, 32)."""
    return np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, 32)


def _read(path: Path, width: int, images_N32: np.ndarray | None = None) -> np.ndarray | None:
    """The rows of a finished file, of these images; None if they are not there or not whole."""
    try:
        rows_N = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    if rows_N.dtype != _row(width) or rows_N.ndim != 1:
        return None
    return rows_N if images_N32 is None or np.array_equal(rows_N["image"], images_N32) else None


def _make(
    path: Path, width: int, images_N32: np.ndarray, backbone: Backbone, batches: Batches, runtime: Runtime
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    os.close(handle)
    try:
        rows_N = np.lib.format.open_memmap(draft, mode="w+", dtype=_row(width), shape=(len(images_N32),))
        _reserve(draft)
        rows_N["image"] = images_N32
        first_M, which_N = np.unique(images_N32, axis=0, return_index=True, return_inverse=True)[1:]
        to_do_M = np.sort(_copied(rows_N, first_M, path))
        runtime.place(backbone)
        with eval_mode(backbone), Progress(len(to_do_M), "computing features") as bar:
            for start in range(0, len(to_do_M), PART):
                part_M = to_do_M[start : start + PART]
                _compute(rows_N, part_M, backbone, batches, bar)
                if start + PART < len(to_do_M):
                    _keep(rows_N[part_M], path)
        again_N = np.flatnonzero(first_M[which_N] != np.arange(len(rows_N)))
        rows_N[again_N] = rows_N[first_M[which_N[again_N]]]
        rows_N.flush()
        os.replace(draft, path)
        for part in path.parent.glob(f"{path.stem}.part-*.npy"):
            part.unlink(missing_ok=True)
    finally:
        Path(draft).unlink(missing_ok=True)


def _reserve(draft: str) -> None:
    """Take the room of a new file now: a disk that is full later ends a process that writes into mapped memory."""
    if hasattr(os, "posix_fallocate"):
        with open(draft, "r+b") as f:
            os.posix_fallocate(f.fileno(), 0, os.fstat(f.fileno()).st_size)


def _keep(rows_M: np.ndarray, path: Path) -> None:
    """A file of its own for some rows of one that is being made, from which another start copies them."""
    part = path.with_name(f"{path.stem}.part-{digest_text(rows_M['image'].tobytes().hex())[:16]}.npy")
    content = io.BytesIO()
    np.save(content, rows_M, allow_pickle=False)
    write_atomically(part, content.getvalue())


def _copied(rows_N: np.ndarray, wanted_M: np.ndarray, path: Path) -> np.ndarray:
    """Fills the wanted rows whose images stand in a neighbouring file; those that are still wanted."""
    row_of = {rows_N["image"][row].tobytes(): row for row in wanted_M.tolist()}
    for file in sorted(path.parent.glob("*.npy")):
        others_M = _read(file, rows_N.dtype["features"].shape[0])
        if others_M is None:
            continue
        for there, image in enumerate(others_M["image"]):
            if (here := row_of.pop(image.tobytes(), None)) is not None:
                rows_N[here] = others_M[there]
    return np.array(list(row_of.values()), np.int64)


def _compute(rows_N: np.ndarray, index_M: np.ndarray, backbone: Backbone, batches: Batches, bar: Progress) -> None:
    done = 0
    for images in batches(index_M):
        short = BATCH - len(images)
        filled = torch.cat([images, images[-1:].expand(short, -1, -1, -1)]) if short else images
        features_BK = backbone.features(filled)[: len(images)]
        if not torch.isfinite(features_BK).all():
            raise UserError(f"{backbone.name}: some features are not finite numbers; are these the right weights?")
        rows_N["features"][index_M[done : done + len(images)]] = features_BK.cpu().numpy()
        done += len(images)
        bar.update(len(images))


def _sweep(folder: Path) -> None:
    """Removes drafts that a killed process left more than a day ago."""
    for draft in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > 86_400:
                draft.unlink()
