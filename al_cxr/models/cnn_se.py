"""A small residual network with squeeze-and-excitation."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from al_cxr.models.base import Probability, Width, architecture
from al_cxr.models.layers import kaiming, scaled

CHANNELS = (32, 64, 128, 256)

Reduction = Annotated[int, Field(ge=1, le=64)]


class SqueezeExcitation(nn.Module):
    """Every channel times a gate in 0..1 computed from the means of all channels: sigmoid(W2 relu(W1 mean))."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        squeezed = max(1, channels // reduction)
        self.gate = nn.Sequential(nn.Linear(channels, squeezed), nn.ReLU(), nn.Linear(squeezed, channels), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gates_BC: torch.Tensor = self.gate(x.mean(dim=(2, 3)))
        return x * gates_BC[:, :, None, None]


class Block(nn.Module):
    """Conv, batch-norm, ReLU, conv, batch-norm, squeeze-and-excitation, plus the projected input, ReLU."""

    def __init__(self, channels: int, out: int, stride: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            SqueezeExcitation(out, reduction),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels, out, 1, stride=stride, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


@architecture("cnn_se")
def cnn_se(
    in_channels: int,
    classes: int,
    image_size: int,
    *,
    width: Width = 1.0,
    reduction: Reduction = 16,
    dropout: Probability = 0.3,
) -> nn.Sequential:
    """Conv stem of stride 2, four blocks 32-64-128-256 (all but the first halve the side), mean, dropout, linear.

    All randomness is in the head.

    Parameters
    ----------
    width : float
        Scales the channels.
    reduction : int
        Channels by units in the hidden layer of a gate.
    dropout : float
        Before the last layer.

    References
    ----------
    Hu, Shen and Sun, "Squeeze-and-Excitation Networks" (2018), https://arxiv.org/abs/1709.01507.

    Examples
    --------
    >>> import torch
    >>> from al_cxr import models
    >>> with torch.device("meta"):  # sizes without memory
    ...     network = models.build("cnn_se", 1, 3, 224, {})
    >>> models.parameters(network)
    1239073
    """
    channels = scaled(CHANNELS[0], width)
    stem = nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
    )
    blocks: list[nn.Module] = []
    for i, size in enumerate(CHANNELS):
        out = scaled(size, width)
        blocks.append(Block(channels, out, stride=1 if i == 0 else 2, reduction=reduction))
        channels = out
    features = nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    kaiming(features)
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, classes))
    return nn.Sequential(OrderedDict(features=features, head=head))
