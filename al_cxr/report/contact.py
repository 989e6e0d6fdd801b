"""Contact sheets: what the images of a data set look like, class by class, and which of them are copies."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint
from al_cxr.data.dataset import SPLITS, Dataset, Images
from al_cxr.report.kit.figures import STYLE, add_stamp, must_be_a_figure, new_figure, save
from al_cxr.report.kit.text import plain, tail

Pixels = Callable[[np.ndarray], np.ndarray]
"""Absolute indices (M,) -> uint8 (M, S, S)."""

TILE = 1.45
"""Side of one image in inches."""

COPIES, ACROSS = 12, 4
"""Sets of copies that a sheet shows, and how many stand in a row."""


def reader(images: Images, size: int, doubts: dict[str, str] | None = None) -> Pixels:
    """Pixels straight from the images, for the few that a contact sheet shows; UserError for an unreadable one.

    What had to be guessed of an image is entered in `doubts` under its name.
    """

    def read(index: int) -> np.ndarray:
        reading = images.read(index, size)
        if doubts is not None and reading.doubts:
            doubts[images.name(index)] = "; ".join(reading.doubts)
        return reading.pixels

    return lambda index_M: np.stack([read(int(i)) for i in index_M])


def show(
    dataset: Dataset,
    pixels: Pixels,
    path: Path,
    per_class: int = 8,
    seed: int = 0,
    split: str | None = None,
    label: str | None = None,
) -> Path:
    """Writes a contact sheet as PNG; see `contact_sheet`, and `figures.save` for what is not overwritten."""
    must_be_a_figure(path)  # before the work, not after it
    return save(contact_sheet(dataset, pixels, per_class, seed, split, label), path)


def contact_sheet(
    dataset: Dataset,
    pixels: Pixels,
    per_class: int = 8,
    seed: int = 0,
    split: str | None = None,
    label: str | None = None,
    leave_out: Collection[int] = (),
) -> Figure:
    """A row a class of images drawn at random, with name, split and source; of one split or one class if asked.

    The same seed shows the same images of a class whichever other classes are shown.
    """
    if per_class < 1:
        raise UserError(f"--per-class {per_class}: must be 1 or more")
    if seed < 0:
        raise UserError(f"--seed {seed}: must be 0 or more")
    if split is not None and split not in SPLITS:
        raise UserError(f"no split {split!r}{hint(split, SPLITS)}")
    classes = [dataset.class_index(label)] if label is not None else list(range(len(dataset.classes)))
    usable_N = np.ones(len(dataset), dtype=bool) if split is None else dataset.split_N == split
    usable_N[list(leave_out)] = False
    drawn = {}
    for c in classes:
        candidates = np.flatnonzero(usable_N & (dataset.labels_N == c))
        if len(candidates):
            drawn[c] = np.random.default_rng([seed, c]).permutation(candidates)[:per_class]
    if not drawn:
        raise UserError(f"{dataset.name}: no image to show" + (f" in the {split} split" if split else ""))

    columns = max(map(len, drawn.values()))
    stamp = f"{dataset.stamp} · {split or 'all splits'} · drawn at random, seed {seed}"
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(max(TILE * columns + 0.4, 3.5), (TILE + 0.36) * len(drawn) + 0.4)
        grid = figure.subplots(len(drawn), columns, squeeze=False)
        for row, (c, index_M) in zip(grid, drawn.items(), strict=True):
            for axes in row[len(index_M) :]:
                axes.set_axis_off()
            for axes, i, image in zip(row, index_M, pixels(index_M), strict=False):
                where = " · ".join(filter(None, (str(dataset.split_N[i]), dataset.table["source"].iloc[i])))
                draw(axes, image, f"{tail(dataset.images.name(int(i)), 22)}\n{plain(where, 24)}")
            row[0].set_ylabel(plain(dataset.classes[c], 18), fontsize=11)
    add_stamp(figure, stamp)
    return figure


def copies_sheet(dataset: Dataset, pixels: Pixels, groups: Sequence[tuple[tuple[int, int], str]]) -> Figure:
    """Two images (absolute indices) of each of the first sets of copies, with what kind of copies they are."""
    shown = groups[:COPIES]
    if not shown:
        raise ValueError("no copies to show")
    columns = min(ACROSS, len(shown))
    rows = math.ceil(len(shown) / columns)
    stamp = f"{dataset.stamp} · {len(shown)} of {len(groups)} sets of copies, two images of each"
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(max(2 * TILE * columns + 0.2, 3.5), (TILE + 0.5) * rows + 0.3)
        grid = figure.subplots(rows, 2 * columns, squeeze=False).reshape(-1, 2)
        for pair in grid[len(shown) :]:
            pair[0].set_axis_off()
            pair[1].set_axis_off()
        for pair, (two, what) in zip(grid, shown, strict=False):
            for axes, i, image in zip(pair, two, pixels(np.array(two)), strict=True):
                says = f"{dataset.split_N[i]} · {plain(dataset.classes[dataset.labels_N[i]], 16)}"
                draw(axes, image, f"{tail(dataset.images.name(int(i)), 22)}\n{says}")
            pair[0].set_title(plain(what, 24), fontsize=8)
    add_stamp(figure, stamp)
    return figure


def draw(axes: Axes, image_SS: np.ndarray, below: str, points: float = 6.5) -> None:
    """One image (uint8) without axes, and what is said below it in letters of some points."""
    axes.imshow(image_SS, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xlabel(below, fontsize=points, labelpad=2)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
