"""The second, finer test for copies: whether two images agree in their finest detail once one is laid over the other.

Both are compared at 128 pixels. One is moved, turned, stretched and sheared a little until it fits the other (Lucas and
Kanade 1981, in the form of Baker and Matthews 2004, coarse to fine); then their fine detail (ribs, vessels, what is
smaller than 1/30 of the side) is correlated. Copies agree whatever was done to them; of two exposures, even of one
patient, ribs and vessels may lie alike, but what is finer does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import affine_transform

from al_cxr.data.quality.sketches import blur, detail

SIZE = 128
"""Side at which images are compared, in pixels."""

LEVELS = ((32, 3.0, 0.75, 8), (64, 6.0, 1.0, 4), (SIZE, 4.0, 0.7, 3))
"""Coarse to fine: side, the blurs that take away and that smooth, and how often the fit is improved."""

HOPELESS = 0.7
"""Likeness at half the size below which the rest is spared."""

FARTHEST = 0.12
"""Of half the side, by which an image may be moved or stretched."""

_MARGIN = SIZE // 16
"""Pixels at the border that are not compared: a copy that was cropped has none there."""


@dataclass(frozen=True, eq=False)
class Pyramid:
    """Fine detail of one image at each of the `LEVELS`, float32 (S, S)."""

    levels: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, image_SS: np.ndarray) -> Pyramid:
        """Of an image, uint8 (S, S), of any size."""
        levels = []
        for side, slow, smooth, _ in reversed(LEVELS):
            if image_SS.shape != (side, side):
                image_SS = np.asarray(Image.fromarray(image_SS).resize((side, side), Image.Resampling.LANCZOS))
            blur_SS = blur(side, smooth)
            levels.append(_standard(blur_SS @ detail(image_SS[None], slow)[0] @ blur_SS.T))
        return cls(tuple(reversed(levels)))

    def changed(self, mirrored: bool, negative: bool) -> Pyramid:
        levels = self.levels
        if mirrored:
            levels = tuple(level_SS[:, ::-1] for level_SS in levels)
        return Pyramid(tuple(-level_SS for level_SS in levels) if negative else levels)


def likeness(a: Pyramid, b: Pyramid) -> float:
    """Correlation, -1..1, of the finest detail of two images after the second was fitted to the first.

    Where they already differ at half the size, it is that of half the size.
    """
    fit_23 = np.zeros((2, 3))
    found = 0.0
    for (_, _, _, times), a_SS, b_SS in zip(LEVELS, a.levels, b.levels, strict=True):
        fit_23 = _fitted(a_SS, b_SS, fit_23, times)
        margin = _MARGIN * len(a_SS) // SIZE
        inside = slice(margin, -margin)
        warped_SS = _warped(b_SS, fit_23)
        found = max(_correlation(a_SS[inside, inside], x[inside, inside]) for x in (warped_SS, b_SS))
        if len(a_SS) == SIZE // 2 and found < HOPELESS:
            break
    return found


def _fitted(a_SS: np.ndarray, b_SS: np.ndarray, fit_23: np.ndarray, times: int) -> np.ndarray:
    """Gauss-Newton steps towards the least squared difference of `a` and `b` warped."""
    half = (len(a_SS) - 1) / 2
    y_S1, x_1S = np.ogrid[-1 : 1 : len(a_SS) * 1j, -1 : 1 : len(a_SS) * 1j]
    for _ in range(times):
        warped_SS = _standard(_warped(b_SS, fit_23))
        down_SS, right_SS = (half * slope_SS for slope_SS in np.gradient(warped_SS))
        moves = [down_SS * y_S1, down_SS * x_1S, down_SS, right_SS * y_S1, right_SS * x_1S, right_SS]
        moves_MP = np.stack(moves).reshape(6, a_SS.size)
        square_MM = moves_MP @ moves_MP.T
        square_MM[np.diag_indices(6)] *= 1.001
        square_MM[np.diag_indices(6)] += 1e-6
        step_23 = np.linalg.solve(square_MM, moves_MP @ (a_SS - warped_SS).ravel()).reshape(2, 3)
        fit_23 = np.clip(fit_23 + step_23, -FARTHEST, FARTHEST)
        if np.abs(step_23).max() * half < 0.03:  # pixels
            break
    return fit_23


def _warped(b_SS: np.ndarray, fit_23: np.ndarray) -> np.ndarray:
    """`b` as it is seen at (1 + fit) times each place; places are -1..1 from edge to edge, rows before columns."""
    half = (len(b_SS) - 1) / 2
    matrix_22 = np.eye(2) + fit_23[:, :2]
    offset_2 = half * (fit_23[:, 2] + 1 - matrix_22.sum(axis=1))
    return np.asarray(affine_transform(b_SS, matrix_22, offset_2, order=1, mode="nearest"))


def _standard(values_SS: np.ndarray) -> np.ndarray:
    return np.asarray((values_SS - values_SS.mean()) / max(float(values_SS.std()), 1e-2), np.float32)


def _correlation(a_SS: np.ndarray, b_SS: np.ndarray) -> float:
    return float(np.mean(_standard(a_SS) * _standard(b_SS), dtype=np.float64))
