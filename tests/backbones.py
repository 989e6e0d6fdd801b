"""A small backbone with weights, as they would be published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from al_cxr import models

timm = pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")


def write_backbone(folder: Path) -> Path:
    """Weights of a small ResNet with its 1,000 classes, as they would be published."""
    torch.manual_seed(5)
    net = timm.create_model("test_resnet", pretrained=False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
    path = folder / "tiny.safetensors"
    save_file(net.state_dict(), path)
    return path


def tiny(weights: Path | str, **options: Any) -> Any:
    torch.manual_seed(0)
    return models.build("backbone", 1, 3, 32, {"name": "test_resnet", "weights": str(weights), **options})


def pixels(batch: int, channels: int, size: int) -> torch.Tensor:
    return torch.rand(batch, channels, size, size, generator=torch.Generator().manual_seed(1))
