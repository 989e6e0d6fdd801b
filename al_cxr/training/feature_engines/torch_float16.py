"""PyTorch with autocast to float16: for a GPU, whose matrix units it feeds. On a CPU it is right, and slower.

Float16 and not bfloat16, whose few bits ask for other images. ResNet-50 bears float16, EfficientNet-Lite does not
(results/benchmarks/features-faithful.md): a network that does not is refused on its first batch.
A network whose values leave the range of float16 is refused where its features are no finite numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from al_cxr.training.feature_engines import Plain

VERSION = 1
"""Raised whenever a change of code changes the features."""


class Float16(Plain):
    """The backbone as it is, with float16 where PyTorch holds it to be safe."""

    def __call__(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.float16):
            return super().__call__(images).float()
