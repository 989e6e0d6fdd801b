"""Galleries: radiographs in rows, what a model made of each, and below each what of it the model used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from al_cxr.report.contact import TILE, draw
from al_cxr.report.kit.figures import STYLE, new_figure
from al_cxr.report.kit.text import plain
from al_cxr.report.overlay import overlay

ACROSS = 6
"""Images a row: as many as can be read on a phone that is held upright, with a little scrolling."""

USED = "what of it the model used: {}, as a share of the image's largest value; not where a finding is"
"""Of maps, with the method."""

RIGHT, WRONG = "#00704F", "#B3261E"


@dataclass(frozen=True)
class Maps:
    """What of n images a model used: uint8 (n, S, S), of each image 255 the most; None where it has no such map.

    `says` is the method in words, or why there is none.
    """

    values_NSS: np.ndarray | None
    says: str


Explain = Callable[[Path, np.ndarray, np.ndarray | None], Maps]
"""Folder of a fit, absolute indices (n,), and of each the class (n,) that is explained, None for the model's answer."""


@dataclass(frozen=True)
class Tile:
    """An image, uint8 (S, S), the model's answer above it in green or in red, and what else is said below it."""

    image_SS: np.ndarray
    below: str
    answer: str = ""
    right: bool = False


def sheet(rows: Sequence[Sequence[Tile]], maps: Maps | None, title: str) -> Figure:
    """Rows of at most `ACROSS` tiles; `maps` are of all of them, from the first row's first to the last row's last."""
    columns = max(map(len, rows), default=1)
    values = None if maps is None else maps.values_NSS
    lines = [tile.below.count("\n") + 1 + bool(tile.answer) for row in rows for tile in row]
    height = (TILE - 0.1) * (1 if values is None else 2) + 0.1 + 0.16 * max(lines, default=0)
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(max(TILE * columns + 0.3, 4.5), height * max(len(rows), 1) + 0.7)
        grid = figure.subplots(max(len(rows), 1), columns, squeeze=False)
        for axes in grid.ravel():
            axes.set_axis_off()
        places = [
            (axes, tile) for line, row in zip(grid, rows, strict=False) for axes, tile in zip(line, row, strict=False)
        ]
        for i, (axes, tile) in enumerate(places):
            axes.set_axis_on()
            image = tile.image_SS if values is None else _above(tile.image_SS, values[i])
            draw(axes, image, tile.below, 8)
            colour = RIGHT if tile.right else WRONG
            axes.set_title(tile.answer, fontsize=9, loc="center", color=colour, pad=3)
        figure.suptitle(plain(title, 12 * columns + 30), x=0.01, ha="left", fontsize=11)
    return figure


def used(maps: Maps | None) -> str:
    """What a stamp has to say of the maps on a sheet."""
    if maps is None:
        return ""
    return f" · {maps.says}" if maps.values_NSS is None else f" · below each image {USED.format(maps.says)}"


def _above(image_SS: np.ndarray, map_SS: np.ndarray) -> np.ndarray:
    """The image above itself with its map, a white line between them: uint8 (about 2 S, S, 3)."""
    side = len(image_SS)
    grey = np.repeat(image_SS[..., None], 3, axis=2)
    line = np.full((max(1, side // 40), side, 3), 255, np.uint8)
    return np.concatenate([grey, line, overlay(image_SS, map_SS / 255)])
