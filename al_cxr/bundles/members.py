"""The networks of a bundle that look at images through one frozen backbone: it looks once for all of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import Tensor, nn

from al_cxr.core.checkpoint import weights_hash
from al_cxr.data.loader import FeatureLoader
from al_cxr.models.backbone import Backbone
from al_cxr.sampling.stochastic import evaluation
from al_cxr.training.runtime import Runtime

Kind = tuple[str, tuple[str, ...], bool]
"""The hash of a backbone's weights, its layers, and whether it looks at the chest."""


def kind(network: nn.Module, random_sites: list[str]) -> Kind | None:
    """What the features of a backbone that is nowhere random hang on: they are computed once an image for all members
    of one kind, and for all passes. None of any other network."""
    if not isinstance(network, Backbone) or any(site.startswith("body") for site in random_sites):
        return None
    return weights_hash(network.body), network.layers, network.chest


def features(backbone: Backbone, batches: Iterable[tuple[np.ndarray, Tensor]], runtime: Runtime) -> FeatureLoader:
    """Batches of the features of images that come in batches, in the same order."""
    with evaluation(backbone):
        features_NK = np.concatenate([backbone.features(images).cpu().numpy() for _, images in batches])
    return FeatureLoader(features_NK, "", "", runtime.device)
