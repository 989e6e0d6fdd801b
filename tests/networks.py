"""Networks small enough for tests."""

from __future__ import annotations

from typing import Any

import torch

from al_cxr import models

NARROW: dict[str, dict[str, Any]] = {
    "backbone": {"name": "test_resnet"},
    "cnn": {"width": 0.05},
    "cnn2": {"width": 0.25},
    "cnn_bn": {"width": 0.125},
    "cnn_se": {"width": 0.25},
    "efficientnet_lite0": {"weights": "none"},
    "efficientnet_lite2": {"weights": "none"},
    "mlp": {"hidden": 8},
    "rnn": {"width": 0.04},
    "vit": {"dim": 24, "heads": 3, "depth": 2},
}
"""Options that make an architecture small; others are built with their defaults."""


def narrow(arch: str, channels: int = 1, size: int = 28, classes: int = 3, **options: Any) -> Any:
    torch.manual_seed(0)
    return models.build(arch, channels, classes, size, NARROW.get(arch, {}) | options)


def count(arch: str, channels: int, classes: int, size: int, **options: Any) -> int:
    with torch.device("meta"):  # shapes without memory
        return models.parameters(models.build(arch, channels, classes, size, options))


def image(batch: int, channels: int, size: int) -> torch.Tensor:
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(1))
