"""OpenVINO in float32: the same arithmetic as PyTorch in another order, on a CPU one and a half to four times faster.

Its features differ from PyTorch's by some millionths. Lower precisions were measured and left out
(results/benchmarks/features-faithful.md): without matrix units in the processor bfloat16 and float16 are slower than
float32, and int8 asks for other images.
"""

from __future__ import annotations

import copy
import sys
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from al_cxr.core.errors import UserError
from al_cxr.models.backbone import Backbone
from al_cxr.training.runtime import Runtime

VERSION = 1
"""Raised whenever a change of code changes the features."""

ONE_THREAD_EACH = {
    "INFERENCE_PRECISION_HINT": "f32",
    "ENABLE_CPU_PINNING": False,  # else several of them would share the first core
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


class OpenVINO:
    """The backbone compiled for the size of the first batch, once for all threads. Chests are cut out by PyTorch."""

    def __init__(self, backbone: Backbone, runtime: Runtime, threads: int) -> None:
        if runtime.device != "cpu":
            raise UserError(
                f"model.feature_engine: openvino computes on the CPU, not on {runtime.device}; use torch there"
            )
        self._openvino = imported()
        self.backbone, self._threads = backbone, threads
        self._compiled: Any = None
        self._request: Any = None

    def __call__(self, images: Tensor) -> Tensor:
        crops = self.backbone.crops(images).contiguous()
        if self._compiled is None:
            self._compiled = self._compile(crops)
        if self._request is None:
            self._request = self._compiled.create_infer_request()
        made = self._request.infer([crops.numpy()], share_inputs=True)
        return self.backbone.joined(torch.from_numpy(made[0].copy()))

    def twin(self, backbone: Backbone) -> OpenVINO:
        other = copy.copy(self)
        other.backbone, other._request = backbone, None
        return other

    def _compile(self, crops: Tensor) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its use of torch.jit, which is deprecated
            converted = _converted(CropFeatures(self.backbone).eval(), crops[:2])
        converted.reshape(list(crops.shape))
        streams = {"NUM_STREAMS": self._threads, "INFERENCE_NUM_THREADS": self._threads}
        return self._openvino.Core().compile_model(converted, "CPU", ONE_THREAD_EACH | streams)
