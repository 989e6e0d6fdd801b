"""One file of the feature cache: a row for each image of a data set, its digest and its features.

A file appears whole or not at all, however many processes make it at once. Rows that a neighbouring file has are copied
and only the others computed; what was computed before a kill is kept in parts, from which another start copies it.
Files are read and written in blocks of rows, so that memory does not grow with them.
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

from al_cxr.core.drafts import remedy, write_atomically
from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.core.progress import Progress
from al_cxr.core.seeds import digest_text

PART = 1024
"""Images after which what is computed is kept: a start that was killed loses no more."""

Compute = Callable[[np.ndarray], Iterator[np.ndarray]]
"""Rows -> their features, float32 (., K), in order, in pieces of any size."""


def kept_features(path: Path, digests: list[str], width: int, compute: Compute) -> np.ndarray:
    """The features (N, K) of the images in a file, after making it if it is not there; K is `width`."""
    images = [bytes.fromhex(digest) for digest in digests]
    try:
        rows_N = _whole(path, width, images)
        if rows_N is None:
            _make(path, width, images, compute)
            rows_N = _whole(path, width, images)
    except OSError as error:
        where = "machine.cache or AL_CXR_CACHE says where it lies"
        raise CannotWrite(f"{path}: the feature cache cannot be used: {remedy(error)} ({where})") from error
    if rows_N is None:
        raise UserError(f"{path}: the feature cache was changed while it was made; delete the file")
    return rows_N["features"]


def row_bytes(width: int) -> int:
    """Of one image in a file."""
    return _row(width).itemsize


def kept_images(folder: Path, width: int) -> Iterator[tuple[Path, list[bytes]]]:
    """The files of a folder, whole ones and parts of others, and the images of their rows (SHA-256)."""
    for file in sorted(folder.glob("*.npy")):
        if (rows_M := read_rows(file, width)) is not None:
            yield file, _images(rows_M, file)


def read_rows(path: Path, width: int) -> np.ndarray | None:
    """The rows of a file, `image` and `features`, memory-mapped; None if they are not there or not whole."""
    try:
        rows_N = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return rows_N if rows_N.dtype == _row(width) and rows_N.ndim == 1 else None


def _row(width: int) -> np.dtype:
    return np.dtype([("image", "u1", (32,)), ("features", "<f4", (width,))])


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + PART, count)) for start in range(0, count, PART))


def _images(rows_N: np.ndarray, path: Path) -> list[bytes]:
    """The images of a file, block by block: each has a map of its own, which takes no memory once it was read."""
    found: list[bytes] = []
    for block in _blocks(len(rows_N)):
        images_B32 = np.ascontiguousarray(np.load(path, mmap_mode="r", allow_pickle=False)[block]["image"])
        found += images_B32.view("V32")[:, 0].tolist()
    return found


def _whole(path: Path, width: int, images: list[bytes]) -> np.ndarray | None:
    """The rows of a finished file of these images; None if it is not there, not whole, or of others."""
    rows_N = read_rows(path, width)
    if rows_N is None or len(rows_N) != len(images) or _images(rows_N, path) != images:
        return None
    return rows_N


def _make(path: Path, width: int, images: list[bytes], compute: Compute) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    places = _places(path.parent, width, set(images))
    first = {image: row for row, image in reversed(list(enumerate(images))) if image not in places}
    _compute(path, width, images, np.array(sorted(first.values()), np.int64), compute)
    places = _places(path.parent, width, set(images))
    if any(image not in places for image in images):
        raise UserError(f"{path.parent}: the feature cache was changed while it was used; start again")
    _assemble(path, width, [places[image] for image in images])
    remove_parts(path)


def _places(folder: Path, width: int, wanted: set[bytes]) -> dict[bytes, tuple[Path, int]]:
    """Where the images lie that some file of the folder has: which file, which row."""
    places: dict[bytes, tuple[Path, int]] = {}
    for file, images in kept_images(folder, width):
        for row, image in enumerate(images):
            if image in wanted and image not in places:
                places[image] = file, row
    return places


def _compute(path: Path, width: int, images: list[bytes], rows: np.ndarray, compute: Compute) -> None:
    """Files of up to PART of these rows, from which they are copied."""
    with Progress(len(rows), "computing features") as bar:
        part_M, filled, begun = np.empty(min(PART, len(rows)), _row(width)), 0, 0
        for features in compute(rows) if len(rows) else ():
            for feature_K in features:
                part_M["image"][filled] = np.frombuffer(images[rows[begun]], np.uint8)
                part_M["features"][filled] = feature_K
                filled, begun = filled + 1, begun + 1
                if filled == len(part_M) or begun == len(rows):
                    _keep(part_M[:filled], path)
                    filled = 0
            bar.update(len(features))


def keep_part(path: Path, keys: list[str], features_MK: np.ndarray) -> Path:
    """Features of some images that a file will be made of, or several, in a part of their own."""
    rows_M = np.empty(len(keys), _row(features_MK.shape[1]))
    rows_M["image"] = np.frombuffer(bytes.fromhex("".join(keys)), np.uint8).reshape(-1, 32)
    rows_M["features"] = features_MK
    path.parent.mkdir(parents=True, exist_ok=True)
    return _keep(rows_M, path)


def remove_parts(path: Path) -> None:
    """Once a file is whole, or others that hold the same rows."""
    for part in path.parent.glob(f"{path.stem}.part-*.npy"):
        part.unlink(missing_ok=True)


def _keep(rows_M: np.ndarray, path: Path) -> Path:
    """A file of its own for some rows of one that is being made."""
    part = path.with_name(f"{path.stem}.part-{digest_text(rows_M['image'].tobytes().hex())[:16]}.npy")
    content = io.BytesIO()
    np.save(content, rows_M, allow_pickle=False)
    write_atomically(part, content.getvalue())
    return part


def _assemble(path: Path, width: int, places: list[tuple[Path, int]]) -> None:
    """The file, from rows of others. It is written and not mapped: a disk that is full then ends no process."""
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            header = np.lib.format.header_data_from_array_1_0(np.empty(0, _row(width))) | {"shape": (len(places),)}
            np.lib.format.write_array_header_1_0(out, header)
            for block in _blocks(len(places)):
                rows_B = np.empty(block.stop - block.start, _row(width))
                files: dict[Path, list[int]] = {}
                for at, (file, _) in enumerate(places[block]):
                    files.setdefault(file, []).append(at)
                for file, at_M in files.items():
                    rows_M = [places[block.start + at][1] for at in at_M]
                    rows_B[at_M] = np.load(file, mmap_mode="r", allow_pickle=False)[rows_M]
                out.write(rows_B.tobytes())
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Removes drafts that a killed process left more than a day ago."""
    for draft in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > 86_400:
                draft.unlink()
