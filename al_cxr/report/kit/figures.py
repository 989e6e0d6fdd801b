"""What all figures share: their style, the stamp along their lower edge, and how they are saved.

All figures are made with matplotlib's objects (no pyplot state), in one style, and equal input gives equal bytes.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from al_cxr.core.drafts import write_atomically
from al_cxr.core.outputs import must_be_ours
from al_cxr.report.kit.text import plain

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


def new_figure(width: float, height: float, legend_rows: int = 0) -> Figure:
    """An empty figure (inches) with room along its lower edge for a legend of so many rows."""
    foot = 0.24 * legend_rows / height
    engine = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.05, rect=(0, foot, 1, 1 - foot))
    figure = Figure(figsize=(width, height), layout=engine)
    FigureCanvasAgg(figure)
    return figure


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """The legend of `axes` in the room that new_figure left for it."""
    handles, labels = axes.get_legend_handles_labels()
    legend = figure.legend(
        handles, labels, loc="lower center", bbox_to_anchor=(0.5, 0), ncols=columns, handlelength=3, borderaxespad=0.2
    )
    legend.set_in_layout(False)


def add_stamp(figure: Figure, stamp: str) -> None:
    """What the figure is of, along its lower edge; axes and legend move up for it."""
    width, height = figure.get_size_inches()
    lines = [plain(line, 200) for line in textwrap.wrap(stamp, int(13.5 * width))]
    with mpl.rc_context(STYLE):
        figure.text(0.08 / width, 0.07 / height, "\n".join(lines), va="bottom", fontsize=8.5, color=GREY)
    room = (0.14 * len(lines) + 0.1) / height
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0.5, room))
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine), "made by new_figure"
    left, foot, right, top = engine.get()["rect"]
    engine.set(rect=(left, foot + room, right, top - room))


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


def in_few_colours(data: bytes, colours: int) -> bytes:
    """A PNG file with the same pixels in at most so many colours; the file itself where that makes it no smaller."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        few = image.convert("RGB").quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(buffer, "png", optimize=True, dpi=(DPI, DPI))
    return min(buffer.getvalue(), data, key=len)


def save(figure: Figure, path: Path) -> Path:
    """A figure alone, as PNG; UserError where `must_be_a_figure` says so."""
    must_be_a_figure(path)
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
