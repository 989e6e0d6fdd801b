"""Fast and plain passes of a network beside each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

SIZE = 32


FIELDS = ("mean_probs_NC", "predictive_entropy_N", "expected_entropy_N", "variation_ratio_N", "mean_std_N")


def images(count: int = 9, channels: int = 1) -> Tensor:
    return torch.randn(count, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def batches(x: Tensor, size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
    for i in range(0, len(x), size):
        yield np.arange(i, min(i + size, len(x))), x[i : i + size]


def trained(net: nn.Module) -> nn.Module:
    """With batch-norm statistics that are neither 0 nor 1, and outputs that differ between images."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_()
    return net.eval()


class Functional(nn.Module):
    """Residual, in place, functional and module dropout, and a branch of stochastic depth."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.branch = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.depth = StochasticDepth(0.5, "row")
        self.one, self.two = nn.Linear(8, 16), nn.Linear(16, 3)
        self.last = nn.BatchNorm1d(16)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)), True)
        x += self.depth(self.branch(x))
        x = F.dropout2d(x.relu_(), 0.3, self.training).mean((2, 3))
        x = self.last(self.one(x))
        return self.two(F.dropout(torch.relu(x), p=0.4, training=self.training))
