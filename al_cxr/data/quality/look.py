"""The one pass of an audit over all images: what is kept of each, so that memory does not hold their pixels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.progress import Progress
from al_cxr.data.dataset import Images
from al_cxr.data.decode import Reading
from al_cxr.data.doubts import doubt_lines
from al_cxr.data.quality.duplicates import SIZE, key
from al_cxr.data.quality.odd import Odd, nothing_to_see
from al_cxr.data.quality.sketches import sketch
from al_cxr.data.quality.usual import brightness, features

WINDOW = 512
"""Images that are in memory together."""


@dataclass(frozen=True, eq=False)
class Looked:
    """M readable images of N: about 1.5 KB of each, whatever their size."""

    images: Images
    index_M: np.ndarray
    digests_M: list[str]
    keys_M: list[str]
    """Equal for equal pixels at 64 px alone."""
    sketches_MK: np.ndarray
    empty_M: list[str]
    """Why there is nothing to see on an image; "" where there is something."""
    features_MK: np.ndarray
    brightness_MF: np.ndarray
    unreadable: tuple[Odd, ...]
    doubts: tuple[str, ...]
    """What had to be guessed, in words."""

    def read(self, m: int, size: int) -> np.ndarray:
        """The pixels of a readable image once more, uint8 (size, size)."""
        return self.images.read(int(self.index_M[m]), size).pixels


def look(images: Images, workers: int, progress: bool) -> Looked:
    """Decode every image once, in that many threads. An image that cannot be read is a finding and not an error."""
    bad: list[Odd] = []
    doubts: list[tuple[str, str]] = []
    index_M, digests_M, keys_M, empty_M = list[int](), list[str](), list[str](), list[str]()
    none_NSS = np.zeros((0, SIZE, SIZE), np.uint8)
    parts = [(sketch(none_NSS), features(none_NSS), brightness(none_NSS))]

    def one(index: int) -> Reading | UserError:
        try:
            return images.read(index, SIZE)
        except UserError as error:
            return error

    with ThreadPoolExecutor(workers) as pool, Progress(len(images), "reading", shown=progress) as bar:
        for start in range(0, len(images), WINDOW):
            pixels = []
            for index, result in enumerate(pool.map(one, range(start, min(start + WINDOW, len(images)))), start):
                bar.update()
                if isinstance(result, UserError):
                    bad.append(Odd(index, images.name(index), str(result)))
                    continue
                pixels.append(result.pixels)
                index_M.append(index)
                digests_M.append(result.digest)
                doubts += [(images.name(index), doubt) for doubt in result.doubts]
            if pixels:
                pixels_BSS = np.stack(pixels)
                keys_M += [key(image_SS) for image_SS in pixels_BSS]
                empty_M += nothing_to_see(pixels_BSS)
                parts.append((sketch(pixels_BSS), features(pixels_BSS), brightness(pixels_BSS)))
    sketches_MK, features_MK, brightness_MF = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Looked(
        images,
        np.array(index_M, np.int64),
        digests_M,
        keys_M,
        sketches_MK,
        empty_M,
        features_MK,
        brightness_MF,
        tuple(bad),
        tuple(doubt_lines(doubts, len(images))),
    )
