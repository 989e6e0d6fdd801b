"""Figures of an experiment: learning curves of all arms, and what each arm acquired."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from al_cxr.comparison.finished import Finished
from al_cxr.comparison.savings import isotonic
from al_cxr.report.kit.figures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    STYLE,
    YELLOW,
    legend_below,
    new_figure,
)
from al_cxr.report.kit.text import plain

DASHES = ("-", (0, (5, 2)), (0, (1, 1.3)), (0, (5, 2, 1, 2)))
MARKERS = ("o", "s", "^", "D")


def _styles(finished: Finished) -> dict[str, dict[str, Any]]:
    """Colour = strategy (random is grey; from the seventh on a colour comes again with another marker), dash = loss:
    the 2 x 2 shows at a glance."""
    arms = finished.settings.arms
    strategies = [s for s in dict.fromkeys(a.acquisition for a in arms.values()) if s != "random"]
    losses = list(dict.fromkeys(a.loss for a in arms.values()))
    palette = [BLUE, RED, GREEN, PURPLE, ORANGE, SKY]
    colours = {s: palette[i % len(palette)] for i, s in enumerate(strategies)} | {"random": GREY}
    markers = {s: i // len(palette) for i, s in enumerate(strategies)} | {"random": 0}
    return {
        name: {
            "color": colours[arm.acquisition],
            "linestyle": DASHES[losses.index(arm.loss) % len(DASHES)],
            "marker": MARKERS[markers[arm.acquisition] % len(MARKERS)],
        }
        for name, arm in arms.items()
    }


def _label_axis(axes: Axes, finished: Finished) -> None:
    size = finished.train_size
    axes.set_xlabel("labelled training images")
    axes.xaxis.set_major_formatter("{x:,.0f}")

    def to_percent(labels: ArrayLike) -> np.ndarray:
        return np.asarray(labels) * (100 / size)

    def to_labels(percent: ArrayLike) -> np.ndarray:
        return np.asarray(percent) * (size / 100)

    top = axes.secondary_xaxis("top", functions=(to_percent, to_labels))
    top.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    top.xaxis.set_major_formatter("{x:g}")
    top.set_xlabel("of the training set, %", color=GREY)
    top.tick_params(colors=GREY, labelcolor=GREY)
    top.spines["top"].set_visible(False)


def _label_ends(axes: Axes, height: float, ends: list[tuple[float, str, str]]) -> None:
    """Names at the right of curves, (end, name, colour): each at its curve's end, moved apart where they meet.

    `height` of the figure in inches.
    """
    low, high = axes.get_ylim()
    gap = (high - low) * 0.17 / (height - 1.6)
    ends = sorted(ends)
    # The nearest heights (least squares) that keep the order and the gap.
    steps = gap * np.arange(len(ends))
    at = isotonic(np.array([[end for end, _, _ in ends]]) - steps)[0] + steps
    for y, (end, name, colour) in zip(at, ends, strict=True):
        axes.annotate(
            name,
            (1, end),
            xytext=(1.05, y),
            xycoords=("axes fraction", "data"),
            textcoords=("axes fraction", "data"),
            color=colour,
            fontsize=9.5,
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)},
        )


def learning_curve(finished: Finished, frame: pd.DataFrame, long: pd.DataFrame, metric: str, title: str) -> Figure:
    """A test metric (`f1` or `accuracy`) against labels: a line an arm through its means, named at its end, and the
    fully labelled baseline as a level with its standard deviation; with six arms or fewer a thin line each seed.
    `frame`, `long`: per_round's and per_seed's."""
    tests = [baseline.test for baseline in finished.baselines.values()]
    levels = 100 * np.array([t.accuracy if metric == "accuracy" else t.of(finished.target).f1 for t in tests])
    with mpl.rc_context(STYLE):
        figure = new_figure(8.6, 4.7 + 0.12 * max(0, len(finished.settings.arms) - 8))
        axes = figure.subplots()
        ends = []
        if len(levels):
            spread = levels.std(ddof=1) if len(levels) > 1 else 0.0
            axes.axhspan(levels.mean() - spread, levels.mean() + spread, color=INK, alpha=0.09, lw=0)
            spread_of = " (± sd)" if len(levels) > 1 else ""
            text = plain(f"all labels, {finished.settings.baseline.loss}{spread_of}", 40)
            axes.axhline(levels.mean(), color=INK, lw=1.4, label=text)
            ends.append((float(levels.mean()), text, INK))
        for arm, style in _styles(finished).items():
            curve = frame[frame["arm"] == arm]
            if curve.empty:
                continue
            seeds = [run for _, run in long[long["arm"] == arm].groupby("seed")]
            if len(seeds) > 1 and len(finished.settings.arms) <= 6:
                thin = {"color": style["color"], "ls": style["linestyle"], "lw": 0.9, "alpha": 0.22}
                for run in seeds:
                    axes.plot(run["labels"], 100 * run[metric], **thin)
            axes.plot(curve["labels"], 100 * curve[metric], label=plain(arm, 40), ms=6, mec="white", **style)
            ends.append((float(100 * curve[metric].iloc[-1]), plain(arm, 40), style["color"]))
        _label_axis(axes, finished)
        _label_ends(axes, float(figure.get_size_inches()[1]), ends)
        axes.set_ylabel(
            "test accuracy, %" if metric == "accuracy" else f"{plain(finished.target)} F1 on the test set, %"
        )
        figure.suptitle(plain(title, 90), x=0.01, ha="left", fontsize=12)
    return figure


def acquired(finished: Finished, title: str) -> Figure:
    """Share of each class among the images labelled in each round (mean over seeds), one panel an arm; the black steps
    are the same shares in the pool they were taken from, so a bar that leaves its steps shows a preference."""
    classes = finished.experiment.data.classes
    arms = [a for a in finished.settings.arms if any(r for (n, _), r in finished.rounds.items() if n == a)]
    colours = [SKY, ORANGE, RED, GREEN, PURPLE, BLUE, YELLOW, GREY]
    columns = min(2, len(arms))
    rows = math.ceil(len(arms) / columns)
    across = 2 * columns
    legend_rows = math.ceil((len(classes) + 1) / across)
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(4.4 * columns + 0.4, 2.6 * rows + 0.9 + 0.24 * legend_rows, legend_rows)
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes in grid.ravel()[len(arms) :]:
            axes.set_axis_off()
        for arm, axes in zip(arms, grid.ravel(), strict=False):
            for number, (share, expected) in _acquired_shares(finished, arm).items():
                is_first = arm == arms[0] and number == 0  # the legend names each once
                for c, (low, height) in enumerate(zip(np.cumsum(share) - share, share, strict=True)):
                    label = plain(classes[c]) if is_first else None
                    colour = colours[c % len(colours)]
                    axes.bar(number, height, bottom=low, width=0.72, color=colour, label=label, ec="white", lw=0.8)
                steps = np.cumsum(expected)[:-1]
                label = "the pool's shares" if is_first else None
                axes.hlines(steps, number - 0.46, number + 0.46, color=INK, lw=2.2, label=label)
            axes.set_title(plain(arm, 34))
            axes.set_ylim(0, 100)
            axes.set_xticks(range(finished.settings.budget.rounds + 1))
            axes.tick_params(length=0)
        for axes in grid[-1]:
            axes.set_xlabel("round (0 = seed set)")
        for axes in grid[:, 0]:
            axes.set_ylabel("of the round's images, %")
        legend_below(figure, grid[0, 0], across)
        figure.suptitle(plain(title, 90), x=0.01, ha="left", fontsize=12)
    return figure


def _acquired_shares(finished: Finished, arm: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Round -> (share of each class among its images, the same in the pool before it), %, means over seeds; rounds in
    which nothing was labelled are not there."""
    classes = finished.experiment.data.classes
    train = np.array([finished.experiment.data.counts["train"].get(c, 0) for c in classes], dtype=float)
    runs = [rounds for (of, _), rounds in finished.rounds.items() if of == arm and rounds]
    found = {}
    for number in range(max(map(len, runs))):
        taken, pool = [], []
        for run in runs:
            if number < len(run) and sum(run[number].acquired.values()) > 0:
                new = np.array([run[number].acquired.get(c, 0) for c in classes], dtype=float)
                before = run[number - 1].labelled_classes if number else {}
                left = train - np.array([before.get(c, 0) for c in classes])
                taken.append(new / new.sum())
                pool.append(left / left.sum())
        if taken:
            found[number] = 100 * np.mean(taken, axis=0), 100 * np.mean(pool, axis=0)
    return found
