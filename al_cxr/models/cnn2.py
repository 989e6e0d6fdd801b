"""Two convolutions and a fully connected layer: the smallest convolutional baseline."""

from __future__ import annotations

from torch import nn

from al_cxr.models.base import Probability, Width, architecture
from al_cxr.models.layers import scaled


@architecture("cnn2")
def cnn2(
    in_channels: int, classes: int, image_size: int, *, width: Width = 1.0, dropout: Probability = 0.0
) -> nn.Sequential:
    """Conv 16, conv 32 (3x3, ReLU, max-pool 2 each), FC 128.

    With grey input of side S and Q = S // 4: 160 + 4,640 + 32 Q^2 * 128 + 128 + 129 classes parameters.

    Parameters
    ----------
    width : float
        Scales the channels and units of all three layers.
    dropout : float
        After the fully connected layer.

    Examples
    --------
    >>> import torch
    >>> from al_cxr import models
    >>> with torch.device("meta"):  # sizes without memory
    ...     network = models.build("cnn2", 1, 3, 224, {})
    >>> models.parameters(network)
    12850371
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
