"""A bundle on images whose labels are known: its answers are those that `predict` gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from al_cxr.bundles.answers import BATCH
from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.folder import read_bundle
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.data.dataset import Dataset
from al_cxr.data.quality.gate import Gate, inspect
from al_cxr.data.quality.usual import Usual
from al_cxr.data.store import PixelStore
from al_cxr.evaluation.calibration import apply_temperature
from al_cxr.evaluation.predicted import EvaluatedModel, Predicted


@dataclass(frozen=True)
class NamedBundle:
    """A bundle and what to call it."""

    name: str
    bundle: Bundle


def find_bundles(paths: Sequence[Path]) -> list[NamedBundle]:
    """The bundles in these folders, called after them; UserError where one is none, or is named twice."""
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError(f"{', '.join(map(str, paths))}: some of these are the same bundle; name each once")
    short = [path.resolve().name for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    return [NamedBundle(f"bundle {name}", read_bundle(path)) for name, path in zip(names, paths, strict=True)]


def inspect_images(dataset: Dataset, store: PixelStore, usual: Mapping[str, Usual | None]) -> tuple[Gate, list[str]]:
    """What the gate saw of a data set that models are tested on, and what has to be known of it: images with nothing to
    see on them, copies, few of them, and where they are unlike those that a model, by its name, was trained on."""
    known = {one.identity(): (name, one) for name, one in usual.items() if one is not None}
    gates = {name: inspect(dataset, store, one) for name, one in known.values()}
    first = next(iter(gates.values()), None) or inspect(dataset, store, None)
    found = [*first.odd("they are counted in every figure"), *first.repeated("they count more than once"), *first.few()]
    found += first.outliers()
    for name, one in gates.items():
        found += one.unlike(f"the training images of {name}" if len(gates) > 1 else "the training images")
    return first, found + [
        f"{name} does not say what its training images look like, as older ones do not, nor those of few images: "
        "whether these images are like them is not known"
        for name, one in usual.items()
        if one is None
    ]


def evaluate_bundle(
    model: NamedBundle, dataset: Dataset, store: PixelStore, note: Callable[[int], Any]
) -> EvaluatedModel:
    """A bundle's calibrated probabilities of all images of a data set with the bundle's classes, whose `store` holds
    them at its size, beside those of its validation images. `note(n)` is told how many images are done.
    """
    bundle = model.bundle
    answer = bundle.answerer()
    some: list[np.ndarray] = []
    for start in range(0, len(dataset), BATCH):
        pixels_NSS = np.asarray(store.pixels[start : start + BATCH])
        some.append(answer(pixels_NSS).probs_NC)
        note(len(pixels_NSS))
    probs_NC = np.concatenate(some)
    measured = measure(probs_NC, dataset.labels_N, dataset.classes)
    if bundle.validation is None:
        return EvaluatedModel(model.name, Predicted(model.name, probs_NC, dataset.labels_N), measured)
    val_probs_MC = apply_temperature(bundle.validation.probs_MC, bundle.record.temperature)
    predicted = Predicted(model.name, probs_NC, dataset.labels_N, val_probs_MC, bundle.validation.labels_M)
    return EvaluatedModel(model.name, predicted, measured, shown=True)
