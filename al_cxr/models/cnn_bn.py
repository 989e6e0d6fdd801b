"""Two convolutions with batch normalisation and a fully connected layer with dropout."""

from __future__ import annotations

from torch import nn

from al_cxr.models.base import Probability, Width, architecture
from al_cxr.models.layers import scaled


@architecture("cnn_bn")
def cnn_bn(
    in_channels: int, classes: int, image_size: int, *, width: Width = 1.0, dropout: Probability = 0.5
) -> nn.Sequential:
    """Conv 32, conv 64 (3x3, batch-norm, ReLU, max-pool 2 each), FC 256, dropout.

    With grey input of side S and Q = S // 4: 320 + 64 + 18,496 + 128 + 64 Q^2 * 256 + 256 + 257 classes parameters.

    Parameters
    ----------
    width : float
        Scales the channels and units of all three layers.
    dropout : float
        After the fully connected layer.

    References
    ----------
    Ioffe and Szegedy, "Batch Normalization" (2015), https://arxiv.org/abs/1502.03167.

    Examples
    --------
    >>> import torch
    >>> from al_cxr import models
    >>> with torch.device("meta"):  # sizes without memory
    ...     network = models.build("cnn_bn", 1, 3, 224, {})
    >>> models.parameters(network)
    51400259
    """
    first, second, hidden = scaled(32, width), scaled(64, width), scaled(256, width)
    return nn.Sequential(
        nn.Conv2d(in_channels, first, 3, padding=1),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.BatchNorm2d(second),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * (image_size // 4) ** 2, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
