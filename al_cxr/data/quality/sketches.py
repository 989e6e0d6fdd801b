"""Sketches: what the first, coarse test for copies knows of an image, 16 x 16 numbers that few changes of it alter.

An image of 64 pixels is turned into ranks (brightness, contrast, gamma and equalisation leave them alone), its slow
shades are taken away, what is left is divided by its local strength, blurred, and thinned to 16 x 16. The sketch of a
mirrored image is the mirrored sketch, that of a negative the negative one.

All chests look alike, and so do their sketches: where many are compared, most of their mean is taken away first. Two
sketches are then compared as if one had been moved, turned or stretched a little (Simard et al. 1993, tangent
distance): copies that were cropped by 2 % or turned by 2 degrees pass, those of other patients hardly ever.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d

SIZE = 64
"""Side of the images that sketches are made of, in pixels."""

SIDE = 16
"""Side of a sketch."""

SLOW, FAST = 4.0, 1.5
"""Standard deviations in pixels of two blurs: what the first leaves is taken away, and the second thins the rest."""

NOISE = 4.0
"""Variance of ranks (of 0..255) below which what is seen is called noise and not made stronger."""

COMMON = 0.8
"""Share of the mean sketch that is taken away from each where there are many, and less where there are few: where all
are copies of one, something of it has to be left."""

FEW = 1000
"""Images of which half of that share is taken away."""

ROUGH = 1.0
"""Standard deviation of the fine detail in grey levels, below which an image has nothing to compare."""

BATCH = 512
"""Images sketched, and pairs compared, at a time: bounds the memory."""

_RIDGE = 1e-3
"""Of the mean square of what a sketch may move by, which keeps it from moving far."""


def sketch(pixels_NSS: np.ndarray) -> np.ndarray:
    """Sketches, float16 (N, 256) of length 1, of images, uint8 (N, 64, 64); all 0 where there is nothing to compare."""
    parts = [_sketch(pixels_NSS[start : start + BATCH]) for start in range(0, len(pixels_NSS), BATCH)]
    return np.concatenate(parts) if parts else np.zeros((0, SIDE**2), np.float16)


def common(sketches_NK: np.ndarray) -> np.ndarray:
    """What is taken away from each of N sketches, (256,)."""
    n = max(1, len(sketches_NK))
    mean_K = sketches_NK.sum(axis=0, dtype=np.float64) / n
    return np.asarray(COMMON * n / (n + FEW) * mean_K, np.float32)


def without(sketches_NK: np.ndarray, common_K: np.ndarray) -> np.ndarray:
    """Sketches without what is common to all, float32 of length 1."""
    return unit(sketches_NK.astype(np.float32) - common_K)


def changed(sketches_NK: np.ndarray, mirrored: bool, negative: bool) -> np.ndarray:
    """The sketches of mirrored images, of negatives, or of both."""
    if mirrored:
        sketches_NK = sketches_NK.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(-1, SIDE**2)
    return -sketches_NK if negative else sketches_NK


def likeness(a_NK: np.ndarray, b_NK: np.ndarray, common_K: np.ndarray) -> np.ndarray:
    """Correlation, -1..1, of N pairs of sketches after the first of each was moved, turned and stretched a little so
    that it fits the second best."""
    starts = range(0, len(a_NK), BATCH)
    parts = [_moved(a_NK[start : start + BATCH], b_NK[start : start + BATCH], common_K) for start in starts]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def unit(values_NK: np.ndarray) -> np.ndarray:
    return np.asarray(values_NK / np.maximum(np.linalg.norm(values_NK, axis=1, keepdims=True), 1e-6))


@lru_cache
def blur(side: int, deviation: float) -> np.ndarray:
    """(side, side): `blur @ image @ blur.T` is the image blurred, ten times faster than a convolution."""
    return np.asarray(gaussian_filter1d(np.eye(side, dtype=np.float32), deviation, axis=0, mode="nearest"))


def detail(pixels_NSS: np.ndarray, slow: float) -> np.ndarray:
    """Ranks of the grey levels without their slow shades, divided by their local strength, float32 (N, S, S)."""
    blur_SS = blur(pixels_NSS.shape[1], slow)
    ranks_NSS = _ranks(pixels_NSS)
    fine_NSS = ranks_NSS - blur_SS @ ranks_NSS @ blur_SS.T
    return np.asarray(fine_NSS / np.sqrt(blur_SS @ (fine_NSS * fine_NSS) @ blur_SS.T + NOISE))


def _sketch(pixels_NSS: np.ndarray) -> np.ndarray:
    low_SS, high_SS, step = blur(SIZE, SLOW), blur(SIZE, FAST), SIZE // SIDE
    thin_TS = (high_SS[step // 2 - 1 :: step] + high_SS[step // 2 :: step]) / 2
    sketches_NK = unit((thin_TS @ detail(pixels_NSS, SLOW) @ thin_TS.T).reshape(-1, SIDE**2))
    grey_NSS = pixels_NSS.astype(np.float32)
    rough_N = (grey_NSS - low_SS @ grey_NSS @ low_SS.T).std(axis=(1, 2)) >= ROUGH
    return np.asarray(sketches_NK * rough_N[:, None], np.float16)


def _ranks(pixels_NSS: np.ndarray) -> np.ndarray:
    """Share of the image that is darker than each pixel, with half of what is equal to it, times 255."""
    n, area = len(pixels_NSS), pixels_NSS[0].size
    level_NSS = pixels_NSS + 256 * np.arange(n)[:, None, None]
    count_NG = np.bincount(level_NSS.ravel(), minlength=256 * n).reshape(n, 256)
    rank_NG = (count_NG.cumsum(axis=1) - count_NG / 2) * (255 / area)
    return np.asarray(rank_NG.ravel().astype(np.float32)[level_NSS])


def _moved(a_NK: np.ndarray, b_NK: np.ndarray, common_K: np.ndarray) -> np.ndarray:
    a_NSS, b_NK1 = a_NK.astype(np.float32).reshape(-1, SIDE, SIDE), b_NK.astype(np.float32)[:, :, None]
    x_1S = np.linspace(-1, 1, SIDE)[None]
    y_S1 = x_1S.T
    down_NSS, right_NSS = (np.asarray(slope_NSS) for slope_NSS in np.gradient(a_NSS, axis=(1, 2)))
    moves: list[np.ndarray] = [
        down_NSS,
        right_NSS,
        down_NSS * y_S1,
        down_NSS * x_1S,
        right_NSS * y_S1,
        right_NSS * x_1S,
        a_NSS,
    ]
    moves_NKM = np.stack(moves, axis=-1).reshape(len(a_NK), SIDE**2, len(moves)).astype(np.float32)
    square_NMM = moves_NKM.transpose(0, 2, 1) @ moves_NKM
    ridge_N = _RIDGE * np.trace(square_NMM, axis1=1, axis2=2) / len(moves)
    square_NMM += np.maximum(ridge_N, 1e-9)[:, None, None] * np.eye(len(moves), dtype=np.float32)
    fitted_NK = (moves_NKM @ np.linalg.solve(square_NMM, moves_NKM.transpose(0, 2, 1) @ b_NK1))[:, :, 0]
    return np.asarray((unit(fitted_NK - common_K) * unit(b_NK1[:, :, 0] - common_K)).sum(axis=1))
