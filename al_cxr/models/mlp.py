"""One hidden layer on the raw pixels."""

from __future__ import annotations

from torch import nn

from al_cxr.models.base import Probability, Units, architecture


@architecture("mlp")
def mlp(
    in_channels: int, classes: int, image_size: int, *, hidden: Units = 128, dropout: Probability = 0.0
) -> nn.Sequential:
    """Pixels - `hidden` - classes with ReLU, 50,176-128-classes for grey 224 px.

    Parameters
    ----------
    hidden : int
        Units of the hidden layer.
    dropout : float
        After the ReLU.

    Examples
    --------
    >>> import torch
    >>> from al_cxr import models
    >>> with torch.device("meta"):  # sizes without memory
    ...     network = models.build("mlp", 1, 3, 224, {})
    >>> models.parameters(network)
    6423043
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(in_channels * image_size**2, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
