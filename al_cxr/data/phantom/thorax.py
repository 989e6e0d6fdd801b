"""The anatomy of a phantom patient, and the air in its lungs.

In the patient frame of data.phantom.grid the lungs reach from y = -0.83 (apices) to about 0.6 (costophrenic angles).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from al_cxr.data.phantom.grid import Blobs, Grid, dome, sigmoid

VERTEBRA = 0.128
"""Height of a vertebra with its disc, and so the distance of two ribs at the spine."""
LUNG_DENSITY = 0.26
"""Of aerated lung, relative to soft tissue."""


@dataclass(frozen=True)
class Anatomy:
    """What stays the same in all images of a patient."""

    half_width: float  # of the rib cage, inside
    apex: float  # y of the lung apices
    dome: float  # y of the right diaphragm
    dome_drop: float  # of the left one below it
    mediastinum: float  # half width
    heart: tuple[float, float, float, float, float]  # x, y, long and short half axis, tilt in radians
    knob: float  # radius of the aortic arch
    rib_drop: float  # vertical half axis of a rib's loop
    rib_slope: float  # of the posterior ribs
    rib_height: float  # half height of a rib
    bone: float  # mineral content, 1 = adult
    fat: float  # soft tissue around the cage
    breast: float  # thickness
    clavicle: float  # y of its medial end
    arm: float  # x of the elbow
    chin: float  # y
    bend: tuple[float, float]  # scoliosis: amplitude, phase
    bubble: tuple[float, float, float] | None  # gas in the stomach: x, width, height
    vessels: Blobs
    gas: Blobs
    muscle: Blobs

    def bent(self, y: np.ndarray) -> np.ndarray:
        """x of the mid-line."""
        return self.bend[0] * np.sin(2.2 * y + self.bend[1])

    def place(self, side: int, height: float, across: float) -> tuple[float, float]:
        """A point in a lung: side -1 = the patient's right; height 0 = apex .. 1 = base; across 0 = medial .. 1."""
        base = self.dome + (self.dome_drop if side > 0 else 0.0)
        y = self.apex + height * (base - self.apex)
        med, lat = (float(e) for e in self.edges(np.array(y)))
        return side * (med + across * (lat - med)) + float(self.bent(np.array(y))), y

    def edges(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Medial and lateral border of a lung at height y, as distances from the mid-line."""
        tip = 0.36 * self.half_width
        t = np.clip((y - self.apex) / (0.36 - self.apex), 0.012, 1)
        lateral = tip + (self.half_width - tip) * (t * (2 - t)) ** 0.5
        medial = tip - (tip - self.mediastinum) * np.minimum(t / 0.2, 1) ** 0.4
        return medial, lateral


def draw_anatomy(rng: np.random.Generator, age: int, sex: str) -> Anatomy:
    """A patient: children have round, horizontal cages and wide hearts, adults long, sloping ones."""
    child = float(np.clip((14 - age) / 10, 0, 1))
    half_width = rng.normal(0.735, 0.032) + 0.02 * child
    size = rng.normal(1.0, 0.09) + 0.10 * child + 0.04 * (age > 60)
    base = rng.normal(0.42, 0.065) - 0.06 * child
    mediastinum = float(np.clip(rng.normal(0.125, 0.012) + 0.03 * child, 0.1, 0.19))
    long, short = 0.40 * size, 0.25 * size
    heart = (0.09 * size, base - 0.17, long, short, rng.normal(0.72, 0.09) - 0.12 * child)
    bubble = (rng.uniform(0.26, 0.46), rng.uniform(0.08, 0.17), rng.uniform(0.04, 0.09)) if rng.random() < 0.6 else None
    n = int(rng.integers(0, 9))
    bowel = (
        rng.uniform(-0.6, 0.6, n),
        rng.uniform(0.3, 0.68, n) + base,
        rng.uniform(0.03, 0.07, n),
        rng.uniform(0.1, 0.4, n),
    )
    muscle = rng.uniform(-1, 1, 24), rng.uniform(-1, 1, 24), rng.uniform(0.05, 0.25, 24), rng.normal(0, 0.025, 24)
    return Anatomy(
        half_width=half_width,
        apex=rng.normal(-0.83, 0.025) + 0.03 * child,
        dome=base,
        dome_drop=float(np.clip(rng.normal(0.045, 0.025), -0.01, 0.1)),
        mediastinum=mediastinum,
        heart=heart,
        knob=rng.uniform(0.07, 0.1) * (1 - 0.4 * child) + 0.015 * (age > 60),
        rib_drop=rng.normal(0.23, 0.02) - 0.05 * child,
        rib_slope=rng.normal(0.10, 0.035) - 0.06 * child,
        rib_height=rng.normal(0.027, 0.002) - 0.003 * child,
        bone=rng.normal(1.0, 0.1) - 0.15 * child - 0.15 * (age > 65),
        fat=float(np.clip(rng.normal(0.13, 0.05) + 0.03 * child, 0.05, 0.3)),
        breast=float(rng.uniform(0.04, 0.2)) if sex == "F" and age > 13 else 0.0,
        clavicle=rng.normal(-0.67, 0.035),
        arm=rng.uniform(1.0, 1.6),
        chin=rng.uniform(-1.35, -1.0) + 0.05 * child,
        bend=(abs(rng.normal(0, 0.012)), rng.uniform(0, 2 * np.pi)),
        bubble=bubble,
        vessels=_vessels(rng, mediastinum, base),
        gas=Blobs(*bowel),
        muscle=Blobs(*muscle),
    )


def _vessels(rng: np.random.Generator, mediastinum: float, base: float) -> Blobs:
    """Pulmonary vessels: from each hilum 13 curved branches that fork twice and thin out."""
    parts = []
    for side in (-1, 1):
        level = base - 0.47 - 0.03 * side
        angle = np.linspace(-1.4, 1.55, 13) + rng.normal(0, 0.1, 13)
        x, y = np.full(13, side * (mediastinum + 0.05)), np.full(13, level) + 0.07 * np.sin(angle)
        length, sigma = rng.uniform(0.32, 0.5, 13) * (1 + 0.25 * np.abs(np.sin(angle))), np.full(13, 0.0135)
        for order in range(3):
            s = np.linspace(0, 1, (10, 9, 7)[order])
            turn = angle[:, None] + rng.normal(0, 0.35, len(angle))[:, None] * s
            step = length[:, None] / len(s)
            px = x[:, None] + side * np.cumsum(np.cos(turn) * step, axis=1)
            py = y[:, None] + np.cumsum(np.sin(turn) * step, axis=1)
            width = sigma[:, None] * (1 - 0.5 * s)
            parts.append(Blobs(px.ravel(), py.ravel(), width.ravel(), (width * 12).ravel()))
            fork = np.stack([rng.integers(2, 5, len(angle)), rng.integers(5, 7 if order else 9, len(angle))], axis=1)
            row = np.arange(len(angle))[:, None]
            x, y = px[row, fork].ravel(), py[row, fork].ravel()
            angle = (turn[row, fork] + rng.choice([-1, 1], fork.shape) * rng.uniform(0.3, 0.8, fork.shape)).ravel()
            length, sigma = np.repeat(length * 0.5, 2), width[row, fork].ravel() * 0.75
        parts.append(Blobs(x, y, np.full(len(x), 0.012), np.full(len(x), 0.08)))  # seen end on
        hilum = np.linspace(-0.09, 0.1, 6)
        x, y = side * (mediastinum + 0.03 + 0.2 * np.abs(hilum)), level + hilum
        parts.append(Blobs(x, y, np.full(6, 0.04), rng.uniform(0.06, 0.14, 6)))
    return Blobs.of(*parts)


def lung_air(grid: Grid, body: Anatomy) -> np.ndarray:
    """Depth of aerated lung along the beam, 0..about 1, float32 (size, size); heart and great vessels displace it."""
    x, y = grid.x - body.bent(grid.y), grid.y
    r, left = np.abs(x), x > 0
    medial, lateral = body.edges(y)
    q = (2 * r - medial - lateral) / (lateral - medial)
    depth = np.sqrt(np.maximum(0, 1 - np.square(np.square(q))))
    depth *= (0.6 + 0.4 * np.clip((y - body.apex) / 0.5, 0, 1)) * sigmoid((y - body.apex) / 0.008)
    floor = body.dome + left * np.float32(body.dome_drop) + 0.95 * np.square(r - 0.3)
    below = np.maximum(0, y - floor)
    depth *= sigmoid((floor - y) / 0.008) + 0.16 * np.exp(-below / 0.09) * (below > 0)
    hx, hy, long, short, tilt = body.heart
    cos, sin = math.cos(tilt), math.sin(tilt)
    heart = dome(cos * (x - hx) + sin * (y - hy), cos * (y - hy) - sin * (x - hx), long, short)
    atrium = dome(x - 0.02, y - hy - 0.06, 0.8 * short, 1.2 * short)
    knob = dome(x - body.mediastinum - 0.015, y + 0.27, body.knob, 1.15 * body.knob)
    pulmonary = dome(x - body.mediastinum + 0.03, y + 0.08, 0.1, 0.17)
    return np.asarray(
        depth * (1 - np.minimum(0.9, 1.1 * np.maximum(np.maximum(heart, atrium), np.maximum(knob, pulmonary))))
    )
