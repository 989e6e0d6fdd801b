"""Settings, draws and images that augmentation is tested with."""

from __future__ import annotations

import torch
from torch import Tensor

from al_cxr.config import AugmentSettings
from al_cxr.data.augment import DRAWS

OFF = AugmentSettings(horizontal_flip=0, rotation=0, translation=0, crop_scale=(1.0, 1.0), brightness=0, contrast=0)


def only(**changes: object) -> AugmentSettings:
    return AugmentSettings(**{**OFF.model_dump(), **changes})


def draws(batch: int = 1, **values: float) -> Tensor:
    """Every draw in the middle of its range and nothing flipped, but for those named."""
    middle = dict.fromkeys(DRAWS, 0.5) | {"flip": 1.0, "area": 1.0}
    return torch.tensor([list((middle | values).values())]).repeat(batch, 1)


def noise(batch: int = 4, size: int = 32, seed: int = 0) -> Tensor:
    return torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(seed))


def smooth(size: int = 64) -> Tensor:
    """A few Gaussian bumps, asymmetric and near zero at the edge, so that interpolating twice does little harm."""
    y, x = torch.meshgrid(*[(torch.arange(size) + 0.5) / size * 2 - 1] * 2, indexing="ij")
    bumps = [(0.3, -0.2, 0.9), (-0.25, 0.1, 0.5), (0.05, 0.35, 0.7)]
    image = torch.stack([h * torch.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.08) for a, b, h in bumps]).sum(0)
    return image.clamp(0, 1)[None, None]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
