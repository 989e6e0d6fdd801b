"""From a thorax to the grey levels of a radiograph.

Beer-Lambert attenuation, focal blur, scatter, quantum noise, contrast evened out, film curve, collimator.
Attenuation is the dimensionless exponent (mu times path) of exp(-attenuation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from al_cxr.data.phantom.grid import Blobs, Grid, Pose, dome, sigmoid
from al_cxr.data.phantom.thorax import LUNG_DENSITY, VERTEBRA, Anatomy, lung_air

TISSUE = 4.0
"""Attenuation of an average adult's trunk from back to front."""


@dataclass(frozen=True)
class Technique:
    """How one image was taken and shown."""

    dose: float  # photons behind the open beam in a pixel of a 64 px image
    latitude: float  # attenuation over which the film goes from dark to bright; small = hard contrast
    brightness: float  # shift of the film curve, in attenuation
    scatter: float  # share of the mean intensity that reaches every pixel
    flatten: float  # 0..1, how much of the coarse contrast the console evens out
    blur: float  # focal spot and motion, sigma as a share of the side
    black: float  # grey of the unexposed and the open beam, 0..1
    white: float
    collimator: tuple[float, float, float, float]  # left, right, top, bottom edge, -1..1
    margin: float  # grey outside of it
    marker: tuple[str, float, float, float] | None  # letter, x, y, height in image coordinates


def _body(grid: Grid, body: Anatomy) -> np.ndarray:
    """Soft tissue along the beam, 1 = the middle of the trunk: trunk, neck, shoulders, arms, breasts."""
    y, r = grid.y, np.abs(grid.x)
    neck = 0.27 + 0.4 * body.fat
    s = np.clip((y + 1.08) / 0.48, 0, 1)
    width = neck + (body.half_width + body.fat - neck) * s * s * (3 - 2 * s) + 0.02 * np.sin(3 * y)
    q = np.minimum(r / width, 1)
    trunk = (0.78 + 0.22 * s) * np.sqrt(1 - q * q * q)
    trunk *= 1 + 0.4 * sigmoid((y - body.dome - 0.1) / 0.12)
    shoulder, elbow = (body.half_width + 0.03, -0.62), (body.arm, 0.75)
    ax, ay = elbow[0] - shoulder[0], elbow[1] - shoulder[1]
    along = np.clip(((r - shoulder[0]) * ax + (y - shoulder[1]) * ay) / (ax * ax + ay * ay), 0, 1)
    from_axis = np.square(r - shoulder[0] - along * ax) + np.square(y - shoulder[1] - along * ay)
    radius = (0.23 + 0.3 * body.fat) * (1 - 0.35 * along)
    arm = 0.62 * np.sqrt(np.maximum(0, 1 - from_axis / np.square(radius)))
    breast = body.breast * dome(r - 0.4, y - 0.28, 0.36, 0.33) if body.breast else 0.0
    jaw = 0.7 * dome(r, y - body.chin + 0.45, 0.36, 0.45)
    return np.asarray(np.sqrt(np.square(trunk) + np.square(arm)) + breast + jaw)


def _spine(grid: Grid, body: Anatomy) -> np.ndarray:
    r = np.abs(grid.x - body.bent(grid.y))
    phase = (2 * np.pi / VERTEBRA) * (grid.y - body.apex)
    disc = sigmoid((np.cos(phase) - 0.55) / 0.12)
    width = 0.082 - 0.008 * disc + 0.012 * np.clip(grid.y, -1, 1)
    column = np.sqrt(np.maximum(0, 1 - np.square(np.square(r / width)))) * (0.5 - 0.2 * disc)
    process = np.exp(-np.square(r / 0.016)) * 0.2 * sigmoid((np.cos(phase + 2.2) - 0.1) / 0.2)
    transverse = np.exp(-np.square((r - 0.1) / 0.04)) * 0.16 * sigmoid((np.cos(phase + 0.9) - 0.6) / 0.1)
    return np.asarray(column + process + transverse)


def _ribs(grid: Grid, body: Anatomy) -> np.ndarray:
    """Ten pairs. A rib is a loop tilted forwards, so in projection an ellipse: its upper arc is the posterior rib.

    Where the loop turns forwards it runs along the beam, which makes the bright lateral wall of the cage; the anterior
    arc is fainter and ends in cartilage that casts no shadow.
    """
    bone = np.zeros_like(grid.x)
    from_spine = np.abs(grid.x - body.bent(grid.y))
    for k in range(10):
        start = body.apex + 0.005 + VERTEBRA * 1.03 * k
        drop = body.rib_drop * min(1.0, 0.42 + 0.16 * k)
        centre = start + drop
        width = float(body.edges(np.array(centre + 0.3 * body.rib_slope))[1]) + 0.012
        if k == 0:
            width *= 0.9
        rows = grid.rows(start - 0.06, centre + drop + 0.06 + body.rib_slope * width)
        r, y = from_spine[rows], grid.y[rows]
        a, b = r * (1 / width), (y - centre - body.rib_slope * r + 0.05 * np.square(1 - r)) * (1 / drop)
        radius = np.sqrt(a * a + b * b) + 1e-3
        distance = (radius - 1) * radius / np.sqrt(np.square(a / width) + np.square(b / drop) + 1e-6)
        anterior = sigmoid(b / 0.25)
        q = np.square(distance / (body.rib_height * (1 + 0.25 * anterior)))
        shell = np.sqrt(np.maximum(0, 1 - q)) - 0.72 * np.sqrt(np.maximum(0, 0.6 - q))
        along = 1 / np.sqrt(np.maximum(0.2, 1 - np.square(np.square(np.minimum(a, 1.0)))))
        cartilage = sigmoid((a - 0.55) / 0.05)
        bone[rows] += shell * (0.5 + 0.5 * along) * (1 - anterior * (1 - 0.55 * cartilage)) * (r > 0.06)
    return bone


def _girdle(grid: Grid, body: Anatomy) -> np.ndarray:
    """Clavicles, shoulder blades and upper arms."""
    out = np.zeros_like(grid.x)
    rows = grid.rows(-1.2, body.clavicle + 0.15)
    r, y = np.abs(grid.x[rows]), grid.y[rows]
    m = np.clip((r - 0.07) / 0.72, 0, 1)
    middle = body.clavicle + 0.03 * np.cos(5.5 * m) - 0.17 * m
    q = np.square((y - middle) / (0.03 + 0.014 * np.square(1 - 2 * m)))
    inside = sigmoid((r - 0.07) / 0.01) * sigmoid((0.8 - r) / 0.01)
    out[rows] += 0.85 * inside * (np.sqrt(np.maximum(0, 1 - q)) - 0.5 * np.sqrt(np.maximum(0, 0.5 - q)))
    r, y = np.abs(grid.x), grid.y
    w = body.half_width
    head = dome(r - w - 0.1, y + 0.7, 0.105, 0.11)
    t = np.clip((y + 0.68) / 1.4, 0, 1)
    shaft = np.square((r - w - 0.1 - t * (body.arm - w)) / 0.055) + 400 * np.square(np.minimum(0, y + 0.68))
    blade = sigmoid((r - 0.70 * w - 0.28 * (y + 0.75)) / 0.012) * sigmoid((w + 0.05 - r - 0.14 * (y + 0.7)) / 0.015)
    blade = blade * sigmoid((y + 0.72) / 0.02) * sigmoid((-0.08 - y) / 0.03)
    spine = np.exp(-np.square((y + 0.66 + 0.25 * (r - w)) / 0.022)) * sigmoid((r - 0.72 * w) / 0.02)
    return np.asarray(
        out + 0.8 * head + 0.7 * np.sqrt(np.maximum(0, 1 - shaft)) + 0.22 * blade + 0.3 * spine * (r < w + 0.12)
    )


def attenuation(grid: Grid, body: Anatomy, fill: np.ndarray | float = 0.0) -> np.ndarray:
    """Exponent of Beer-Lambert, float32 (size, size). `fill`: share of the lung's air replaced by fluid or tissue."""
    x = grid.x - body.bent(grid.y)
    air = lung_air(grid, body)
    tissue = _body(grid, body) * (1 + grid.blobs(body.muscle)) - (1 - LUNG_DENSITY) * 0.56 * air * (1 - fill)
    tissue += 0.5 * grid.blobs(body.vessels) * np.minimum(1, 2.5 * air)
    windpipe = np.sqrt(np.maximum(0, 1 - np.square((x - 0.005) / 0.042))) * sigmoid((-0.33 - grid.y) / 0.02)
    gas = grid.blobs(body.gas) * sigmoid((grid.y - body.dome - 0.3) / 0.05) if len(body.gas.x_M) else 0.0
    if body.bubble is not None:
        bx, bw, bh = body.bubble
        by = body.dome + body.dome_drop + 0.95 * (bx - 0.3) ** 2 + 0.05 + bh
        gas = gas + 0.36 * np.sqrt(dome(x - bx, grid.y - by, bw, bh)) * sigmoid((by + 0.5 * bh - grid.y) / 0.01)
    tissue -= 0.12 * windpipe + np.minimum(gas, 0.5)
    bone = 0.68 * _ribs(grid, body) + 1.5 * _spine(grid, body) + 1.15 * _girdle(grid, body)
    return np.asarray(np.maximum(0, TISSUE * tissue) + body.bone * bone)


_STROKES: dict[str, list[list[tuple[float, float]]]] = {
    "L": [[(0, 0), (0, 1), (0.55, 1)]],
    "R": [[(0, 1), (0, 0), (0.4, 0), (0.55, 0.12), (0.55, 0.38), (0.4, 0.5), (0, 0.5)], [(0.28, 0.5), (0.6, 1)]],
}


def _letter(grid: Grid, marker: tuple[str, float, float, float]) -> np.ndarray:
    """A lead letter on the detector, 0..1."""
    text, left, top, height = marker
    flat = Grid(grid.size, Pose())
    lines = [np.array(s) * height + (left, top) for s in _STROKES[text]]
    return np.asarray(
        np.minimum(1, flat.blobs(Blobs.of(*(Blobs.chain(p[:, 0], p[:, 1], 0.055 * height, 1.3) for p in lines))))
    )


def expose(depth: np.ndarray, grid: Grid, technique: Technique, rng: np.random.Generator) -> np.ndarray:
    """The radiograph of an attenuation map: float32 (size, size) in 0..1, 0 = black."""
    t, size = technique, grid.size
    beam = np.exp(-gaussian_filter(depth, t.blur * size, mode="nearest"))
    beam = beam + t.scatter * float(beam.mean())
    # Poisson noise at these counts is normal; a smaller pixel catches fewer photons.
    photons = t.dose * (64 / size) ** 2
    beam += np.sqrt(beam / photons) * rng.standard_normal(beam.shape, np.float32)
    signal = -np.log(np.maximum(beam, 1e-4))
    step = max(1, size // 32)
    coarse = gaussian_filter(signal[step // 2 :: step, step // 2 :: step], 5.0, mode="nearest")
    signal -= t.flatten * (
        zoom(coarse, size / coarse.shape[0], order=1, grid_mode=True, mode="nearest") - coarse.mean()
    )
    middle = float(np.quantile(signal[size // 4 : -size // 4, size // 4 : -size // 4], 0.4))
    grey = t.black + (t.white - t.black) * sigmoid((signal - middle - t.brightness) * (4 / t.latitude))
    if t.marker is not None:
        grey += _letter(grid, t.marker) * (1 - grey)
    left, right, top, bottom = t.collimator
    edge = 1.2 * size
    u, v = grid.axis[None, :], grid.axis[:, None]
    window = (
        sigmoid((u - left) * edge)
        * sigmoid((right - u) * edge)
        * sigmoid((v - top) * edge)
        * sigmoid((bottom - v) * edge)
    )
    return np.asarray(np.clip(t.margin + (grey - t.margin) * window, 0, 1).astype(np.float32))
