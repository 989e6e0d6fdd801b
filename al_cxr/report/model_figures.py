"""Figures of one trained model: training history and confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from al_cxr.core.metrics import Metrics
from al_cxr.core.records import Epoch
from al_cxr.report.kit.figures import BLUE, BLUES, GREY, INK, RED, STYLE, new_figure
from al_cxr.report.kit.text import plain


def history(epochs: Sequence[Epoch], best_epoch: int, title: str) -> Figure:
    """Loss, and accuracy with macro F1, of each epoch on training and validation images; the kept epoch marked."""
    with mpl.rc_context(STYLE):
        figure = new_figure(9.0, 3.9)
        loss, share = figure.subplots(1, 2)
        x = [e.epoch for e in epochs]
        marker = "o" if len(x) <= 30 else None
        style = {"marker": marker, "markersize": 4}
        loss.plot(x, [e.train_loss for e in epochs], color=GREY, label="training loss", **style)
        loss.plot(x, [e.val_loss for e in epochs], color=BLUE, label="validation log-loss, nats", **style)
        share.plot(x, [100 * e.train_accuracy for e in epochs], color=GREY, label="training accuracy", **style)
        share.plot(x, [100 * e.val_accuracy for e in epochs], color=BLUE, label="validation accuracy", **style)
        share.plot(x, [100 * e.val_macro_f1 for e in epochs], color=RED, ls="--", label="validation macro F1", **style)
        for axes in (loss, share):
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.axvline(best_epoch, color=INK, lw=1.2, ls=":", label=f"weights kept: epoch {best_epoch}", zorder=1)
            axes.legend(frameon=True, framealpha=0.9, edgecolor="none")
        loss.set_ylabel("loss")
        loss.set_ylim(bottom=0)
        share.set_ylabel("%")
        figure.suptitle(plain(title, 90), x=0.01, ha="left", fontsize=12)
    return figure


def confusion(test: Metrics, title: str) -> Figure:
    """Counts with the row's percentages; shade is the percentage, so that rare classes read like frequent ones."""
    counts = np.array(test.confusion)
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    names = [plain(c.name, 18) for c in test.classes]
    n = len(names)
    size = float(np.clip(1.15 * n, 3.0, 9.5))
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(size + 2.6, size + 1.2)
        axes = figure.subplots()
        image = axes.imshow(100 * share, cmap=BLUES, vmin=0, vmax=100)
        small = 9 if n <= 8 else 8
        font = 12 if n <= 4 else small
        for i in range(n):
            for j in range(n):
                colour = "white" if share[i, j] > 0.55 else INK
                text = f"{counts[i, j]:,}\n{100 * share[i, j]:.1f} %" if counts[i, j] or n <= 4 else "0"
                axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=font)
        axes.set_xticks(range(n), names, rotation=0 if n <= 3 else 35, ha="center" if n <= 3 else "right")
        axes.set_yticks(range(n), [f"{name}\n(n = {rows[i, 0]:,})" for i, name in enumerate(names)])
        axes.set_xlabel("most probable class")
        axes.set_ylabel("true")
        axes.tick_params(length=0)
        axes.set_xticks(np.arange(n - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(n - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, label="of the true class, %")
        bar.outline.set_visible(False)
        figure.suptitle(f"{plain(title, 60)}: accuracy {100 * test.accuracy:.1f} %", x=0.01, ha="left", fontsize=12)
    return figure
