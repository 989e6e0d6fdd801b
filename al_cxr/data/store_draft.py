"""A pixel store that is being made: decoded window by window, and kept, so that another start goes on after a kill."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from al_cxr.core.errors import UserError
from al_cxr.core.progress import Progress
from al_cxr.data.dataset import Images
from al_cxr.data.decode import Reading
from al_cxr.data.shared_folder import sweep

PIXELS, LINES = "pixels.u8", "lines.jsonl"
WINDOW = 512
"""Images that are decoded together: while one window is used the next is decoded, and no more is held."""
WINDOW_BYTES = 32 * 2**20
"""Of their pixels: a window of large images has fewer."""
WINDOW_SECONDS = 10.0
"""After which a window is used, however few images it has: files of many megapixels take long."""


class Decoded(NamedTuple):
    """What is kept of an image beside its pixels."""

    digest: str
    """"" where it cannot be used."""
    depth: str
    doubts: list[str]
    unusable: str = ""
    """Why it cannot be used; its pixels are black then."""


@contextmanager
def draft_of(folder: Path) -> Iterator[Path]:
    """A draft of this folder that no other process writes into: one that a killed process left, or a new one."""
    for left in sorted(folder.parent.glob(f".{folder.name}.*")):
        lock = _lock(left)
        try:
            lock.acquire(timeout=0)
        except (Timeout, NotImplementedError, OSError):
            continue  # somebody is at work there, or it cannot be known
        if (left / LINES).is_file():
            yield from _held(left, lock)
            return
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)
    sweep(folder)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    lock = _lock(draft)
    with suppress(NotImplementedError):
        lock.acquire()
    yield from _held(draft, lock)


def left_behind(folder: Path, size: int) -> list[Decoded]:
    """What a start that was stopped has decoded of this folder, or one that is at work now; nothing is changed."""
    drafts = [draft for draft in folder.parent.glob(f".{folder.name}.*") if (draft / LINES).is_file()]
    return max((_kept(draft, size) for draft in drafts), key=len, default=[])


def _lock(draft: Path) -> FileLock:
    return FileLock(draft.with_name(f"{draft.name[1:]}.lock"))


def _held(draft: Path, lock: FileLock) -> Iterator[Path]:
    try:
        yield draft
    except (UserError, KeyboardInterrupt):
        raise  # the same command goes on from it
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    else:
        shutil.rmtree(draft, ignore_errors=True)  # where it was not put in its place
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def decode_into(
    draft: Path, images: Images, size: int, workers: int, bar: Progress
) -> Iterator[tuple[list[Decoded], np.ndarray]]:
    """Every image, in windows: what is kept of each, and the pixels, uint8 (W, size, size).

    A window is on the disk before it is given. Those that an earlier start has decoded are not decoded again: they come
    first, as one window without pixels, uint8 (0, size, size).
    """
    with open(draft / PIXELS, "ab") as pixels, open(draft / LINES, "ab") as lines:
        before = _kept(draft, size)
        pixels.truncate(len(before) * size * size)
        lines.truncate(sum(len(_line(one)) for one in before))
        bar.resume(len(before))
        yield before, np.empty((0, size, size), np.uint8)
        for window in _windows(images, size, workers, range(len(before), len(images)), bar):
            pixels_WSS = np.stack([reading.pixels for _, reading in window])
            pixels.write(pixels_WSS.tobytes())
            _to_disk(pixels)
            lines.write(b"".join(_line(one) for one, _ in window))
            _to_disk(lines)
            yield [one for one, _ in window], pixels_WSS


def take_over(draft: Path, images: Images, pixels: np.ndarray, decoded: dict[str, tuple[int, Decoded]]) -> None:
    """Begin a draft with what another store holds, as if an earlier start had been stopped there.

    `decoded`: name -> row of `pixels`, uint8 (., size, size), and what is kept of it. As far as names are known.
    """
    with open(draft / PIXELS, "wb") as into, open(draft / LINES, "wb") as lines:
        for index in range(len(images)):
            if images.name(index) not in decoded:
                return
            row, one = decoded[images.name(index)]
            into.write(pixels[row].tobytes())
            lines.write(_line(one))


def _kept(draft: Path, size: int) -> list[Decoded]:
    """Of images that are whole on the disk, pixels and line."""
    whole = (draft / PIXELS).stat().st_size // (size * size)
    kept = []
    for line in (draft / LINES).read_bytes().split(b"\n")[:-1][:whole]:
        kept.append(Decoded(*json.loads(line)))
    return kept


def _line(one: Decoded) -> bytes:
    return json.dumps(one).encode() + b"\n"


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _windows(
    images: Images, size: int, workers: int, indices: range, bar: Progress
) -> Iterator[list[tuple[Decoded, Reading]]]:
    def one(index: int) -> tuple[Decoded, Reading]:
        try:
            reading = images.read(index, size)
        except UserError as error:
            return Decoded("", "", [], str(error)), Reading(np.zeros((size, size), np.uint8), "")
        pixels = reading.pixels
        if pixels.shape != (size, size) or pixels.dtype != np.uint8:
            raise ValueError(f"{images.name(index)} was read as {pixels.dtype} {pixels.shape}")
        return Decoded(reading.digest, reading.depth, list(reading.doubts)), reading

    most = max(1, min(WINDOW, WINDOW_BYTES // size**2))
    with ThreadPoolExecutor(workers) as pool:
        begun: deque[Future[tuple[Decoded, Reading]]] = deque()
        coming, window, since = iter(indices), list[tuple[Decoded, Reading]](), time.monotonic()

        def begin() -> None:
            begun.extend([pool.submit(one, index) for index in islice(coming, most - len(begun))])

        try:
            begin()
            while begun:
                window.append(begun.popleft().result())
                bar.update()
                begin()
                if len(window) == most or not begun or time.monotonic() - since > WINDOW_SECONDS:
                    yield window
                    window, since = [], time.monotonic()
        finally:
            pool.shutdown(cancel_futures=True)
