"""What an arm asked to have labelled, round by round: the images, their scores and what the model took them for."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from al_cxr.comparison.finished import Finished
from al_cxr.errors import UserError
from al_cxr.records import QueryRecord
from al_cxr.report.contact import TILE, draw
from al_cxr.report.figures import STYLE, new_figure, plain, tail
from al_cxr.report.fits import Radiographs, add_earlier
from al_cxr.report.page import Page
from al_cxr.report.tables import escape, file_name, stamp
from al_cxr.seeds import digest_text

SHOWN = 16
ACROSS = 8
RIGHT, WRONG = "#00704F", "#B3261E"


def add_acquired(page: Page, finished: Finished, arm: str, radiographs: Radiographs | None) -> None:
    """A sheet for each query of an arm with its first seed; without `radiographs`, the sheets that are there already.

    UserError where a query names images that the data set does not have.
    """
    seed = finished.settings.seeds[0]
    queries = finished.queries.get((arm, seed), [])
    if not queries:
        return
    mark = stamp(finished.experiment.data, [seed])
    page.add(
        "### Images acquired",
        f"{escape(arm)}, seed {seed}: the first images of each query, in the order they were chosen, with score, true "
        "class and what the model that asked took them for.",
    )
    for query in queries:
        caption = f"Images acquired after round {query.round}: {arm}, seed {seed}"
        name, source = f"images-{file_name(arm)}-{query.round}", digest_text(query.model_dump_json())
        if radiographs is None:
            add_earlier(page, finished, name, caption, True, source)
        else:
            sheet = acquired_sheet(query, radiographs, finished.experiment.data.classes, caption, mark)
            page.figure(sheet, name, caption, True, source, radiographs.folder)


def acquired_sheet(query: QueryRecord, radiographs: Radiographs, classes: list[str], title: str, mark: str) -> Figure:
    """The first images of a query: score with its unit, true class, and the prediction in green or red if known."""
    where = f"{query.arm} seed {query.seed}, query {query.round}"
    total = len(radiographs.labels_N)
    if any(not 0 <= i < total for i in query.indices):
        raise UserError(f"{where}: images of another data set than the one given, which has {total} images")
    for name, values in (("scores", query.scores), ("predictions", query.predicted)):
        if values is not None and len(values) != len(query.indices):
            raise UserError(f"{where}: {len(values)} {name} for {len(query.indices)} images; was the record edited?")
    index = np.array(query.indices[:SHOWN], dtype=np.int64)
    names = radiographs.names(index)
    columns = min(ACROSS, max(len(index), 1))
    rows = -(-max(len(index), 1) // columns)
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        tile = TILE + (0.52 if query.predicted is None else 0.74)
        figure = new_figure(max(TILE * columns + 0.3, 4.5), tile * rows + 0.55, mark)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid[len(index) :]:
            axes.set_axis_off()
        for i, (axes, image) in enumerate(zip(grid, radiographs.pixels(index), strict=False)):
            true = int(radiographs.labels_N[index[i]])
            below = [f"true: {plain(classes[true], 18)}"]
            if query.scores is not None:
                below.append(plain(f"{query.scores[i]:.3f} {query.unit}", 24))
            draw(axes, image, "\n".join([*below, tail(names[i], 19)]), 8)
            if query.predicted is not None:
                right = query.predicted[i] == true
                says = f"{'✓' if right else '✗'} {plain(classes[query.predicted[i]], 18)}"
                axes.set_title(says, fontsize=9, loc="center", color=RIGHT if right else WRONG)
        shown = f"{title}, the first {len(index)} of {len(query.indices):,}"
        figure.suptitle(plain(shown, 12 * columns + 20), x=0.01, ha="left", fontsize=11)
    return figure
