"""What several architectures are made of."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def scaled(size: int, width: float) -> int:
    """A layer size times the width factor, rounded, at least 1."""
    return max(1, round(size * width))


def kaiming(model: nn.Module) -> None:
    """Initialise in place for ReLU: He 2015, normal, fan-out for convolutions, fan-in for linear layers."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def outputs_of(layers: Iterable[nn.Module], model: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """What `layers` put out during one ordinary `model(x)`, in the order they ran.

    This is how attention weights are read: they are the ones forward used, not computed a second time.
    """
    seen: list[torch.Tensor] = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: seen.append(out)) for layer in layers]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return seen
