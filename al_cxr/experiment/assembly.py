"""The parts that an experiment's settings name, put together: network, loader, training task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from al_cxr import models
from al_cxr.config import Settings
from al_cxr.core.cache import default_cache
from al_cxr.core.seeds import stream
from al_cxr.data.dataset import Dataset
from al_cxr.data.loader import FeatureLoader, Loader
from al_cxr.data.store import PixelStore
from al_cxr.models.backbone import Backbone, Head
from al_cxr.models.tuning import tuned
from al_cxr.training.feature_cache import Views, feature_loader, missing
from al_cxr.training.losses import build as build_loss
from al_cxr.training.runtime import Runtime
from al_cxr.training.trainer import Task


def build_model(settings: Settings, dataset: Dataset, seed: int) -> nn.Module:
    """A fresh network, of which as much can be trained as `model.tune` says; equal seeds give equal bits."""
    m = settings.model
    return tuned(_network(settings, dataset, seed), m.tune, m.tune_stages, m.tune_depthwise)


def _network(settings: Settings, dataset: Dataset, seed: int) -> nn.Module:
    m = settings.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, "weights"))
        return models.build(m.arch, m.in_channels, len(dataset.classes), settings.data.image_size, m.arguments())


def build_head(settings: Settings, dataset: Dataset, loader: FeatureLoader, seed: int) -> Head:
    """A fresh head on the features of a frozen backbone, without building the backbone; equal seeds give equal bits."""
    options = models.defaults(settings.model.arch) | settings.model.arguments()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, "weights"))
        return Head(loader.width, len(dataset.classes), options["head_dropout"])


def build_loader(settings: Settings, dataset: Dataset, store: PixelStore, runtime: Runtime) -> Loader:
    """Batches of pixels, or of the features of a frozen backbone."""
    if settings.model.tune == "frozen":
        backbone, cache, views = _frozen(settings, dataset)
        engine, workers = settings.model.feature_engine, settings.machine.workers
        return feature_loader(backbone, store, cache, runtime, views, engine, workers)
    mean, std = scale(settings)
    return Loader(store.pixels, runtime.device, settings.model.in_channels, mean, std, runtime.memory_format)


def features_missing(settings: Settings, dataset: Dataset, store: PixelStore) -> int:
    """How many features `build_loader` would have to compute first: those of images and of their varied copies."""
    if settings.model.tune != "frozen":
        return 0
    backbone, cache, views = _frozen(settings, dataset)
    return missing(backbone, store, cache, views, settings.model.feature_engine)


def _frozen(settings: Settings, dataset: Dataset) -> tuple[Backbone, Path, Views | None]:
    """A frozen backbone, where its features are kept, and which copies of images are wanted too."""
    backbone = _network(settings, dataset, 0)
    assert isinstance(backbone, Backbone)  # `tuned` has refused all others
    cache = Path(settings.machine.cache) if settings.machine.cache else default_cache()
    train = settings.train
    views = None
    if train.augment is not None:
        views = Views(train.views, dataset.indices("train"), train.augment, train.originals)
    return backbone, cache, views


def scale(settings: Settings) -> tuple[float, float]:
    """Mean and std that pixels in 0..1 are normalised by before the network: (0, 1) where it does that itself."""
    return (0.0, 1.0) if models.takes_pixels(settings.model.arch) else (settings.train.mean, settings.train.std)


def build_task(
    settings: Settings, dataset: Dataset, loader: Loader, runtime: Runtime, loss: str, seed: int, index: np.ndarray
) -> Task:
    """Fitting the architecture on the images `index` with a named loss."""
    counts = np.bincount(dataset.labels_N[index], minlength=len(dataset.classes))
    return Task(
        loader=loader,
        labels_N=dataset.labels_N,
        train_index=index,
        val_index=dataset.indices("val"),
        classes=len(dataset.classes),
        settings=settings.train,
        loss=build_loss(settings.losses[loss], counts, name=loss),
        seed=seed,
        runtime=runtime,
    )
