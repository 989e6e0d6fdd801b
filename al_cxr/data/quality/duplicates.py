"""Copies of one radiograph: identical files, identical pixels, and near copies, which two tests have to agree on.

A near copy is the same exposure saved again: re-compressed, resized, its brightness, contrast or gamma changed, with
noise or a marker added, cropped or turned a little, mirrored, or turned into its negative. Two exposures of one patient
are not copies, and all chest radiographs look alike. So the first test, of sketches of 16 x 16 numbers, only proposes
pairs (`sketches`, `candidates`); the second, of the fine detail at 128 pixels after one image was laid over the other,
decides (`alignment`). What passes the first alone is *similar, not called a copy*.

How often either is wrong, and after which changes copies are found, is measured by benchmarks/copies.py; the thresholds
below were chosen on half of its patients and judged on the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from al_cxr.core.progress import Progress
from al_cxr.data.quality import alignment, sketches
from al_cxr.data.quality.candidates import Pairs, candidates

SIZE = sketches.SIZE
"""Side of the images that are sketched, in pixels. Of smaller ones only identical pixels are looked for: enlarged, they
have no fine detail, and all would look like copies."""

FINE_SIZE = alignment.SIZE
"""Side at which the fine detail is compared, in pixels."""

COARSE = 0.90
"""Likeness of two sketches from which on two images are similar."""

FINE = 0.91
"""Likeness of the fine detail from which on similar images are copies."""

KEPT = 256
"""Images whose detail is kept for the next comparison: 22 MB."""

Kind = Literal["file", "pixels", "near", "mirrored", "negative"]


@dataclass(frozen=True)
class Link:
    """Images `a` and `b` are copies. `likeness` in 0..1 is that of their fine detail; 1 for identical ones."""

    a: int
    b: int
    kind: Kind
    likeness: float


@dataclass(frozen=True)
class Similar:
    """Images `a` and `b` passed the first test and not the second: `likeness` of their fine detail is below `FINE`."""

    a: int
    b: int
    likeness: float


@dataclass(frozen=True)
class Found:
    """Links that join all copies and no more than that (N - 1 at most), and pairs that are similar only.

    Three copies of an image are joined by two links, so that a thousand copies do not make half a million pairs.
    """

    links: tuple[Link, ...]
    similar: tuple[Similar, ...]


def find(
    digests_N: Sequence[str],
    keys_N: Sequence[str],
    sketches_NK: np.ndarray,
    read: Callable[[int], np.ndarray],
    progress: bool = False,
) -> Found:
    """Copies among N images, from the digests of their files, the `key` of their pixels and their sketches.

    `read` gives an image again, uint8 (S, S), for the second test: the larger the better, up to `FINE_SIZE`.
    """
    count = len(digests_N)
    if len(keys_N) != count or len(sketches_NK) != count:
        raise ValueError(f"{count} digests, {len(keys_N)} keys and {len(sketches_NK)} sketches of the same images")
    forest = _Forest(count)
    links = [*_identical(digests_N, "file", forest), *_identical(keys_N, "pixels", forest)]
    pyramid = lru_cache(KEPT)(lambda index: alignment.Pyramid.of(read(index)))
    common_K = sketches.common(sketches_NK)
    refused: dict[tuple[int, int], float] = {}
    with Progress(count, "comparing", shown=progress) as bar:
        for pairs in candidates(sketches_NK, common_K):
            for i, j in _alike(pairs, sketches_NK, common_K, lambda i, j: (i, j) in refused or forest.joined(i, j)):
                if forest.joined(i, j):
                    continue
                like = alignment.likeness(pyramid(i), pyramid(j).changed(pairs.mirrored, pairs.negative))
                if like < FINE:
                    refused[i, j] = max(like, refused.get((i, j), -1.0))
                elif forest.join(i, j):
                    links.append(Link(i, j, _kind(pairs), min(1.0, like)))
            bar.update(int(pairs.done * count) - bar.done)
        bar.update(count - bar.done)
    similar = [Similar(a, b, like) for (a, b), like in refused.items() if not forest.joined(a, b)]
    return Found(tuple(links), tuple(sorted(similar, key=lambda pair: -pair.likeness)))


def identical(digests_N: Sequence[str], keys_N: Sequence[str]) -> list[Link]:
    """Links that join identical files and identical pixels, for images that are too small for more."""
    forest = _Forest(len(digests_N))
    return [*_identical(digests_N, "file", forest), *_identical(keys_N, "pixels", forest)]


def key(image_SS: np.ndarray) -> str:
    """Equal for images with equal pixels alone."""
    return hashlib.blake2b(np.ascontiguousarray(image_SS).tobytes(), digest_size=16).hexdigest()


def groups(links: Iterable[Link]) -> list[tuple[int, ...]]:
    """Sets of copies, each ascending, in the order of their first images."""
    links = list(links)
    members = sorted({i for link in links for i in (link.a, link.b)})
    position = {image: k for k, image in enumerate(members)}
    forest = _Forest(len(members))
    for link in links:
        forest.join(position[link.a], position[link.b])
    found: dict[int, list[int]] = {}
    for image, k in position.items():
        found.setdefault(forest.root(k), []).append(image)
    return [tuple(group) for group in found.values()]


def _alike(
    pairs: Pairs, sketches_NK: np.ndarray, common_K: np.ndarray, settled: Callable[[int, int], bool]
) -> Iterator[tuple[int, int]]:
    """The pairs that pass the first test; those that are settled by the time are not looked at."""
    for start in range(0, len(pairs.i_P), sketches.BATCH):
        batch = slice(start, start + sketches.BATCH)
        both = zip(pairs.i_P[batch].tolist(), pairs.j_P[batch].tolist(), strict=True)
        open_P2 = np.array([pair for pair in both if not settled(*pair)], np.int64).reshape(-1, 2)
        other_PK = sketches.changed(sketches_NK[open_P2[:, 1]], pairs.mirrored, pairs.negative)
        alike_P = sketches.likeness(sketches_NK[open_P2[:, 0]], other_PK, common_K) >= COARSE
        yield from map(tuple, open_P2[alike_P].tolist())


def _kind(pairs: Pairs) -> Kind:
    if pairs.negative:
        return "negative"
    return "mirrored" if pairs.mirrored else "near"


def _identical(names_N: Sequence[str], kind: Kind, forest: _Forest) -> list[Link]:
    first: dict[str, int] = {}
    return [
        Link(a, i, kind, 1.0)
        for i, name in enumerate(names_N)
        if (a := first.setdefault(name, i)) != i and forest.join(a, i)
    ]


class _Forest:
    """Disjoint sets of 0..n-1; the root of a set is its smallest member."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = i = self._parent[self._parent[i]]
        return i

    def joined(self, a: int, b: int) -> bool:
        return self.root(a) == self.root(b)

    def join(self, a: int, b: int) -> bool:
        """Whether they were apart."""
        low, high = sorted((self.root(a), self.root(b)))
        self._parent[high] = low
        return low != high
