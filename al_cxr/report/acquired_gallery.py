"""What an arm asked to have labelled, round by round: the images, their scores, and what the model made of them."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from al_cxr.comparison.finished import Finished
from al_cxr.core.errors import UserError
from al_cxr.core.records import QueryRecord
from al_cxr.core.seeds import digest_text
from al_cxr.report.fits import Radiographs
from al_cxr.report.gallery import ACROSS, Maps, Tile, sheet, used
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.prose import paragraph
from al_cxr.report.kit.text import file_name, plain, tail
from al_cxr.report.origin import stamp_of

SHOWN = 2 * ACROSS


def add_acquired(page: Page, finished: Finished, arm: str, radiographs: Radiographs | None) -> None:
    """A sheet for each query of an arm with its first seed; without `radiographs`, the sheets that are there already.

    UserError where a query names images that the data set does not have.
    """
    seed = finished.settings.seeds[0]
    queries = finished.queries.get((arm, seed), [])
    if not queries:
        return
    page.add("### Images acquired", paragraph("experiment", "acquired", arm=arm, seed=seed))
    fits = {record.round: record.fit for record in finished.rounds[arm, seed]}
    for query in queries:
        caption = f"Images acquired after round {query.round}: {arm}, seed {seed}"
        name, source = f"images-{file_name(arm)}-{query.round}", digest_text(query.model_dump_json())
        if radiographs is None:
            page.earlier_radiographs(name, caption, source)
            continue
        check(query, len(radiographs.labels_N))
        maps = None
        if radiographs.explain is not None:
            index, answers = _first(query)
            maps = radiographs.explain(finished.fit_folder(fits[query.round]), index, answers)
        drawn = acquired_sheet(query, radiographs, finished.experiment.data.classes, caption, maps)
        page.radiographs(drawn, name, caption, source, stamp=stamp_of(finished.experiment.data, [seed]) + used(maps))


def check(query: QueryRecord, total: int) -> None:
    """UserError unless a query is of a data set with `total` images and its columns are of one length."""
    where = f"{query.arm} seed {query.seed}, query {query.round}"
    if any(not 0 <= i < total for i in query.indices):
        raise UserError(f"{where}: its images are of another data set than the one given, which has {total}")
    for name, values in (("scores", query.scores), ("predictions", query.predicted)):
        if values is not None and len(values) != len(query.indices):
            raise UserError(
                f"{where}: {len(values)} {name} for {len(query.indices)} images: the record was edited; put it back"
            )


def _first(query: QueryRecord) -> tuple[np.ndarray, np.ndarray | None]:
    """Indices of the images that are shown, and what the model took them for, if it was asked."""
    answers = None if query.predicted is None else np.array(query.predicted[:SHOWN], np.int64)
    return np.array(query.indices[:SHOWN], np.int64), answers


def acquired_sheet(
    query: QueryRecord,
    radiographs: Radiographs,
    classes: list[str],
    title: str,
    maps: Maps | None = None,
) -> Figure:
    """The first images of a query: score with its unit, true class, and the prediction in green or red if known."""
    check(query, len(radiographs.labels_N))
    index, answers = _first(query)
    names, tiles = radiographs.names(index), []
    for i, image in enumerate(radiographs.pixels(index)):
        true = int(radiographs.labels_N[index[i]])
        below = [f"true: {plain(classes[true], 18)}"]
        if query.scores is not None:
            below.append(plain(f"{query.scores[i]:.3f} {query.unit}", 24))
        below.append(tail(names[i], 19))
        right = answers is not None and int(answers[i]) == true
        answer = "" if answers is None else f"{'✓' if right else '✗'} {plain(classes[answers[i]], 18)}"
        tiles.append(Tile(image, "\n".join(below), answer, right))
    shown = f"{title}, the first {len(index)} of {len(query.indices):,}"
    return sheet([tiles[i : i + ACROSS] for i in range(0, len(tiles), ACROSS)], maps, shown)
