"""Copies of one radiograph: identical files, identical pixels, and near copies found by a perceptual hash.

A near copy is the same exposure saved again: re-compressed, resized, its brightness, contrast or gamma changed,
equalised, with noise added, mirrored, or turned into its negative. Two exposures of one patient are not copies, and all
chest radiographs look alike, so the hash only proposes pairs; the likeness of the fine detail (ribs, vessels) decides.

Calibrated at 64 px on 7,517 radiographs of three hospitals (28 million pairs), 300 of them also changed on purpose. All
copies are found after JPEG at quality 10, half the size, brightness 0.6 to 1.3, contrast 1.5, gamma 0.6 to 1.8, noise
of 10 grey levels and as negatives (likeness 0.927 or more), and 98 % after histogram equalisation. Of pairs that are no
copies the most alike reach 0.89 (two children, or one child twice) and 0.85. Not found reliably: images that were once
shrunk to 28 px (half of them are found), turned by 1 degree (80 %), shifted, or cropped by 2 % a side (none).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter1d

SIZE = 64
"""Side of the images that are compared, in pixels; what is below was calibrated at this size."""

MOST = 30_000
"""Images of which a run still compares every two; `data audit` does whatever their number."""

RADIUS = 64
"""Bits of 255 in which the hashes of candidates may differ."""

LIKENESS = 0.92
"""Correlation of the fine detail from which on two images are copies."""

GLANCE = 0.8
"""The same at half the size, prepared once an image: candidates below it are not looked at closely."""

DETAIL = 4.0
"""Standard deviation, in pixels, of the blur that is taken away to leave the fine detail."""

_FLAT = 1.0
"""Standard deviation of the fine detail, in grey levels, below which an image has nothing to compare."""

_BLOCK, _BATCH = 256, 1024
"""Rows of the distance matrix, and pairs whose detail is compared, at a time: they bound the memory."""

Kind = Literal["file", "pixels", "near", "mirrored", "negative"]


@dataclass(frozen=True)
class Link:
    """Images `a` and `b` are copies. `likeness` in 0..1 is that of their fine detail; 1 for identical ones."""

    a: int
    b: int
    kind: Kind
    likeness: float


def find(pixels_NSS: np.ndarray, digests_N: Sequence[str]) -> list[Link]:
    """Links that join all copies among N images, uint8 (N, 64, 64), and no more than that: N - 1 at most.

    Three copies of an image are joined by two links, so that a thousand copies do not make half a million pairs.
    `digests_N` identify the files; "pixels" are other files with the same 64 x 64 pixels.
    """
    if pixels_NSS.shape != (len(digests_N), SIZE, SIZE) or pixels_NSS.dtype != np.uint8:
        raise ValueError(f"pixels {pixels_NSS.dtype} {pixels_NSS.shape}, expected uint8 {len(digests_N), SIZE, SIZE}")
    forest = _Forest(len(digests_N))
    links = []
    identical: dict[Kind, list[object]] = {"file": list(digests_N), "pixels": [image.tobytes() for image in pixels_NSS]}
    for kind, keys_N in identical.items():
        first: dict[object, int] = {}
        for i, key in enumerate(keys_N):
            a = first.setdefault(key, i)
            if forest.join(a, i):
                links.append(Link(a, i, kind, 1.0))
    index_M = np.array(sorted({forest.root(i) for i in range(len(digests_N))}), dtype=np.int64)
    index_M = index_M[_each(_roughness, pixels_NSS[index_M]) >= _FLAT]
    for link in sorted(_near(pixels_NSS[index_M]), key=lambda link: -link.likeness):
        a, b = int(index_M[link.a]), int(index_M[link.b])
        if forest.join(a, b):
            links.append(Link(a, b, link.kind, link.likeness))
    return links


def groups(links: Sequence[Link]) -> list[tuple[int, ...]]:
    """Sets of copies, each ascending, in the order of their first images."""
    members = sorted({i for link in links for i in (link.a, link.b)})
    position = {image: k for k, image in enumerate(members)}
    forest = _Forest(len(members))
    for link in links:
        forest.join(position[link.a], position[link.b])
    found: dict[int, list[int]] = {}
    for image, k in position.items():
        found.setdefault(forest.root(k), []).append(image)
    return [tuple(group) for group in found.values()]


def perceptual_hash(pixels_NSS: np.ndarray) -> np.ndarray:
    """256-bit DCT hash, uint64 (N, 4), of images (N, 64, 64); its first bit is always 0.

    Bit = coefficient above the median of the 16 x 16 lowest frequencies, the mean left out (pHash, Zauner 2010, with
    256 bits in place of 64: of 28 million pairs of radiographs 12,509 were within 8 bits of 64, none within 32 of 256).
    """
    low_NF = dctn(_halved(pixels_NSS), axes=(1, 2), norm="ortho")[:, :16, :16].reshape(-1, 256)
    bits_NF = low_NF > np.median(low_NF[:, 1:], axis=1, keepdims=True)
    bits_NF[:, 0] = False
    return np.packbits(bits_NF, axis=1).view(np.uint64)


def close_pairs(hash_NW: np.ndarray, other_NW: np.ndarray, radius: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of (i, j), i < j, for which hash i and other j differ in at most `radius` bits, or in all but `radius`.

    Every pair is looked at, a block of rows at a time: 25,000 images take two seconds on one core.
    """
    for start in range(0, len(hash_NW), _BLOCK):
        block_BW, rest_MW = hash_NW[start : start + _BLOCK], other_NW[start:]
        distance_BM = np.zeros((len(block_BW), len(rest_MW)), np.uint8)  # 255 bits at most: the first is always 0
        for w in range(hash_NW.shape[1]):
            distance_BM += np.bitwise_count(block_BW[:, w, None] ^ rest_MW[None, :, w])
        i, j = np.nonzero((distance_BM <= radius) | (distance_BM >= 255 - radius))
        later = i < j
        yield i[later] + start, j[later] + start


def likeness(a_NSS: np.ndarray, b_NSS: np.ndarray) -> np.ndarray:
    """Correlation of the fine detail of N pairs of images, -1..1: that of the grey levels or of their ranks.

    The larger one in size: ranks see through gamma and equalisation, grey levels through noise in black borders.
    """
    return _correlation(_details(a_NSS), _details(b_NSS))


def _near(pixels_NSS: np.ndarray) -> Iterator[Link]:
    """Pairs of different images that are copies; more than a forest of them."""
    hash_NW, glance_N2P = _each(perceptual_hash, pixels_NSS), _each(_glances, pixels_NSS)
    for mirrored in (False, True):
        other_NSS = pixels_NSS[:, :, ::-1] if mirrored else pixels_NSS
        other_NW = _each(perceptual_hash, other_NSS) if mirrored else hash_NW
        other_N2P = _each(_glances, other_NSS) if mirrored else glance_N2P
        for i_P, j_P in close_pairs(hash_NW, other_NW, RADIUS):
            for start in range(0, len(i_P), _BATCH):
                i_B, j_B = i_P[start : start + _BATCH], j_P[start : start + _BATCH]
                hopeful_B = np.abs(_correlation(glance_N2P[i_B], other_N2P[j_B])) >= GLANCE
                i_B, j_B = i_B[hopeful_B], j_B[hopeful_B]
                like_B = likeness(pixels_NSS[i_B], other_NSS[j_B])
                for k in np.flatnonzero(np.abs(like_B) >= LIKENESS):
                    kind: Kind = "mirrored" if mirrored else "near"
                    if like_B[k] < 0:
                        kind = "negative"
                    yield Link(int(i_B[k]), int(j_B[k]), kind, float(min(1.0, abs(like_B[k]))))


def _each(function: Callable[[np.ndarray], np.ndarray], images_NSS: np.ndarray) -> np.ndarray:
    """A function of images, applied to a few at a time, which bounds the memory it needs."""
    starts = range(0, max(1, len(images_NSS)), _BATCH)
    return np.concatenate([function(images_NSS[start : start + _BATCH]) for start in starts])


def _glances(images_NSS: np.ndarray) -> np.ndarray:
    return _details(_halved(images_NSS))


def _halved(images_NSS: np.ndarray) -> np.ndarray:
    return np.asarray(images_NSS.reshape(-1, SIZE // 2, 2, SIZE // 2, 2).mean(axis=(2, 4), dtype=np.float32))


def _roughness(images_NSS: np.ndarray) -> np.ndarray:
    return np.asarray(_detail(images_NSS).std(axis=(1, 2)))


def _details(images_NSS: np.ndarray) -> np.ndarray:
    """Fine detail of the grey levels and of their ranks, float32 (N, 2, S * S), each with mean 0 and length 1."""
    detail_N2P = np.stack([_detail(images_NSS), _detail(_ranks(images_NSS))], axis=1)
    detail_N2P = detail_N2P.reshape(len(images_NSS), 2, images_NSS.shape[1] * images_NSS.shape[2])
    detail_N2P -= detail_N2P.mean(axis=2, keepdims=True)
    return np.asarray(detail_N2P / np.maximum(np.linalg.norm(detail_N2P, axis=2, keepdims=True), 1e-6))


def _correlation(a_N2P: np.ndarray, b_N2P: np.ndarray) -> np.ndarray:
    """Of grey levels or of ranks, whichever is larger in size."""
    plain_N, ranks_N = np.einsum("nkp,nkp->kn", a_N2P, b_N2P)
    return np.asarray(np.where(np.abs(plain_N) >= np.abs(ranks_N), plain_N, ranks_N))


def _detail(images_NSS: np.ndarray) -> np.ndarray:
    """Images less their blur, made by two matrix products: ten times faster than a convolution."""
    side = images_NSS.shape[1]
    blur = gaussian_filter1d(np.eye(side, dtype=np.float32), DETAIL * side / SIZE, axis=0)
    values_NSS = images_NSS.astype(np.float32)
    return np.asarray(values_NSS - blur @ values_NSS @ blur.T)


def _ranks(images_NSS: np.ndarray) -> np.ndarray:
    """Each pixel's place, 0 = darkest; equal pixels in reading order."""
    n, height, width = images_NSS.shape
    order_NP = images_NSS.reshape(n, height * width).argsort(axis=1, kind="stable")
    ranks_NP = np.empty(order_NP.shape, np.float32)
    np.put_along_axis(ranks_NP, order_NP, np.arange(height * width, dtype=np.float32)[None], axis=1)
    return ranks_NP.reshape(images_NSS.shape)


class _Forest:
    """Disjoint sets of 0..n-1; the root of a set is its smallest member."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = i = self._parent[self._parent[i]]
        return i

    def join(self, a: int, b: int) -> bool:
        """Whether they were apart."""
        low, high = sorted((self.root(a), self.root(b)))
        self._parent[high] = low
        return low != high
