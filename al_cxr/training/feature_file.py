"""One file of the feature cache: a row for each image of a data set, its digest and its features.

A file appears whole or not at all, however many processes make it at once. Rows that a neighbouring file has are copied
and only the others computed; what was computed before a kill is kept in parts, from which another start copies it.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from al_cxr.core.drafts import remedy, write_atomically
from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.core.progress import Progress
from al_cxr.core.seeds import digest_text
from al_cxr.models.backbone import Backbone
from al_cxr.sampling.stochastic import eval_mode
from al_cxr.training.runtime import Runtime

BATCH = 8
"""Images a pass: few, so that memory is used again and not fetched anew; always as many, because bits depend on it."""

PART = 1024
"""Images after which what is computed is kept: a start that was killed loses no more."""

Batches = Callable[[np.ndarray], Iterator[Tensor]]
"""The images of some rows, ready for the backbone, in batches of up to BATCH."""


def kept_features(path: Path, digests: list[str], backbone: Backbone, batches: Batches, runtime: Runtime) -> np.ndarray:
    """The features of the images in a file, after making it if it is not there."""
    width, images = backbone.head.linear.in_features, _as_bytes(digests)
    try:
        rows_N = read_rows(path, width, images)
        if rows_N is None:
            _make(path, width, images, backbone, batches, runtime)
            rows_N = read_rows(path, width, images)
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


def read_rows(path: Path, width: int, images_N32: np.ndarray | None = None) -> np.ndarray | None:
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
        others_M = read_rows(file, rows_N.dtype["features"].shape[0])
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
