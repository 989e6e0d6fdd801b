"""Figures of tested models: reliability diagrams, and subgroups beside each other with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from al_cxr.core.enough import FEW
from al_cxr.evaluation.calibration import apply_temperature
from al_cxr.evaluation.calibration_error import ReliabilityBins, reliability
from al_cxr.evaluation.predicted import Predicted
from al_cxr.report.kit.figures import BLUE, GREY, INK, ORANGE, STYLE, legend_below, new_figure
from al_cxr.report.kit.text import plain

BINS = 15


def reliability_diagram(models: Sequence[Predicted], title: str) -> Figure:
    """Accuracy against confidence of the predicted class in bins of equal width, as given and, where there is
    one, with each model's temperature, all models' predictions together; below, how many predictions a bin holds."""
    variants = {"as given": [m.probs_NC for m in models]}
    if any(m.temperature.matters for m in models):
        mean = np.mean([m.temperature.value for m in models])
        variants[f"temperature {mean:.2f}"] = [apply_temperature(m.probs_NC, m.temperature.value) for m in models]
    labels_N = np.concatenate([m.labels_N for m in models])
    with mpl.rc_context(STYLE):
        figure = new_figure(9.0 if len(variants) > 1 else 6.5, 5.2, 1)
        ratios = {"height_ratios": (3, 1)}
        grid = figure.subplots(2, len(variants), sharex=True, sharey="row", squeeze=False, gridspec_kw=ratios)
        highest = 0
        for (above, below), (name, probs) in zip(grid.T, variants.items(), strict=True):
            bins = reliability(np.concatenate(probs), labels_N, BINS, equal_mass=False)
            _draw_reliability(above, bins)
            above.set_title(name)
            _draw_counts(below, bins)
            highest = max(highest, int(bins.count_B.max()))
        grid[1, 0].set_ylim(0, 1.3 * highest)
        grid[0, 0].set_ylabel("accuracy")
        grid[1, 0].set_ylabel("predictions")
        legend_below(figure, grid[0, 0], 3)
        figure.suptitle(plain(title, 90), x=0.01, ha="left", fontsize=12)
    return figure


def _draw_reliability(axes: Axes, bins: ReliabilityBins) -> None:
    """A bar as high as the accuracy and a mark at the mean confidence, bin by bin."""
    width, full = 1 / BINS, bins.count_B > 0
    axes.plot([0, 1], [0, 1], color=GREY, lw=1.2, ls=(0, (5, 2)), label="confidence = accuracy")
    for at, confidence, accuracy in zip(
        _middles(bins)[full], bins.confidence_B[full], bins.accuracy_B[full], strict=True
    ):
        axes.bar(at, accuracy, width * 0.92, color=BLUE, lw=0)
        axes.plot([at - width * 0.46, at + width * 0.46], [confidence] * 2, color=ORANGE, lw=2.4)
    axes.plot([], [], color=BLUE, lw=6, label="accuracy")
    axes.plot([], [], color=ORANGE, lw=2.4, label="mean confidence")
    axes.set_ylim(0, 1)
    axes.set_xlim(0, 1)


def _draw_counts(axes: Axes, bins: ReliabilityBins) -> None:
    """A bar as high as the number of predictions, with that number, bin by bin."""
    full, middles_B = bins.count_B > 0, _middles(bins)
    axes.bar(middles_B, bins.count_B, 0.92 / BINS, color=GREY, lw=0)
    for at, count in zip(middles_B[full], bins.count_B[full], strict=True):
        axes.text(at, count + 0.04 * bins.count_B.max(), f"{count:,}", ha="center", fontsize=7.5, color=INK)
    axes.grid(visible=False)
    axes.set_xlabel("highest probability")


def _middles(bins: ReliabilityBins) -> np.ndarray:
    middles_B: np.ndarray = (bins.edges[:-1] + bins.edges[1:]) / 2
    return middles_B


def subgroups_figure(frame: pd.DataFrame, target: str, title: str) -> Figure:
    """Accuracy, and sensitivity of the target, of every row of a table of subgroups, with intervals; a line where all
    images are; in grey what rests on fewer images (for sensitivity: of the target) than a subgroup needs."""
    rows = np.arange(len(frame))
    with mpl.rc_context(STYLE):
        figure = new_figure(9.0, 1.5 + 0.32 * len(frame))
        panels = figure.subplots(1, 2, sharey=True)
        names = (
            ("accuracy", f"accuracy {frame['decision'].iloc[0]}, %", "images"),
            ("sensitivity", f"{plain(target)} sensitivity at the threshold, %", "ill"),
        )
        for axes, (name, label, size) in zip(panels, names, strict=True):
            axes.axvline(100 * frame[name].iloc[0], color=GREY, lw=1.2, ls=(0, (5, 2)))
            for row, (value, low, high) in enumerate(
                100 * frame[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)
            ):
                colour = GREY if frame[size].iloc[row] < FEW else BLUE
                if row == 0:
                    colour = INK
                axes.plot([low, high], [row, row], color=colour, lw=2.4, solid_capstyle="butt")
                axes.plot([value], [row], "o", color=colour, ms=6)
            axes.set_xlim(0, 102)
            axes.set_xlabel(label)
            axes.grid(axis="y", visible=False)
        labels = [f"{plain(s, 30)}  (n = {n:,})" for s, n in zip(frame["subgroup"], frame["images"], strict=True)]
        panels[0].set_yticks(rows, labels)
        panels[0].invert_yaxis()
        figure.suptitle(plain(title, 90), x=0.01, ha="left", fontsize=12)
    return figure
