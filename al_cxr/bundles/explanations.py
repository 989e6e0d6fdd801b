"""What models used of the few images that a report shows: computed once, and kept beside each model."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from al_cxr.bundles.explain import NoMap, explanation_maps, method
from al_cxr.core.checkpoint import load_tensors, save_tensors
from al_cxr.core.errors import UserError
from al_cxr.core.records import FitRecord, read
from al_cxr.core.seeds import digest
from al_cxr.experiment.fits import Fit
from al_cxr.report.gallery import Explain, Maps
from al_cxr.sampling.scoring import predict
from al_cxr.training.runtime import Runtime

VERSION = 1
"""Raised whenever a change of code changes the maps of the same model and images."""
BATCH = 16


def explainer(pixels: np.ndarray, runtime: Runtime) -> Explain:
    """Maps of a data set's images (uint8 (N, S, S)) by the models that were trained on it."""
    return partial(maps_of, pixels=pixels, runtime=runtime)


def maps_of(
    folder: Path, index_N: np.ndarray, classes_N: np.ndarray | None, *, pixels: np.ndarray, runtime: Runtime
) -> Maps:
    """Maps of some images by the model in `folder`, read where they lie there already; see report.gallery.Explain."""
    asked = np.array([VERSION]), index_N, np.empty(0, np.int64) if classes_N is None else classes_N
    path = folder / f"maps-{digest(*asked)[:12]}.safetensors"
    if path.exists():
        return _kept(path, (len(index_N), *pixels.shape[1:]))
    fit = Fit(folder, read(folder / "fit.json", FitRecord))
    model, loader = fit.model(runtime), fit.loader(pixels, runtime)
    if classes_N is None:
        classes_N = predict(model, loader.batches(index_N, BATCH)).argmax(axis=1)
    parts, done = [], 0
    try:
        for index_B, images in loader.batches(index_N, BATCH):
            targets_B = torch.from_numpy(classes_N[done : done + len(index_B)]).to(images.device)
            parts.append(torch.round(255 * explanation_maps(model, images, targets_B)).to(torch.uint8))
            done += len(index_B)
    except NoMap as error:
        return Maps(None, str(error))
    values = torch.cat(parts)
    save_tensors(path, {"maps": values}, {"method": method(model)})
    return Maps(values.numpy(), method(model))


def _kept(path: Path, shape: tuple[int, ...]) -> Maps:
    tensors, note = load_tensors(path)
    values = tensors.get("maps")
    if values is None or values.dtype != torch.uint8 or values.shape != shape or not isinstance(note, dict):
        raise UserError(
            f"{path}: these maps are not of the images that are shown; delete the file, and it will be made again"
        )
    return Maps(values.numpy(), str(note.get("method")))
