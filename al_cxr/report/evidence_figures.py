"""Figures of what an experiment supports: curves and differences with intervals, labels saved, confusion by round."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from al_cxr.comparison import comparisons
from al_cxr.comparison.finished import Finished
from al_cxr.report.kit.figures import BLUE, BLUES, GREY, INK, RED, STYLE, new_figure
from al_cxr.report.kit.numbers import up_to
from al_cxr.report.kit.text import plain

PANEL = (3.05, 2.35)
"""Width and height of a small panel, inches."""


def _panels(names: Sequence[str], title: str, key: str) -> tuple[Figure, list[Axes], int]:
    """Small multiples with shared axes, at most four a row; `key` says below the title what is drawn in each. Returns
    the figure, its panels and how many stand in a row."""
    widest = 4 if len(names) > 6 else 3
    columns = 2 if len(names) == 4 else min(len(names), widest)
    rows = math.ceil(len(names) / columns)
    figure = new_figure(max(7.0, PANEL[0] * columns), PANEL[1] * rows + 1.1)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.ravel()[len(names) :]:
        axes.set_axis_off()
    used = list(grid.ravel()[: len(names)])
    for i, (axes, name) in enumerate(zip(used, names, strict=True)):
        axes.set_title(plain(name, 30), fontsize=10.5)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if i + columns >= len(names):
            axes.set_xlabel("labels")
            axes.tick_params(labelbottom=True)
    figure.suptitle(f"{plain(title, 90)}\n{key}", x=0.01, ha="left", fontsize=11)
    return figure, used, columns


def _active(finished: Finished) -> list[str]:
    """Arms that have a random arm to be compared with."""
    return [arm for arm in finished.settings.arms if finished.random_counterpart(arm) is not None]


def interval_curves(finished: Finished, title: str) -> Figure | None:
    """F1 against labels of each arm beside random with the same loss, each with its interval, and the fully labelled
    level: a panel an arm. None without an arm to compare."""
    frame, arms = comparisons.curves(finished), _active(finished)
    if not arms:
        return None
    level = frame[frame["arm"] == ""]
    key = "blue: the arm · grey, dashed: random with the same loss · dotted: all labels · bands: 95 %"
    with mpl.rc_context(STYLE):
        figure, panels, columns = _panels(arms, title, key)
        for axes, arm in zip(panels, arms, strict=True):
            for name, colour, dash in ((finished.random_counterpart(arm), GREY, (0, (4, 2))), (arm, BLUE, "-")):
                curve = frame[frame["arm"] == name]
                axes.fill_between(
                    curve["labels"], 100 * curve["f1_low"], 100 * curve["f1_high"], color=colour, alpha=0.16, lw=0
                )
                axes.plot(curve["labels"], 100 * curve["f1"], color=colour, ls=dash, marker="o", ms=3.5, lw=1.8)
            for _, row in level.iterrows():
                axes.axhline(100 * row["f1"], color=INK, lw=1.2, ls=":")
        for axes in panels[::columns]:
            axes.set_ylabel(f"{plain(finished.target, 20)} F1, %")
    return figure


def round_differences(finished: Finished, title: str) -> Figure | None:
    """Difference to random at every round, in points, with its interval and each seed: a panel an arm."""
    frame, arms = comparisons.by_round(finished, "random"), _active(finished)
    if not arms or frame["p"].isna().all():
        return None
    with mpl.rc_context(STYLE):
        figure, panels, columns = _panels(arms, title, "above 0: better than random · ◆ mean, bar 95 % · ● a seed")
        aside = 0.022 * float(np.ptp(frame["labels"]) or frame["labels"].iloc[0])
        for axes, arm in zip(panels, arms, strict=True):
            rows = frame[(frame["arm"] == arm) & frame["p"].notna()]
            axes.axhline(0, color=INK, lw=1.1)
            axes.vlines(rows["labels"], 100 * rows["difference_low"], 100 * rows["difference_high"], color=BLUE, lw=2)
            for seed in finished.settings.seeds:
                each = 100 * rows[f"difference_seed_{seed}"]
                axes.plot(rows["labels"] + aside, each, ls="", marker="o", ms=3, color=GREY, alpha=0.65, mec="none")
            axes.plot(rows["labels"], 100 * rows["difference"], ls="", marker="D", ms=5.5, color=BLUE, mec="white")
        for axes in panels[::columns]:
            axes.set_ylabel("F1 − random's, points")
    return figure


def _forest(axes: Axes, rows: pd.DataFrame, name: str, factor: float, words: Sequence[str]) -> None:
    """A row an arm, from the top: its name, a diamond and a bar, and the numbers in words at the right."""
    y = np.arange(len(rows))
    axes.hlines(y, factor * rows[f"{name}_low"], factor * rows[f"{name}_high"], color=BLUE, lw=2.2)
    axes.plot(factor * rows[name], y, ls="", marker="D", ms=7, color=BLUE, mec="white")
    for i, text in enumerate(words):
        axes.annotate(
            text,
            (1, i),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
        )
    axes.set_yticks(y, [plain(arm, 30) for arm in rows["arm"]])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def area_differences(finished: Finished, title: str) -> Figure | None:
    """Difference to random along the budget curve with interval and corrected p: a row an arm."""
    frame = comparisons.areas(finished).dropna(subset="difference")
    if frame.empty:
        return None
    with mpl.rc_context(STYLE):
        figure = new_figure(8.2, 1.5 + 0.36 * len(frame))
        axes = figure.subplots()
        axes.axvline(0, color=INK, lw=1.1)
        words = [f"p {r['p']:.3g}, Holm {r['p_holm']:.3g}" for _, r in frame.iterrows()]
        _forest(axes, frame, "difference", 100, words)
        axes.set_xlabel("F1 along the curve − random's, points (right of 0: better than random)")
        figure.suptitle(plain(title, 90), x=0.01, ha="left", fontsize=12)
    return figure


def label_savings(finished: Finished, title: str) -> Figure | None:
    """Labels at which each arm has random's last F1, with interval, beside those that random needs: a row an arm."""
    frame = comparisons.label_savings(finished)
    frame = frame[frame["of"].str.startswith("random")].groupby("arm", sort=False).tail(1).dropna(subset="arm_labels")
    if frame.empty:
        return None
    budget, start = float(frame["budget"].max()), float(comparisons.curves(finished)["labels"].min())
    beyond = budget + 0.05 * (budget - start)
    shown = frame.assign(
        **{c: frame[c].clip(upper=beyond) for c in ("arm_labels", "arm_labels_low", "arm_labels_high")}
    )
    with mpl.rc_context(STYLE):
        figure = new_figure(8.2, 1.7 + 0.36 * len(frame))
        axes = figure.subplots()
        axes.axvspan(budget, beyond + 0.02 * (budget - start), color=GREY, alpha=0.15, lw=0)
        axes.axvline(budget, color=GREY, lw=1.1)
        words = [f"{up_to(row, 'arm_labels', 'labels', 'budget')} labels" for row in frame.to_dict("records")]
        _forest(axes, shown, "arm_labels", 1, words)
        axes.plot(frame["random_labels"], np.arange(len(frame)), ls="", marker="|", ms=15, mew=2.4, color=RED)
        axes.set_xlim(start - 0.02 * (budget - start), beyond + 0.02 * (budget - start))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("labels for random's last F1  (◆ the arm;  ┃ orange: random;  grey: beyond the budget)")
        figure.suptitle(plain(title, 90), x=0.01, ha="left", fontsize=12)
    return figure


def confusion_rounds(finished: Finished, arm: str, title: str) -> Figure:
    """Confusion matrices of one arm, a panel a round: % of the true class, mean over seeds."""
    classes = [plain(name, 12) for name in finished.experiment.data.classes]
    seeds = [seed for (name, seed) in finished.rounds if name == arm]
    count = max(len(finished.rounds[arm, seed]) for seed in seeds)
    columns = min(3, count)
    rows = math.ceil(count / columns)
    side = float(np.clip(0.62 * len(classes), 1.7, 4.5))
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(max(6.0, (side + 0.5) * columns + 1.2), (side + 0.6) * rows + 1.2)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes in grid.ravel()[count:]:
            axes.set_axis_off()
        for number, axes in enumerate(grid.ravel()[:count]):
            records = [finished.at(arm, seed, number) for seed in seeds]
            there = [record for record in records if record is not None]
            counts = np.array([r.test.confusion for r in there], dtype=np.float64)
            whole = counts.sum(axis=2, keepdims=True)
            share = np.divide(100 * counts, whole, out=np.zeros(counts.shape), where=whole > 0).mean(axis=0)
            axes.imshow(share, cmap=BLUES, vmin=0, vmax=100)
            for i, j in np.ndindex(*share.shape):
                colour = "white" if share[i, j] > 55 else INK
                axes.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", color=colour, fontsize=10)
            known = np.mean([r.n_labelled for r in there])
            axes.set_title(f"round {number}: {known:,.0f} labels", fontsize=10.5)
            axes.set_xticks(range(len(classes)), classes, rotation=35, ha="right", fontsize=9)
            axes.set_yticks(range(len(classes)), classes, fontsize=9)
            axes.tick_params(length=0, labelbottom=number + columns >= count)
            axes.spines[:].set_visible(False)
        text = f"{plain(title, 90)}\nrows: true class · columns: predicted · cells: % of the true class"
        figure.suptitle(text, x=0.01, ha="left", fontsize=11)
    return figure
