"""What computes the features of a frozen backbone: one module an engine, chosen by `model.feature_engine`.

All take images as floats in 0..1, (B, 1, S, S), and give features, float32 (B, K). An engine enters here with a name in
`config.training.FeatureEngine`, a module and a VERSION that stands in the keys of what it computes; and stays where
benchmarks/faithful.py shows that it is worth it and that queries stay the same.
"""

from __future__ import annotations

import copy
from typing import Protocol

from torch import Tensor

from al_cxr.core.errors import UserError
from al_cxr.models.backbone import Backbone
from al_cxr.training.runtime import Runtime

DEFAULT = "torch"


class Engine(Protocol):
    """Images (B, 1, S, S) on the device -> features (B, K), on one thread. It sees batches of one size, on a CPU."""

    def __call__(self, images: Tensor) -> Tensor: ...

    def twin(self, backbone: Backbone) -> Engine:
        """For another thread, with a backbone of the same weights that no other thread uses."""
        ...


class Plain:
    """PyTorch, as the backbone computes by itself."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone

    def __call__(self, images: Tensor) -> Tensor:
        return self.backbone.features(images)

    def twin(self, backbone: Backbone) -> Plain:
        return type(self)(backbone)


def build(name: str, backbone: Backbone, runtime: Runtime, threads: int = 1) -> Engine:
    """The engine of this name for a backbone, which is in eval mode and on the device; it will have so many `threads`,
    itself and its twins.

    UserError for an engine that this machine, or this installation, does not have.
    """
    if name == DEFAULT:
        return Plain(backbone)
    if name == "torch_float16":
        from al_cxr.training.feature_engines.torch_float16 import Float16

        return Float16(backbone)
    if name == "openvino":
        from al_cxr.training.feature_engines.openvino import OpenVINO

        return OpenVINO(backbone, runtime, threads)
    raise UserError(f"model.feature_engine: {name!r} is none; use {DEFAULT}, torch_float16 or openvino")


def sharing(backbone: Backbone) -> Backbone:
    """Another backbone with the same weights in the same memory: modules hold what they computed last, and belong to
    one thread."""
    shared = [*backbone.parameters(), *backbone.buffers()]
    return copy.deepcopy(backbone, {id(tensor): tensor for tensor in shared})


def facts(name: str) -> dict[str, str | int]:
    """What stands in the keys of features because of their engine: nothing for the default."""
    if name == DEFAULT:
        return {}
    if name == "openvino":
        from al_cxr.training.feature_engines.openvino import VERSION
    else:
        from al_cxr.training.feature_engines.torch_float16 import VERSION
    return {"engine": name, "engine_version": VERSION}
