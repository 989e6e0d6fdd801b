"""OpenVINO in float32: the same arithmetic as PyTorch in another order, on a CPU one and a half to four times faster.

Its features differ from PyTorch's by some millionths. Lower precisions were measured and left out
(results/benchmarks/features-faithful.md): without matrix units in the processor bfloat16 and float16 are slower than
float32, and int8 asks for other images.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from al_cxr.core.errors import UserError
from al_cxr.models.backbone import Backbone
from al_cxr.training.feature_engines import Engine
from al_cxr.training.runtime import Runtime

VERSION = 1
"""Raised whenever a change of code changes the features."""

THIS_THREAD = {
    "INFERENCE_PRECISION_HINT": "f32",
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,  # else all processes would share the first core
}


def imported() -> Any:
    """The module openvino, which tells its maker of every import and conversion unless one package of it is missing:
    nobody is told anything."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise UserError("model.feature_engine: openvino is not installed; pip install 'al-cxr[openvino]'") from None
    return openvino


class CropFeatures(nn.Module):
    """What OpenVINO is given of a backbone."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, crops: Tensor) -> Tensor:
        return self.backbone.crop_features(crops)


def _converted(network: nn.Module, example: Tensor) -> Any:
    """What `openvino.convert_model` makes, without the rest of what it does, which takes six times as long."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(torch.jit.trace(network, example, check_trace=False), example_input=example)
    return frontend.convert(frontend.load(decoder))


def engine(backbone: Backbone, runtime: Runtime) -> Engine:
    """The backbone compiled by OpenVINO, for the size of the first batch. Chests are cut out by PyTorch as ever."""
    if runtime.device != "cpu":
        raise UserError(f"model.feature_engine: openvino computes on the CPU, not on {runtime.device}; use torch there")
    openvino = imported()
    request = None

    def compiled(crops: Tensor) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its use of torch.jit, which is deprecated
            converted = _converted(CropFeatures(backbone).eval(), crops[:2])
        converted.reshape(list(crops.shape))
        return openvino.Core().compile_model(converted, "CPU", THIS_THREAD).create_infer_request()

    def features(images: Tensor) -> Tensor:
        nonlocal request
        crops = backbone.crops(images).contiguous()
        if request is None:
            request = compiled(crops)
        made = request.infer([crops.numpy()], share_inputs=True)
        return backbone.joined(torch.from_numpy(made[0].copy()))

    return features
