"""The plane in which phantoms are drawn: formulas of the pixel centres, and sums of Gaussian spots.

Patient frame: x to the image's right (the patient's left), y down, 1 = half the width of an image taken with zoom 1.
Whatever is drawn is a function of (x, y), so the same patient looks the same at every resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pose:
    """How the patient stands before the detector: image = patient turned (radians), stretched, zoomed, shifted."""

    rotation: float = 0.0
    zoom: float = 1.0
    aspect: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Blobs:
    """M round Gaussian spots in the patient frame; vessels, nodules, infiltrates and letters are made of them."""

    x_M: np.ndarray
    y_M: np.ndarray
    sigma_M: np.ndarray
    amplitude_M: np.ndarray

    @staticmethod
    def of(*parts: Blobs) -> Blobs:
        """All spots of several."""
        fields = ("x_M", "y_M", "sigma_M", "amplitude_M")
        return Blobs(*(np.concatenate([getattr(p, f) for p in parts] or [np.empty(0)]) for f in fields))

    @staticmethod
    def chain(x: np.ndarray, y: np.ndarray, sigma: float, amplitude: float) -> Blobs:
        """A line of even height through the given points: spots two sigma apart ripple by less than 2 %."""
        length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        at = np.linspace(0, length[-1], max(2, int(np.ceil(length[-1] / (2 * sigma))) + 1))
        full = np.ones_like(at)
        return Blobs(np.interp(at, length, x), np.interp(at, length, y), sigma * full, 0.8 * amplitude * full)

    def scaled(self, factor: float) -> Blobs:
        return Blobs(self.x_M, self.y_M, self.sigma_M, self.amplitude_M * factor)


class Grid:
    """The pixel centres of a size x size image in the patient frame."""

    def __init__(self, size: int, pose: Pose) -> None:
        self.size, self.pose = size, pose
        self.scale_x, self.scale_y = 1 / (pose.zoom * pose.aspect), pose.aspect / pose.zoom
        self.axis = ((np.arange(size) + 0.5) * (2 / size) - 1).astype(np.float32)
        self.cos, self.sin = float(np.cos(pose.rotation)), float(np.sin(pose.rotation))
        u, v = self.axis[None, :] * self.scale_x, self.axis[:, None] * self.scale_y
        self.x = np.asarray(self.cos * u - self.sin * v - pose.shift[0], np.float32)
        self.y = np.asarray(self.sin * u + self.cos * v - pose.shift[1], np.float32)

    def rows(self, top: float, bottom: float) -> slice:
        """The rows that meet top <= y <= bottom: most of the picture needs no rib computed."""
        first, last = self.y[:, [0, -1]].max(axis=1), self.y[:, [0, -1]].min(axis=1)
        return slice(int(np.searchsorted(first, top)), int(np.searchsorted(last, bottom, side="right")))

    def blobs(self, spots: Blobs) -> np.ndarray:
        """Sum of the spots, float32 (size, size); each is cut off at 4 sigma.

        Added up window by window and not as one matrix product, whose bits and speed would depend on BLAS's threads.
        """
        n = self.size
        dx, dy = spots.x_M + self.pose.shift[0], spots.y_M + self.pose.shift[1]
        x_M = ((self.cos * dx + self.sin * dy) / self.scale_x + 1) * (n / 2) - 0.5
        y_M = ((self.cos * dy - self.sin * dx) / self.scale_y + 1) * (n / 2) - 0.5
        sx_M, sy_M = spots.sigma_M * (n / 2 / self.scale_x), spots.sigma_M * (n / 2 / self.scale_y)
        size_M = np.maximum(np.log2(4 * np.maximum(sx_M, sy_M)), 1)
        reach_M = np.ceil(np.exp2(np.ceil(2 * size_M) / 2)).astype(int)  # few sizes, so that few windows are stacked
        seen_M = (np.abs(x_M - n / 2) < n / 2 + reach_M) & (np.abs(y_M - n / 2) < n / 2 + reach_M)
        total = np.zeros((n, n), np.float32)
        amplitude_M = spots.amplitude_M.astype(np.float32)
        for reach in np.unique(reach_M[seen_M]):
            m = seen_M & (reach_M == reach)
            dense = 8 * reach >= n  # adding whole rows and columns is then cheaper than scattering windows
            if dense:
                ix = iy = np.arange(n)[None, :]
            else:
                window = np.arange(-reach, reach + 1)
                ix, iy = (np.rint(c[m]).astype(int)[:, None] + window for c in (x_M, y_M))
            wx = np.exp(-0.5 * np.square(((ix - x_M[m, None]) / sx_M[m, None]).astype(np.float32)))
            wy = np.exp(-0.5 * np.square(((iy - y_M[m, None]) / sy_M[m, None]).astype(np.float32)))
            wy *= amplitude_M[m, None]
            if dense:
                total += np.einsum("my,mx->yx", wy, wx)
            else:
                pad = 2 * reach + 1  # windows of spots outside still fit
                side = n + 2 * pad
                at = ((iy + pad) * side)[:, :, None] + (ix + pad)[:, None, :]
                canvas = np.bincount(at.ravel(), (wy[:, :, None] * wx[:, None, :]).ravel(), side * side)
                total += canvas.reshape(side, side)[pad:-pad, pad:-pad].astype(np.float32)
        return total


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Soft step from 0 to 1."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def dome(x: np.ndarray, y: np.ndarray, a: float, b: float) -> np.ndarray:
    """Path through an ellipsoid with the half axes a and b, 1 in its middle, 0 outside."""
    return np.asarray(np.sqrt(np.maximum(0, 1 - np.square(x / a) - np.square(y / b))))
