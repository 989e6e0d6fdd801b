"""Figures of one trained model as they go onto a page: history, confusion, sample predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from al_cxr.comparison.finished import Finished
from al_cxr.errors import UserError
from al_cxr.report import figures
from al_cxr.report.page import Page
from al_cxr.report.tables import file_name

SHOWN = 12


@dataclass(frozen=True)
class Radiographs:
    """What sample predictions need: labels by absolute index, pixels and names of some absolute indices.

    `folder` is where images may be shown: the results where nobody was imaged, else the run's own folder.
    """

    labels_N: np.ndarray
    pixels: Callable[[np.ndarray], np.ndarray]
    """int64 (n,) -> uint8 (n, S, S)"""
    names: Callable[[np.ndarray], list[str]]
    folder: Path


def read_predictions(finished: Finished, key: str, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Absolute indices (n,) and probabilities (n, C) of the test images, as the fit wrote them.

    UserError where the file is missing or is something else, or where indices are beyond the data set's labels.
    """
    path = finished.fit_folder(key) / "predictions.safetensors"
    try:
        arrays = load_file(path)
        index_N, probs_NC = arrays["test_index"], arrays["test_probs"]
    except FileNotFoundError:
        raise UserError(f"{path}: the model's predictions are missing; was the run finished?") from None
    except (KeyError, SafetensorError) as error:
        raise UserError(f"{path}: no predictions of a model ({error}); was it written by another version?") from None
    if index_N.max() >= len(labels_N):
        raise UserError(f"{path}: predictions of another data set than the one given, which has {len(labels_N)} images")
    return index_N, probs_NC


def add_fit(
    page: Page,
    finished: Finished,
    key: str,
    name: str,
    label: str,
    stamp: str,
    radiographs: Radiographs | None = None,
    inline: bool = True,
) -> None:
    """History and confusion of a model on the page, and where `radiographs` are given a random dozen of predictions.

    Files are named after `name`, titles say `label`.
    """
    fit = finished.fit(key)
    name = file_name(name)
    predictions = read_predictions(finished, key, radiographs.labels_N) if radiographs else None
    title = f"{label}, {fit.n_labelled:,} labels"
    history = figures.history(fit.history, fit.best_epoch, f"Training history: {title}", stamp)
    page.figure(history, f"history-{name}", f"Training history: {title}", inline)
    page.figure(figures.confusion(fit.test, label, stamp), f"confusion-{name}", f"Confusion matrix: {title}", inline)
    shown = f"Sample predictions: {title}"
    if radiographs is None or predictions is None:
        add_earlier(page, finished, f"samples-{name}", shown, inline, key)
        return
    index_N, probs_NC = predictions
    # Drawn at random and not picked; sorted so that the choice shows nothing but itself.
    some = np.sort(np.random.default_rng(0).choice(len(index_N), size=min(SHOWN, len(index_N)), replace=False))
    index = index_N[some]
    grid = figures.samples(
        radiographs.pixels(index),
        radiographs.labels_N[index],
        probs_NC[some],
        finished.experiment.data.classes,
        radiographs.names(index),
        f"{label}: {len(some)} of {len(index_N):,} test images, drawn at random",
        stamp,
    )
    page.figure(grid, f"samples-{name}", shown, inline, key, radiographs.folder)


def add_earlier(page: Page, finished: Finished, name: str, caption: str, inline: bool, source: str) -> None:
    """Without pixels, an earlier figure of images stays on the page as long as it was made from this very `source`."""
    folder = page.folder if finished.experiment.data.synthetic else finished.folder
    path = folder / "figures" / f"{name}.png"
    if path.exists() and figures.source_of(path) == source:
        page.figure(None, name, caption, inline, folder=folder)
