"""The five-block convolutional network of the source report."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

from pydantic import Field
from torch import nn

from al_cxr.models.base import Probability, Width, architecture
from al_cxr.models.layers import kaiming, scaled

CHANNELS = (64, 128, 256, 512, 512)
DROPOUT = (0.25, 0.25, 0.3, 0.3, 0.3)
GRID = 7

Repeats = Annotated[int, Field(ge=1, le=4)]
Scale = Annotated[float, Field(ge=0, le=3)]


@architecture("cnn")
def cnn(
    in_channels: int,
    classes: int,
    image_size: int,
    *,
    width: Width = 1.0,
    convs_per_block: Repeats = 1,
    dropout: bool | Scale = True,
    channel_dropout: bool = True,
    head_dropout: Probability = 0.5,
) -> nn.Sequential:
    """Blocks 64-128-256-512-512 (conv 3x3, batch-norm, ReLU, max-pool, dropout), 7x7 pooling, FC 4,096-2,048-classes.

    At 224 px with 3 channels and 3 classes this layer list has 115,075,075 parameters, of which 102,764,544 in the
    first fully connected layer (25,088 x 4,096); the "~40 M" that the source report states cannot be right.
    Below 193 px the map that reaches the pooling is smaller than 7x7 and is left at its own size (2x2 at 64 px).

    Kaiming initialisation (He 2015).

    Parameters
    ----------
    width : float
        Scales the channels and units of all layers.
    convs_per_block : int
        Convolutions before each pooling.
    dropout : bool or float
        Scales the blocks' .25 .25 .3 .3 .3; True is 1, False 0.
    channel_dropout : bool
        Drop whole feature maps rather than single values: neighbouring values of a map are so alike that dropping
        single ones hardly changes it.
    head_dropout : float
        After each of the two hidden fully connected layers.

    References
    ----------
    Tompson et al., "Efficient Object Localization Using Convolutional Networks" (2015), for dropped maps,
    https://arxiv.org/abs/1411.4280; He et al. 2015, https://arxiv.org/abs/1502.01852.

    Examples
    --------
    >>> import torch
    >>> from al_cxr import models
    >>> with torch.device("meta"):  # sizes without memory
    ...     network = models.build("cnn", 3, 3, 224, {})
    >>> models.parameters(network)
    115075075
    """
    drop = nn.Dropout2d if channel_dropout else nn.Dropout
    features: list[nn.Module] = []
    channels, grid = in_channels, image_size
    for block_channels, p in zip(CHANNELS, DROPOUT, strict=True):
        layers: list[nn.Module] = []
        for _ in range(convs_per_block):
            out = scaled(block_channels, width)
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        # ceil_mode keeps a pixel at 28 px and changes nothing at 224 = 7 * 2^5.
        features.append(nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True), drop(p * dropout)))
        grid = -(-grid // 2)
    # Pooling a smaller map "up" to 7x7 would repeat its cells: the head would see every feature many times over.
    grid = min(grid, GRID)
    first, second = scaled(4096, width), scaled(2048, width)
    classifier = nn.Sequential(
        nn.Linear(channels * grid * grid, first),
        nn.ReLU(),
        nn.Dropout(head_dropout),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Dropout(head_dropout),
        nn.Linear(second, classes),
    )
    model = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(*features),
            pool=nn.AdaptiveAvgPool2d(grid),
            flatten=nn.Flatten(),
            classifier=classifier,
        )
    )
    kaiming(model)
    return model
