"""Figures of one trained model as they go onto a page: history, confusion, sample predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from al_cxr.comparison.finished import Finished
from al_cxr.core.errors import UserError
from al_cxr.core.predictions import read_predictions
from al_cxr.report.contact import Pixels
from al_cxr.report.gallery import ACROSS, Explain, Tile, sheet, used
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.text import file_name, plain, tail
from al_cxr.report.model_figures import confusion, history
from al_cxr.report.origin import stamp_of

Names = Callable[[np.ndarray], list[str]]
"""Absolute indices, int64 (n,) -> n names."""


@dataclass(frozen=True)
class Radiographs:
    """What a page needs to show images: the labels of the whole data set by absolute index, pixels and names of some
    absolute indices."""

    labels_N: np.ndarray
    pixels: Pixels
    names: Names
    explain: Explain | None = None
    """What the model of a fit used of an image; None where maps are not asked for."""


def predictions_of(finished: Finished, key: str, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Absolute indices (n,) and probabilities (n, C) of a model's test images.

    UserError as in `read_predictions`, and where indices are beyond the data set's labels.
    """
    index_N, probs_NC = read_predictions(finished.fit_folder(key), "test")
    if index_N.max() >= len(labels_N):
        raise UserError(
            f"{finished.fit_folder(key)}: these predictions are of another data set than the one given, which has "
            f"{len(labels_N)} images"
        )
    return index_N, probs_NC


def add_fit(
    page: Page,
    finished: Finished,
    key: str,
    name: str,
    label: str,
    seed: int,
    radiographs: Radiographs | None,
    inline: bool = True,
) -> None:
    """History and confusion of a model on the page, and where `radiographs` are given predictions, right and wrong.

    Files are named after `name`, titles say `label`.
    """
    fit, name = finished.fit(key), file_name(name)
    stamp = stamp_of(finished.experiment.data, [seed])
    predictions = predictions_of(finished, key, radiographs.labels_N) if radiographs else None
    title = f"{label}, {fit.n_labelled:,} labels"
    for kind, caption, figure in (
        ("history", "Training history", history(fit.history, fit.best_epoch, f"Training history: {title}")),
        ("confusion", "Confusion matrix", confusion(fit.test, label)),
    ):
        page.figure(figure, f"{kind}-{name}", f"{caption}: {title}", inline, stamp)
    shown = f"Sample predictions: {title}"
    if radiographs is None or predictions is None:
        page.earlier_radiographs(f"samples-{name}", shown, key, inline)
        return
    index_N, probs_NC = predictions
    answers_N, labels_N = probs_NC.argmax(axis=1), radiographs.labels_N[index_N]
    halves = right_and_wrong(answers_N == labels_N)
    some = np.concatenate(halves)
    maps = None
    if radiographs.explain is not None:
        maps = radiographs.explain(finished.fit_folder(key), index_N[some], answers_N[some])
    rows = [sample_tiles(finished, radiographs, index_N[half], probs_NC[half]) for half in halves if len(half)]
    right = int((answers_N == labels_N).sum())
    counted = (
        f"{len(halves[0])} of {right:,} right, {len(halves[1])} of {len(index_N) - right:,} wrong test predictions"
    )
    grid = sheet(rows, maps, f"{label}: {counted}")
    page.radiographs(grid, f"samples-{name}", shown, key, inline, stamp + used(maps))


def right_and_wrong(right_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of up to `ACROSS` images that were answered rightly, and of as many that were not.

    Drawn at random and not picked; sorted, so that the choice shows nothing but itself.
    """
    generator = np.random.default_rng(0)
    right, wrong = (
        np.sort(generator.choice(half, size=min(ACROSS, len(half)), replace=False))
        for half in (np.flatnonzero(right_N), np.flatnonzero(~right_N))
    )
    return right, wrong


def sample_tiles(finished: Finished, radiographs: Radiographs, index: np.ndarray, probs_NC: np.ndarray) -> list[Tile]:
    """Images with the class that was predicted and its probability, the true class and the image's name."""
    classes, tiles = finished.experiment.data.classes, []
    shown = zip(index, radiographs.pixels(index), probs_NC, radiographs.names(index), strict=True)
    for i, image, probs_C, name in shown:
        true, answer = int(radiographs.labels_N[i]), int(probs_C.argmax())
        right = answer == true
        says = f"{'✓' if right else '✗'} {plain(classes[answer], 14)} {100 * probs_C.max():.0f} %"
        below = f"true: {plain(classes[true], 18)}\n{tail(name, 19)}"
        tiles.append(Tile(image, below, says, right))
    return tiles
