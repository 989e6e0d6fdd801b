"""Figures of tested models: reliability diagrams, and subgroups beside each other with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from al_cxr.core.enough import FEW
from al_cxr.evaluation.calibration import apply_temperature
from al_cxr.evaluation.calibration_error import reliability
from al_cxr.evaluation.predicted import Predicted
from al_cxr.report.kit.figures import BLUE, GREY, INK, ORANGE, STYLE, legend_below, new_figure
from al_cxr.report.kit.text import plain

BINS = 15


def reliability_diagram(models: Sequence[Predicted], title: str) -> Figure:
    """Accuracy against confidence of the predicted class in bins of equal width, as given and, where there is
    one, with each model's temperature, all models' predictions together; below, how many predictions a bin holds."""
    variants = (False, True)[: 1 + any(m.temperature.matters for m in models)]
    with mpl.rc_context(STYLE):
        figure = new_figure(9.0 if len(variants) > 1 else 6.5, 5.2, 1)
        ratios = {"height_ratios": (3, 1)}
        grid = figure.subplots(2, len(variants), sharex=True, sharey="row", squeeze=False, gridspec_kw=ratios)
        temperature = np.mean([m.temperature.value for m in models])
        highest = 0
        for column, hot in enumerate(variants):
            probs = [apply_temperature(m.probs_NC, m.temperature.value) if hot else m.probs_NC for m in models]
            bins = reliability(np.concatenate(probs), np.concatenate([m.labels_N for m in models]), BINS, False)
            above, below = grid[:, column]
            full = bins.count_B > 0
            middles, width = (bins.edges[:-1] + bins.edges[1:]) / 2, 1 / BINS
            above.plot([0, 1], [0, 1], color=GREY, lw=1.2, ls=(0, (5, 2)), label="confidence = accuracy")
            for at, confidence, accuracy in zip(
                middles[full], bins.confidence_B[full], bins.accuracy_B[full], strict=True
            ):
                above.bar(at, accuracy, width * 0.92, color=BLUE, lw=0)
                above.plot([at - width * 0.46, at + width * 0.46], [confidence] * 2, color=ORANGE, lw=2.4)
            above.plot([], [], color=BLUE, lw=6, label="accuracy")
            above.plot([], [], color=ORANGE, lw=2.4, label="mean confidence")
            above.set_ylim(0, 1)
            above.set_xlim(0, 1)
            above.set_title(f"temperature {temperature:.2f}" if hot else "as given")
            below.bar(middles, bins.count_B, width * 0.92, color=GREY, lw=0)
            top = bins.count_B.max()
            for at, count in zip(middles[full], bins.count_B[full], strict=True):
                below.text(at, count + 0.04 * top, f"{count:,}", ha="center", fontsize=7.5, color=INK)
            highest = max(highest, int(top))
            below.grid(visible=False)
            below.set_xlabel("highest probability")
        grid[1, 0].set_ylim(0, 1.3 * highest)
        grid[0, 0].set_ylabel("accuracy")
        grid[1, 0].set_ylabel("predictions")
        legend_below(figure, grid[0, 0], 3)
        figure.suptitle(plain(title, 90), x=0.01, ha="left", fontsize=12)
    return figure


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
                colour = INK if row == 0 else GREY if frame[size].iloc[row] < FEW else BLUE
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
