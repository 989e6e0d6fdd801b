"""PyTorch with autocast to float16: for a GPU, whose matrix units it feeds. On a CPU it is right, and slower.

Float16 and not bfloat16, whose few bits ask for other images. ResNet-50 bears float16, EfficientNet-Lite does not
(results/benchmarks/features-faithful.md): a network that does not is refused on its first batch.
A network whose values leave the range of float16 is refused where its features are no finite numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from al_cxr.models.backbone import Backbone
from al_cxr.training.feature_engines import Engine
from al_cxr.training.runtime import Runtime

VERSION = 1
"""Raised whenever a change of code changes the features."""


def engine(backbone: Backbone, runtime: Runtime) -> Engine:
    """The backbone as it is, with float16 where PyTorch holds it to be safe."""

    def features(images: Tensor) -> Tensor:
        with torch.autocast(torch.device(runtime.device).type, torch.float16):
            return backbone.features(images).float()

    return features
