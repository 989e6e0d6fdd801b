"""A small network with dropout and batch-norm, and batches of images for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

STATISTICS = [
    "mean_probs_NC",
    "predictive_entropy_N",
    "expected_entropy_N",
    "mutual_information_N",
    "variation_ratio_N",
    "mean_std_N",
]


class Net(nn.Module):
    """Dropout after a convolution and in the head, batch-norm between."""

    def __init__(self, p: float = 0.4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(p), nn.Flatten())
        self.hidden, self.drop, self.head = nn.Linear(4 * 36, 16), nn.Dropout(p), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return 4 * self.head(self.drop(torch.relu(self.hidden(self.body(x)))))


def batches(images: Tensor, index_N: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, Tensor]]:
    for i in range(0, len(index_N), size):
        part = index_N[i : i + size]
        yield part, images[torch.from_numpy(part)]


def all_of(images: Tensor, size: int = 32) -> Iterator[tuple[np.ndarray, Tensor]]:
    return batches(images, np.arange(len(images)), size)
