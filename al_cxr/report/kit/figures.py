"""Figures of one trained model: training history and confusion matrix; and what all figures share.

All figures are made with matplotlib's objects (no pyplot state), in one style, and equal input gives equal bytes.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from al_cxr.core.drafts import write_atomically
from al_cxr.core.metrics import Metrics
from al_cxr.core.outputs import must_be_ours
from al_cxr.core.records import Epoch

# Okabe & Ito: told apart with any colour vision.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
)
INK, GREY, PALE = "#222222", "#6E6E6E", "#E4E4E4"
DPI = 150
"""Dots an inch of a saved figure."""
COLOURS = 128
"""Of a saved drawing: no pixel is off by more than a tenth of the range, and the file has a third of the bytes."""
ALONE = "al-cxr"
"""The source that a figure without a page names, so that it is known again."""
SMALLEST_IMAGE = 24
"""Pixels a side above which an image in a figure is a picture of something, and not a matrix with a few cells."""
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 2.0,
    "text.color": INK,
    "figure.dpi": DPI,
}
BLUES = LinearSegmentedColormap.from_list("blues", ["#FFFFFF", "#A9CFE6", BLUE, "#00436B"])


def plain(text: str, longest: int = 28) -> str:
    """Text from outside for a figure: one line, not too long, and never read as mathematics."""
    line = " ".join(str(text).split())
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    return line.replace("$", r"\$")


def tail(text: str, longest: int) -> str:
    """The end of a name that is too long: of a path, the file."""
    return plain(text if len(text) <= longest else f"…{text[1 - longest :]}", longest)


def new_figure(width: float, height: float, stamp: str, legend_rows: int = 0) -> Figure:
    """An empty figure (inches) with the stamp along its lower edge, room for a legend over it, and axes above that."""
    lines = [plain(line, 200) for line in textwrap.wrap(stamp, int(13.5 * width))]
    foot = _stamp_height(stamp, width) + 0.24 * legend_rows
    rect = (0, foot / height, 1, 1 - foot / height)
    engine = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.05, rect=rect)
    figure = Figure(figsize=(width, height), layout=engine)
    FigureCanvasAgg(figure)
    figure.text(0.08 / width, 0.07 / height, "\n".join(lines), va="bottom", fontsize=8.5, color=GREY)
    return figure


def legend_below(figure: Figure, axes: Axes, columns: int, stamp: str) -> None:
    """The legend of `axes` in the room that new_figure left for it."""
    width, height = figure.get_size_inches()
    at = (0.5, _stamp_height(stamp, width) / height)
    handles, labels = axes.get_legend_handles_labels()
    legend = figure.legend(
        handles, labels, loc="lower center", bbox_to_anchor=at, ncols=columns, handlelength=3, borderaxespad=0.2
    )
    legend.set_in_layout(False)


def _stamp_height(stamp: str, width: float) -> float:
    return 0.14 * len(textwrap.wrap(stamp, int(13.5 * width))) + 0.1


def png(figure: Figure, source: str = "") -> bytes:
    """A PNG file, without dates or versions inside; `source` says what it was made from.

    A drawing has at most `COLOURS` colours; radiographs keep theirs.
    """
    drawn, buffer = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(drawn, format="png", dpi=DPI)
    info = PngInfo()
    if source:
        info.add_text("Source", source)
    with Image.open(drawn) as image:
        saved = image.convert("RGB")
    if not any(min(image.get_size()) > SMALLEST_IMAGE for axes in figure.axes for image in axes.images):
        saved = saved.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    saved.save(buffer, "png", optimize=True, dpi=(DPI, DPI), pnginfo=info)
    return buffer.getvalue()


def save(figure: Figure, path: Path, inputs: Iterable[Path] = ()) -> Path:
    """A figure alone, as PNG; UserError where `must_be_a_figure` says so."""
    must_be_a_figure(path, inputs)
    write_atomically(path, png(figure, ALONE))
    return path


def must_be_a_figure(path: Path, inputs: Iterable[Path] = ()) -> None:
    """UserError where there is something that `save` did not write, or one of `inputs`."""
    must_be_ours(path, lambda found: source_of(found) == ALONE, inputs)


def source_of(path: Path) -> str:
    """What a saved figure was made from; "" where it does not say, or is no figure of ours."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return str(image.info.get("Source", ""))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises for other files
        return ""


def history(epochs: Sequence[Epoch], best_epoch: int, title: str, stamp: str) -> Figure:
    """Loss, and accuracy with macro F1, of each epoch on training and validation images; the kept epoch marked."""
    with mpl.rc_context(STYLE):
        figure = new_figure(9.0, 3.9, stamp)
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


def confusion(test: Metrics, title: str, stamp: str) -> Figure:
    """Counts with the row's percentages; shade is the percentage, so that rare classes read like frequent ones."""
    counts = np.array(test.confusion)
    rows = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    names = [plain(c.name, 18) for c in test.classes]
    n = len(names)
    size = float(np.clip(1.15 * n, 3.0, 9.5))
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = new_figure(size + 2.6, size + 1.2, stamp)
        axes = figure.subplots()
        image = axes.imshow(100 * share, cmap=BLUES, vmin=0, vmax=100)
        font = 12 if n <= 4 else 9 if n <= 8 else 8
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
