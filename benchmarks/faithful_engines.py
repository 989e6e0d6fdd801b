"""What benchmarks/faithful.py compares: the engines of al-cxr, and others that were not taken in."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from al_cxr.models.backbone import Backbone
from al_cxr.sampling.stochastic import eval_mode
from al_cxr.training import feature_engines
from al_cxr.training.feature_engines.openvino import ONE_THREAD_EACH, CropFeatures, imported
from al_cxr.training.feature_pass import BATCH
from al_cxr.training.runtime import Runtime

CALIBRATION = 304
"""Images of the archive that int8 is calibrated on."""

Features = Callable[[Tensor], Tensor]
Make = Callable[[Backbone, Runtime, np.ndarray], Features]


def _ours(name: str) -> Make:
    return lambda backbone, runtime, pixels_NSS: feature_engines.build(name, backbone, runtime)


def _autocast(dtype: torch.dtype) -> Make:
    def make(backbone: Backbone, runtime: Runtime, pixels_NSS: np.ndarray) -> Features:
        def features(images: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype):
                return backbone.features(images).float()

        return features

    return make


def _openvino(precision: str, quantized: bool = False) -> Make:
    def make(backbone: Backbone, runtime: Runtime, pixels_NSS: np.ndarray) -> Features:
        openvino = imported()
        crops = backbone.crops(floats(pixels_NSS[:BATCH])).contiguous()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: Any = openvino.convert_model(CropFeatures(backbone).eval(), example_input=crops)
        if quantized:
            model = _quantized(model, backbone, pixels_NSS)
        model.reshape(list(crops.shape))
        one_thread = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
        settings = ONE_THREAD_EACH | one_thread | {"INFERENCE_PRECISION_HINT": precision}
        request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

        def features(images: Tensor) -> Tensor:
            made = request.infer([backbone.crops(images).contiguous().numpy()], share_inputs=True)
            return backbone.joined(torch.from_numpy(made[0].copy()))

        return features

    return make


def _quantized(model: Any, backbone: Backbone, pixels_NSS: np.ndarray) -> Any:
    import nncf  # pip install nncf

    nncf.set_log_level(40)
    chosen = np.random.default_rng(0).permutation(len(pixels_NSS))[:CALIBRATION]
    parts = [chosen[start : start + BATCH] for start in range(0, len(chosen) - BATCH + 1, BATCH)]
    batches = [backbone.crops(floats(pixels_NSS[part])).contiguous().numpy() for part in parts]
    mixed = nncf.QuantizationPreset.MIXED
    return nncf.quantize(model, nncf.Dataset(batches), subset_size=len(batches), preset=mixed)


CANDIDATES: dict[str, Make] = {
    "torch": _ours("torch"),
    "openvino": _ours("openvino"),
    "torch, float16": _autocast(torch.float16),
    "torch, bfloat16": _autocast(torch.bfloat16),
    "openvino, float16": _openvino("f16"),
    "openvino, bfloat16": _openvino("bf16"),
    "openvino, int8": _openvino("f32", quantized=True),
}
"""Those without a comma are engines of al-cxr; the first is the one that all are compared with."""


def floats(pixels_BSS: np.ndarray) -> Tensor:
    """As a pass makes them."""
    return torch.from_numpy(np.array(pixels_BSS)).unsqueeze(1).to(torch.float32).mul_(1 / 255)


def batches(pixels_NSS: np.ndarray) -> Iterator[Tensor]:
    """All images, eight at a time; the last ones are repeated."""
    for start in range(0, len(pixels_NSS), BATCH):
        part = pixels_NSS[start : start + BATCH]
        yield floats(part[np.arange(BATCH).clip(max=len(part) - 1)])


def features_by(make: Make, backbone: Backbone, runtime: Runtime, pixels_NSS: np.ndarray) -> np.ndarray:
    """Features float32 (N, K) of all images, on one thread."""
    with eval_mode(backbone):
        engine = make(backbone, runtime, pixels_NSS)
        made = [engine(images.contiguous(memory_format=runtime.memory_format)) for images in batches(pixels_NSS)]
        return torch.cat(made)[: len(pixels_NSS)].numpy()
