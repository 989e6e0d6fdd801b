"""A map over a radiograph: which parts a network used. Arrays in, colours out; nothing here knows a network."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable

from al_cxr.report.kit.figures import STYLE, add_stamp, new_figure, save
from al_cxr.report.kit.text import plain, tail

MAP = mpl.colormaps["inferno"]
"""Perceptually uniform, so that equal steps of the map look equal; its lightness rises, so it also reads in grey."""

OPACITY = 0.6
"""Of the colour where the map is 1; where the map is 0 the radiograph stays as it is."""


def overlay(image_SS: np.ndarray, map_SS: np.ndarray) -> np.ndarray:
    """uint8 (S, S, 3): a grey image, uint8, under a map of the same shape with values in 0..1.

    The opacity of the colour grows with the map from 0 to `OPACITY`. ValueError for other shapes, types and values.
    """
    if image_SS.ndim != 2 or image_SS.dtype != np.uint8 or map_SS.shape != image_SS.shape:
        raise ValueError(f"image {image_SS.dtype} {image_SS.shape} and map {map_SS.shape}: uint8 (S, S) and (S, S)")
    if not (np.isfinite(map_SS).all() and map_SS.min() >= 0 and map_SS.max() <= 1):
        raise ValueError("a map has values in 0..1")
    opacity = OPACITY * map_SS[..., None].astype(np.float64)
    mixed = (1 - opacity) * image_SS[..., None] + opacity * 255 * MAP(map_SS)[..., :3]
    rounded: np.ndarray = np.rint(mixed).astype(np.uint8)
    return rounded


def save_overlay(path: Path, image_SS: np.ndarray, map_SS: np.ndarray, name: str, says: str, stamp: str) -> Path:
    """The radiograph beside its overlay with the colours' legend, as PNG.

    `name` is the image's and `says` what the network answered; `stamp` stands below and says which network, which
    method, and that this is no localisation.
    """
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(7.4, 3.9)
        left, right = figure.subplots(1, 2)
        left.imshow(image_SS, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        right.imshow(overlay(image_SS, map_SS), interpolation="nearest")
        left.set_title(tail(name, 40), fontsize=9)
        right.set_title(plain(says, 44), fontsize=9)
        for axes in (left, right):
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        bar = figure.colorbar(ScalarMappable(cmap=MAP), ax=right, shrink=0.85)
        bar.set_label("share of the image's largest value", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    add_stamp(figure, stamp)
    return save(figure, path)
