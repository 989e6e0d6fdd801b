"""Where and how the patients of the phantom are imaged: three sites, each with its own habits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from al_cxr.data.phantom.grid import Pose
from al_cxr.data.phantom.xray import Technique


@dataclass(frozen=True)
class Site:
    """Whom a site images and how; within it every exposure differs a little."""

    children: float
    """Share of its patients, 0..1."""
    lying: float
    """Share of its images that are taken from the front (AP), 0..1."""
    log_dose: float
    latitude: float
    brightness: float
    most_scatter: float
    most_blur: float
    white: tuple[float, float]
    """Range of the grey of the unexposed film."""
    collimated: float
    """Share of its images with an edge of the collimator on them, 0..1."""
    right_marker: float
    """Share of its letters that are an R, 0..1."""
    lowest_marker: float
    """y of the lowest place of a letter, -1 = the upper edge."""
    zoom: float
    log_aspect: float


SITES = {
    "site-a": Site(
        children=0.45,
        lying=0.5,
        log_dose=12.2,
        latitude=2.9,
        brightness=-0.1,
        most_scatter=0.06,
        most_blur=0.0035,
        white=(0.83, 0.93),
        collimated=0.15,
        right_marker=0.5,
        lowest_marker=-0.55,
        zoom=1.08,
        log_aspect=0.08,
    ),
    "site-b": Site(
        children=0.05,
        lying=0.55,
        log_dose=11.6,
        latitude=3.1,
        brightness=-0.25,
        most_scatter=0.12,
        most_blur=0.005,
        white=(0.88, 0.97),
        collimated=0.35,
        right_marker=0.5,
        lowest_marker=-0.8,
        zoom=0.96,
        log_aspect=0.0,
    ),
    "site-c": Site(
        children=0.08,
        lying=0.08,
        log_dose=12.2,
        latitude=2.4,
        brightness=-0.35,
        most_scatter=0.06,
        most_blur=0.0035,
        white=(0.88, 0.97),
        collimated=0.25,
        right_marker=0.9,
        lowest_marker=-0.8,
        zoom=0.96,
        log_aspect=0.0,
    ),
}


def draw_technique(rng: np.random.Generator, site: Site) -> Technique:
    """How one image is taken at a site. The order of the draws is part of what an image is."""
    latitude = rng.normal(site.latitude, 0.3)
    framed = rng.random() < site.collimated
    open_N = np.where(framed & (rng.random(4) < 0.7), rng.uniform(0.9, 0.99, 4), 1.2)
    right = rng.random() < site.right_marker
    left_edge = rng.uniform(-0.93, -0.7) + (0.0 if right else 1.55)
    top = rng.uniform(-0.95, site.lowest_marker)
    marker = ("R" if right else "L", float(left_edge), float(top), float(rng.uniform(0.07, 0.12)))
    return Technique(
        dose=float(np.exp(rng.normal(site.log_dose, 0.4))),
        latitude=float(np.clip(latitude, 1.9, 4.6)),
        brightness=float(rng.normal(site.brightness, 0.2)),
        scatter=float(rng.uniform(0.02, site.most_scatter)),
        flatten=float(rng.uniform(0.1, 0.45)),
        blur=float(rng.uniform(0.002, site.most_blur)),
        black=float(rng.uniform(0.0, 0.06)),
        white=float(rng.uniform(*site.white)),
        collimator=(-float(open_N[0]), float(open_N[1]), -float(open_N[2]), float(open_N[3])),
        margin=float(rng.uniform(0.0, 0.05)),
        marker=marker if rng.random() < 0.6 else None,
    )


def draw_pose(rng: np.random.Generator, site: Site, view: str) -> Pose:
    """How a patient stands or lies for one image at a site, from behind (PA) or from the front (AP)."""
    return Pose(
        rotation=float(rng.normal(0, 0.035 if view == "AP" else 0.018)),
        zoom=float(np.clip(rng.normal(site.zoom, 0.08), 0.8, 1.3)),
        aspect=float(np.exp(rng.normal(site.log_aspect, 0.04))),
        shift=(float(rng.normal(0, 0.035)), float(rng.normal(0.02, 0.04))),
    )
