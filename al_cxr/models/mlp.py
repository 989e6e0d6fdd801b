"""One hidden layer on the raw pixels."""

from __future__ import annotations

from torch import nn

from al_cxr.models.base import Probability, Units, register


@register("mlp")
def mlp(
    in_channels: int, classes: int, image_size: int, *, hidden: Units = 128, dropout: Probability = 0.0
) -> nn.Sequential:
    """Pixels - `hidden` - classes with ReLU, 50,176-128-classes for grey 224 px; `dropout` follows the ReLU."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(in_channels * image_size**2, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
