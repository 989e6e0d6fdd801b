"""What pneumonia and tuberculosis, and harmless look-alikes, put into the lungs of a phantom.

Everything is made of Gaussian spots whose sum s, where positive, fills the share 1 - exp(-s) of the air with fluid or
tissue, so that edges are soft, overlaps saturate and a consolidation beside the heart hides its border.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from al_cxr.data.phantom.grid import Blobs, Grid
from al_cxr.data.phantom.thorax import Anatomy

Rng = np.random.Generator


def fill_fraction(grid: Grid, findings: Blobs) -> np.ndarray:
    """Share of the air replaced, float32 (size, size), below 1; down to -0.3 where a cavity holds more air."""
    s = grid.blobs(findings)
    return np.asarray(np.where(s > 0, 1 - np.exp(-np.maximum(s, 0)), 0.3 * np.tanh(s)))


def draw_findings(rng: Rng, body: Anatomy, scenario: tuple[str, ...], difficulty: float) -> Blobs:
    """Findings of one patient.

    `scenario` is one class, or two classes between which the picture cannot decide: what is drawn depends on the
    scenario alone. `difficulty` 0..1 makes true findings fainter, puts them in the other disease's place more often
    and gives normal patients more distractors.
    """
    strength = 1.5 * (1 - 0.62 * difficulty) * float(np.exp(rng.normal(0, 0.1 + 0.35 * difficulty)))
    return Blobs.of(*(p.scaled(strength * f) for p, f in _SCENARIOS[scenario](rng, body, difficulty)))


Parts = list[tuple[Blobs, float]]


def _normal(rng: Rng, body: Anatomy, difficulty: float) -> Parts:
    parts: Parts = []
    if rng.random() < 0.75 * difficulty:
        kind = rng.choice(4, p=[0.3, 0.25, 0.25, 0.2])
        side = int(rng.choice([-1, 1]))
        if kind == 0:  # prominent vessels, both bases
            parts += [(_streaks(rng, body, s, 0.75, 9), 0.7) for s in (-1, 1)]
        elif kind == 1:  # nipple shadows
            x, y = body.place(1, rng.uniform(0.72, 0.85), 0.6)
            parts.append((Blobs(np.array([-x, x]), np.array([y, y]), np.full(2, 0.022), np.full(2, 0.6)), 1.0))
        elif kind == 2:  # an old scar
            parts.append((_streaks(rng, body, side, 0.15, 4), 0.9))
            parts.append((_nodules(rng, body, side, 0.2, 1), 0.8))
        else:  # a shallow breath or rotation: haze at the bases
            parts += [(_consolidation(rng, body, s, 0.93, 0.4, 0.13), 0.2) for s in (-1, 1)]
    return parts


def _pneumonia(rng: Rng, body: Anatomy, difficulty: float) -> Parts:
    side = int(rng.choice([-1, 1], p=[0.58, 0.42]))
    elsewhere = rng.random() < 0.05 + 0.3 * difficulty
    height = rng.uniform(0.12, 0.4) if elsewhere else rng.uniform(0.62, 0.92)
    extent = rng.uniform(0.14, 0.24)
    parts = [(_consolidation(rng, body, side, height, rng.uniform(0.2, 0.75), extent), 1.25)]
    if rng.random() < 0.3:
        parts.append(
            (_consolidation(rng, body, -side, rng.uniform(0.5, 0.9), rng.uniform(0.2, 0.7), 0.6 * extent), 0.6)
        )
    if rng.random() < 0.2:
        parts.append((_effusion(rng, body, side), 1.0))
    return parts


def _tuberculosis(rng: Rng, body: Anatomy, difficulty: float) -> Parts:
    side = int(rng.choice([-1, 1], p=[0.55, 0.45]))
    if rng.random() < 0.1:
        return [(_miliary(rng, body), 0.9)]
    elsewhere = rng.random() < 0.05 + 0.25 * difficulty
    height = rng.uniform(0.55, 0.85) if elsewhere else rng.uniform(0.1, 0.32)
    parts = [(_infiltrate(rng, body, side, height), 0.9), (_streaks(rng, body, side, height, 5), 0.7)]
    if rng.random() < 0.55 - 0.2 * difficulty:
        parts.append((_cavity(rng, body, side, height), 1.0))
    if rng.random() < 0.5:
        parts.append((_nodules(rng, body, side, height, int(rng.integers(2, 7))), 1.0))
    if rng.random() < 0.4:
        parts.append((_infiltrate(rng, body, -side, rng.uniform(0.1, 0.35)), 0.6))
    if rng.random() < 0.12:
        parts.append((_effusion(rng, body, side), 0.9))
    return parts


def _normal_or_pneumonia(rng: Rng, body: Anatomy, difficulty: float) -> Parts:
    side, height = int(rng.choice([-1, 1])), rng.uniform(0.65, 0.92)
    return [(_consolidation(rng, body, side, height, rng.uniform(0.2, 0.6), 0.13), 0.3)]


def _normal_or_tuberculosis(rng: Rng, body: Anatomy, difficulty: float) -> Parts:
    side, height = int(rng.choice([-1, 1])), rng.uniform(0.1, 0.3)
    return [(_streaks(rng, body, side, height, 4), 0.7), (_nodules(rng, body, side, height, 2), 0.6)]


def _pneumonia_or_tuberculosis(rng: Rng, body: Anatomy, difficulty: float) -> Parts:
    side, height = int(rng.choice([-1, 1])), rng.uniform(0.2, 0.55)
    patch = _consolidation(rng, body, side, height, rng.uniform(0.3, 0.7), 0.13)
    return [(patch, 0.7), (_infiltrate(rng, body, side, height), 0.5)]


_SCENARIOS: dict[tuple[str, ...], Callable[[Rng, Anatomy, float], Parts]] = {
    ("normal",): _normal,
    ("pneumonia",): _pneumonia,
    ("tuberculosis",): _tuberculosis,
    ("normal", "pneumonia"): _normal_or_pneumonia,
    ("normal", "tuberculosis"): _normal_or_tuberculosis,
    ("pneumonia", "tuberculosis"): _pneumonia_or_tuberculosis,
}


def _consolidation(rng: Rng, body: Anatomy, side: int, height: float, across: float, extent: float) -> Blobs:
    """A filled lobe or part of one: dense, soft-edged, with the airways still open in it (air bronchogram)."""
    x, y = body.place(side, height, across)
    n = int(rng.integers(14, 24))
    cloud = Blobs(
        x + rng.normal(0, extent * 0.62, n),
        y + rng.normal(0, extent * 0.5, n),
        extent * rng.uniform(0.28, 0.6, n),
        rng.uniform(0.18, 0.45, n),
    )
    hx, hy = body.place(side, 0.5, 0.05)
    airways = []
    for angle in np.arctan2(y - hy, x - hx) + rng.normal(0, 0.35, 4):
        s = np.linspace(0.08, np.hypot(x - hx, y - hy) + 0.8 * extent, 8)
        airways.append(Blobs.chain(hx + np.cos(angle + 0.3 * s) * s, hy + np.sin(angle + 0.3 * s) * s, 0.011, -0.2))
    core = Blobs(np.array([x]), np.array([y]), np.array([0.75 * extent]), np.array([0.7]))
    near = [_within(a, x, y, extent) for a in airways]
    return Blobs.of(core, cloud, *near)


def _within(spots: Blobs, x: float, y: float, radius: float) -> Blobs:
    keep = np.hypot(spots.x_M - x, spots.y_M - y) < radius
    return Blobs(spots.x_M[keep], spots.y_M[keep], spots.sigma_M[keep], spots.amplitude_M[keep])


def _infiltrate(rng: Rng, body: Anatomy, side: int, height: float) -> Blobs:
    """Patchy, uneven shadows of many sizes."""
    x, y = body.place(side, height, rng.uniform(0.35, 0.65))
    n = int(rng.integers(18, 36))
    return Blobs(
        x + rng.normal(0, 0.1, n), y + rng.normal(0, 0.09, n), rng.uniform(0.014, 0.05, n), rng.uniform(0.25, 0.75, n)
    )


def _nodules(rng: Rng, body: Anatomy, side: int, height: float, n: int) -> Blobs:
    places = [body.place(side, height + rng.normal(0, 0.1), rng.uniform(0.2, 0.85)) for _ in range(n)]
    x, y = np.array(places).T
    return Blobs(x, y, rng.uniform(0.015, 0.035, n), rng.uniform(0.7, 1.4, n))


def _miliary(rng: Rng, body: Anatomy) -> Blobs:
    """Millet seeds: hundreds of nodules of a few millimetres in both lungs."""
    n = 600
    x = rng.uniform(0.1, 0.75, n) * rng.choice([-1, 1], n)
    return Blobs(x, rng.uniform(body.apex, body.dome + 0.1, n), rng.uniform(0.008, 0.014, n), rng.uniform(0.2, 0.5, n))


def _cavity(rng: Rng, body: Anatomy, side: int, height: float) -> Blobs:
    """A ring of tissue round a hole that holds nothing but air."""
    x, y = body.place(side, height, rng.uniform(0.4, 0.65))
    radius, phase = rng.uniform(0.055, 0.11), rng.uniform(0, 2 * np.pi)
    angle = np.linspace(0, 2 * np.pi, 25)
    ring = radius * (1 + 0.12 * np.sin(2 * angle + phase))
    wall = Blobs.chain(x + ring * np.cos(angle), y + ring * np.sin(angle), rng.uniform(0.014, 0.024), 1.2)
    return Blobs.of(wall, Blobs(np.array([x]), np.array([y]), np.array([0.55 * radius]), np.array([-1.2])))


def _streaks(rng: Rng, body: Anatomy, side: int, height: float, n: int) -> Blobs:
    """Strands from a hilum to the given height: vessels, or scars."""
    hx, hy = body.place(side, 0.5, 0.05)
    lines = []
    for _ in range(n):
        x, y = body.place(side, float(np.clip(height + rng.normal(0, 0.08), 0.05, 0.95)), rng.uniform(0.2, 0.8))
        s = np.linspace(0.25, 1, 7)
        sag = rng.normal(0, 0.05) * np.sin(np.pi * s)
        lines.append(Blobs.chain(hx + (x - hx) * s + sag, hy + (y - hy) * s, rng.uniform(0.008, 0.014), 0.5))
    return Blobs.of(*lines)


def _effusion(rng: Rng, body: Anatomy, side: int) -> Blobs:
    """A little fluid that blunts the costophrenic angle."""
    x, y = body.place(side, 1.08, 0.93)
    rise = rng.uniform(0.05, 0.2)
    return Blobs.chain(np.array([x, x * 1.02, x * 0.7]), np.array([y - rise, y, y + 0.02]), 0.055, 1.6)
