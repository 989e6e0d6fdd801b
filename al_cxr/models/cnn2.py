"""Two convolutions and a fully connected layer: the smallest convolutional baseline."""

from __future__ import annotations

from torch import nn

from al_cxr.models.base import Probability, Width, register
from al_cxr.models.layers import scaled


@register("cnn2")
def cnn2(
    in_channels: int, classes: int, image_size: int, *, width: Width = 1.0, dropout: Probability = 0.0
) -> nn.Sequential:
    """Conv 16, conv 32 (3x3, ReLU, max-pool 2 each), FC 128. `width` scales all three, `dropout` follows the FC layer.

    With grey input of side S and Q = S // 4: 160 + 4,640 + 32 Q^2 * 128 + 128 + 129 classes parameters.
    """
    first, second, hidden = scaled(16, width), scaled(32, width), scaled(128, width)
    return nn.Sequential(
        nn.Conv2d(in_channels, first, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * (image_size // 4) ** 2, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
