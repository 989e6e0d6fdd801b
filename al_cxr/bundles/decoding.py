"""The inputs of a bundle as pixels: decoded by threads, a fixed number at a time, the next while one is used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_cxr.bundles.inputs import Inputs
from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.decode import Reading
from al_cxr.data.quality.odd import ImageCheck, check_file
from al_cxr.data.series import Series
from al_cxr.data.sources.files import Root

CHUNK = 256
"""Images decoded ahead and then noted together: bounds the memory, and what a kill can lose."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some inputs, N of them readable."""

    names: list[str]
    pixels_NSS: np.ndarray
    """uint8."""
    bad: list[tuple[str, str]]
    """(name, reason) of those that cannot be read."""
    doubts: list[tuple[str, str]]
    """(name, what had to be guessed) of readable ones, for `al_cxr.data.doubts.told`."""
    files: list[ImageCheck]
    """What is odd about the files of readable ones, where their pixels alone do not tell."""
    digests: list[str]
    """Of every file, good or bad, in the order of the inputs, as `digest_of` gives it."""

    def __len__(self) -> int:
        return len(self.names) + len(self.bad)


def decoded(inputs: Inputs, size: int, workers: int, start: int) -> Generator[Chunk, None, None]:
    """Chunks of the inputs from `start` on, at size x size pixels. While one is used, the next is decoded."""
    root = Root(inputs.root, inputs.follow_links)
    series = Series(len(inputs.names), lambda i: _safe(root, inputs.names[i]))

    def one(name: str) -> _Good | _Bad:
        result = _result(name, lambda: decode.read_file(_safe(root, name), name), size, series)
        return _Bad(result.reason, digest_of(root, name)) if isinstance(result, _Bad) else result

    def submit(at: int) -> list[tuple[str, Future[_Good | _Bad]]]:
        return [(name, pool.submit(one, name)) for name in inputs.names[at : at + CHUNK]]

    with ThreadPoolExecutor(workers) as pool:
        ahead = submit(start)
        try:
            for at in range(start, len(inputs.names), CHUNK):
                now, ahead = ahead, submit(at + CHUNK)
                yield _chunk([(name, future.result()) for name, future in now], size)
        finally:
            for _, future in ahead:
                future.cancel()


def decoded_one_by_one(
    names: Sequence[str], files: Sequence[Path | None], read: Callable[[int], bytes], size: int, workers: int
) -> Iterator[Chunk]:
    """Chunks of images that were named one by one: `read(i)` gives the bytes of image i, whose path is in `files` where
    it has one."""
    known = [path for path in files if path is not None]
    series = Series(len(known), lambda i: known[i])
    with ThreadPoolExecutor(workers) as pool:
        for at in range(0, len(names), CHUNK):
            some = range(at, min(at + CHUNK, len(names)))
            results = pool.map(lambda i: _result(names[i], lambda: read(i), size, series), some)
            yield _chunk([(names[i], result) for i, result in zip(some, results, strict=True)], size)


def unchanged(inputs: Inputs, digests: list[str], workers: int) -> int:
    """How many whole chunks of the inputs, from the first on, still are the files of these digests."""
    root = Root(inputs.root, inputs.follow_links)

    whole = 0
    with ThreadPoolExecutor(workers) as pool:
        for at in range(0, len(digests), CHUNK):
            there = slice(at, at + CHUNK)
            if list(pool.map(lambda name: digest_of(root, name), inputs.names[there])) != digests[there]:
                break
            whole += 1
    return whole


def digest_of(root: Root, name: str) -> str:
    """Hex SHA-256 of a file; "" where it cannot be read."""
    try:
        return hashlib.sha256(decode.read_file(_safe(root, name), name)).hexdigest()
    except (FileNotFoundError, UserError):
        return ""


def _safe(root: Root, name: str) -> Path:
    """A file, looked at again: since it was listed it may have become a link or a pipe."""
    root.stat(name)
    return root.file(name)


@dataclass(frozen=True)
class _Good:
    reading: Reading
    file: ImageCheck

    @property
    def digest(self) -> str:
        return self.reading.digest


@dataclass(frozen=True)
class _Bad:
    reason: str
    digest: str = ""


def _result(name: str, data: Callable[[], bytes], size: int, series: Series) -> _Good | _Bad:
    """One image, decoded, or why it cannot be."""
    try:
        content = data()
        reading = decode.read(content, size, name, series.bits)
        return _Good(reading, ImageCheck("") if reading.is_dicom else check_file(content))
    except FileNotFoundError:
        return _Bad("no such file")
    except UserError as error:
        return _Bad(str(error).removeprefix(f"{name}: "))


def _chunk(results: list[tuple[str, _Good | _Bad]], size: int) -> Chunk:
    good = [(name, result) for name, result in results if isinstance(result, _Good)]
    pixels_NSS = np.stack([r.reading.pixels for _, r in good]) if good else np.empty((0, size, size), np.uint8)
    return Chunk(
        names=[name for name, _ in good],
        pixels_NSS=pixels_NSS,
        bad=[(name, bad.reason) for name, bad in results if isinstance(bad, _Bad)],
        doubts=[(name, doubt) for name, result in good for doubt in result.reading.doubts],
        files=[result.file for _, result in good],
        digests=[result.digest for _, result in results],
    )
