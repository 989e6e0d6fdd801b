"""Several models over the same images: a frozen backbone that some of them share looks at each image once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import nn

from al_cxr.core.checkpoint import weights_hash
from al_cxr.data.loader import FeatureLoader, Loader
from al_cxr.data.store import PixelStore
from al_cxr.experiment.fits import Fit
from al_cxr.models.backbone import Backbone
from al_cxr.sampling.engine import Batch
from al_cxr.sampling.stochastic import eval_mode
from al_cxr.training.feature_cache import feature_loader
from al_cxr.training.runtime import Runtime

BackboneKey = tuple[str, tuple[str, ...], bool]
"""The hash of a backbone's weights, its layers, and whether it looks at the chest."""


def backbone_key(network: nn.Module, random_sites: list[str]) -> BackboneKey | None:
    """What the features of a backbone that is nowhere random hang on: they are computed once an image for all networks
    of one key, and for all passes. None of any other network."""
    if not isinstance(network, Backbone) or any(site.startswith("body") for site in random_sites):
        return None
    return weights_hash(network.body), network.layers, network.chest


def features_of(backbone: Backbone, batches: Iterable[Batch], device: str) -> FeatureLoader:
    """Batches of the features of images that come in batches, in the same order."""
    with eval_mode(backbone):
        features_NK = np.concatenate([backbone.features(images).cpu().numpy() for _, images in batches])
    return FeatureLoader(features_NK, "", "", device)


class SharedBackbones:
    """What is left of networks over the first `count` images of their loaders, when each backbone has looked once."""

    def __init__(self, count: int, batch_size: int) -> None:
        self._order, self._batch_size = np.arange(count), batch_size
        self._features: dict[BackboneKey, FeatureLoader] = {}

    def part(self, network: nn.Module, key: BackboneKey | None, loader: Loader) -> tuple[nn.Module, Loader]:
        """What a network computes on batches, and these batches: its head on features, or all of it on the loader's
        images where it has no `backbone_key`."""
        if key is None or not isinstance(network, Backbone):
            return network, loader
        if key not in self._features:
            batches = loader.batches(self._order, self._batch_size)
            self._features[key] = features_of(network, batches, str(loader.device))
        return network.head, self._features[key]


class FitLoaders:
    """Batches of a stored data set for any of several fits, whose networks are built only where they have to be.

    The features of a frozen backbone are kept in `cache`, for this data set and any other with the same images.
    """

    def __init__(self, store: PixelStore, runtime: Runtime, cache: Path) -> None:
        self._store, self._runtime, self._cache = store, runtime, cache
        self._features: dict[str, FeatureLoader] = {}

    def of(self, fit: Fit) -> Loader:
        """Pixels at the model's size, or features; to be used with `fit.part_for`."""
        card = fit.model_card()
        if card.tune != "frozen":
            return fit.loader(self._store.pixels, self._runtime)
        key = json.dumps([card.arch, card.backbone, card.options], sort_keys=True)
        if key not in self._features:
            network = fit.model(self._runtime)
            assert isinstance(network, Backbone)  # nothing else is frozen
            self._features[key] = feature_loader(network, self._store, self._cache, self._runtime)
        return self._features[key]
