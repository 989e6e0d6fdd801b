"""Pairs of images whose sketches are alike, without comparing every two: how long it takes grows as N log N.

Each sketch becomes 1,024 bits, the sides of random planes on which it lies: the share in which two differ is the angle
between them (Charikar 2002). Up to `EVERY` images every two are compared by their bits. Beyond, the images are sorted
by their bits 64 times, from another bit on each time, and each is compared with those that stand beside it and agree in
the first bits (Ravichandran et al. 2005). That is approximate: benchmarks/copies.py measures which share of the copies
it finds that the comparison of every two finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from al_cxr.data.quality.sketches import changed, without

EVERY = 4096
"""Images of which every two are compared."""

LISTS, WORD = 64, 16
"""Sorted lists, and the bits by which one begins later than the one before it."""

DISTANCE = 215
"""Bits of 1,024 in which sketches may differ: a correlation of 0.79."""

NEIGHBOURS = 8
"""On each side, with which an image is compared in each list."""

WAYS = ((False, False), (False, True), (True, False), (True, True))
"""In which one image may be a copy of another: whether it is mirrored, and whether it is a negative."""

SEED = 0
"""Of the random planes."""

_ROWS = 4096
"""Images whose neighbours are looked up at a time: bounds the memory."""


@dataclass(frozen=True)
class Pairs:
    """Images i < j, each (P,), that are alike once j is mirrored or made a negative of where that is said."""

    i_P: np.ndarray
    j_P: np.ndarray
    mirrored: bool
    negative: bool
    done: float
    """Share of the search that is done with them."""


def candidates(
    sketches_NK: np.ndarray, common_K: np.ndarray, ways: Sequence[tuple[bool, bool]] = WAYS
) -> Iterator[Pairs]:
    """Pairs of N sketches that may be copies in these ways, (mirrored, negative); one may come several times. Of empty
    sketches there are none."""
    index_M = np.flatnonzero(sketches_NK.any(axis=1))
    search = _every_two if len(index_M) <= EVERY else _neighbours
    words_MW = _words(sketches_NK[index_M], common_K)
    for number, (mirrored, negative) in enumerate(ways):
        other_MW = words_MW
        if mirrored or negative:
            other_MW = _words(changed(sketches_NK[index_M], mirrored, negative), common_K)
        for i_P, j_P, done in search(words_MW, other_MW):
            later_P = i_P < j_P
            i_P, j_P = index_M[i_P[later_P]], index_M[j_P[later_P]]
            yield Pairs(i_P, j_P, mirrored, negative, (number + done) / len(ways))


def _words(sketches_NK: np.ndarray, common_K: np.ndarray) -> np.ndarray:
    """Bits of sketches in words, uint16 (N, 64)."""
    planes_KB = np.random.default_rng(SEED).normal(size=(sketches_NK.shape[1], LISTS * WORD)).astype(np.float32)
    words_NW = np.empty((len(sketches_NK), LISTS), np.uint16)
    for start in range(0, len(sketches_NK), _ROWS):
        rows = slice(start, start + _ROWS)
        sides_RB = without(sketches_NK[rows], common_K) @ planes_KB > 0
        words_NW[rows] = np.packbits(sides_RB, axis=1).view(np.uint16)
    return words_NW


def _every_two(words_NW: np.ndarray, other_NW: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    words_NV, other_NV = words_NW.view(np.uint64), other_NW.view(np.uint64)
    for start in range(0, len(words_NV), 256):
        block_BV, rest_MV = words_NV[start : start + 256], other_NV[start:]
        distance_BM = np.zeros((len(block_BV), len(rest_MV)), np.uint16)
        for v in range(words_NV.shape[1]):
            distance_BM += np.bitwise_count(block_BV[:, v, None] ^ rest_MV[None, :, v])
        i_P, j_P = np.nonzero(distance_BM <= DISTANCE)
        yield i_P + start, j_P + start, (start + len(block_BV)) / len(words_NV)


def _neighbours(words_NW: np.ndarray, other_NW: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """A word agrees by chance for a few images, however many there are: its first log2(N) - 2 bits are looked at."""
    agreeing = np.uint64(64 - min(WORD, int(np.log2(len(words_NW))) - 2))
    words_NV, other_NV = words_NW.view(np.uint64), other_NW.view(np.uint64)
    for first in range(LISTS):
        place_N = _places(words_NW, first)
        order_N = np.argsort(place_N, kind="stable")
        sorted_N, asked_N = place_N[order_N], _places(other_NW, first)
        for start in range(0, len(words_NW), _ROWS):
            asked_R = asked_N[start : start + _ROWS]
            at_R = np.searchsorted(sorted_N, asked_R)
            for beside in range(-NEIGHBOURS, NEIGHBOURS):
                at = np.clip(at_R + beside, 0, len(sorted_N) - 1)
                j_P = np.flatnonzero((sorted_N[at] ^ asked_R) >> agreeing == 0)
                i_P, j_P = order_N[at[j_P]], j_P + start
                distance_P = np.bitwise_count(words_NV[i_P] ^ other_NV[j_P]).sum(axis=1, dtype=np.uint16)
                close_P = distance_P <= DISTANCE
                yield i_P[close_P], j_P[close_P], first / LISTS


def _places(words_NW: np.ndarray, first: int) -> np.ndarray:
    """Four words from a word on as one number, uint64 (N,): where an image stands in a list."""
    place_N = np.zeros(len(words_NW), np.uint64)
    for w in range(first, first + 4):
        place_N = place_N << np.uint64(WORD) | words_NW[:, w % LISTS]
    return place_N
