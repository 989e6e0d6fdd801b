"""What computes the features of a frozen backbone: one module an engine, chosen by `model.feature_engine`.

All take images as floats in 0..1, (B, 1, S, S), and give features, float32 (B, K). An engine enters here with a name in
`config.training.FeatureEngine`, a module and a VERSION that stands in the keys of what it computes; and stays where
benchmarks/faithful.py shows that it is worth it and that queries stay the same.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from al_cxr.core.errors import UserError
from al_cxr.models.backbone import Backbone
from al_cxr.training.runtime import Runtime

DEFAULT = "torch"

Engine = Callable[[Tensor], Tensor]
"""Images (B, 1, S, S) on the device -> features (B, K). It sees batches of one size, on a CPU."""


def build(name: str, backbone: Backbone, runtime: Runtime) -> Engine:
    """The engine of this name for a backbone, which is in eval mode and on the device.

    UserError for an engine that this machine, or this installation, does not have.
    """
    if name == DEFAULT:
        return backbone.features
    if name == "torch_float16":
        from al_cxr.training.feature_engines import torch_float16

        return torch_float16.engine(backbone, runtime)
    if name == "openvino":
        from al_cxr.training.feature_engines import openvino

        return openvino.engine(backbone, runtime)
    raise UserError(f"model.feature_engine: {name!r} is none; use {DEFAULT}, torch_float16 or openvino")


def facts(name: str) -> dict[str, str | int]:
    """What stands in the keys of features because of their engine: nothing for the default."""
    if name == DEFAULT:
        return {}
    if name == "openvino":
        from al_cxr.training.feature_engines.openvino import VERSION
    else:
        from al_cxr.training.feature_engines.torch_float16 import VERSION
    return {"engine": name, "engine_version": VERSION}
