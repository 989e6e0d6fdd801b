"""A trained head fitted to the images of another hospital without their labels: for better or worse.

Another machine moves every image's features by much the same amount, and a threshold that held where the model was
trained then flags too many or too few. So the head standardises by the mean and the deviation of the features *there*
instead of those of its training images: batch-norm's adaptation to a new domain (Li et al. 2017,
https://arxiv.org/abs/1603.04779; Schneider et al. 2020, https://arxiv.org/abs/2006.16971) where all that is trained is
one linear layer. It takes for granted that about as many of the images show each class as in training: the mean of
another mix lies elsewhere, and the threshold moves with it. Trained on as many ill as healthy people and adapted to 98
healthy ones and 2 ill, a model of tuberculosis fell from 78 to 27 % specificity on them.

It may do either, and nothing but labels from there can tell: on radiographs of a hospital that no model had seen, it
made the best one worse (AUC 0.864 to 0.852, specificity 74 to 59 %, sensitivity 80 to 86 %) and helped others.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn

from al_cxr.core.errors import UserError
from al_cxr.models.backbone import Backbone, Head

FEWEST = 64
"""Images that an adaptation wants: thousands of means and deviations of a handful of images are mostly chance."""

CANNOT = (
    "no network in it can be adapted: that takes a frozen backbone (model.tune: frozen), whose head is trained on "
    "standardised features"
)


def too_few(images: int) -> str:
    """That so many are fewer than FEWEST, in words."""
    return (
        f"{images} images are too few to adapt to; {FEWEST} or more different ones with something to see on them are "
        "needed, without labels"
    )


def require_enough(images: int) -> None:
    """UserError for fewer than FEWEST."""
    if images < FEWEST:
        raise UserError(too_few(images))


class FeatureMoments:
    """Mean and standard deviation of features that come in batches, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: np.ndarray | float = 0.0
        self._squares: np.ndarray | float = 0.0

    def add(self, features_NK: np.ndarray) -> None:
        """Chan et al. 1979: the sums about the mean of two parts give those of both."""
        part_NK = np.asarray(features_NK, np.float64)
        n, mean_K = len(part_NK), part_NK.mean(axis=0)
        delta_K, both = mean_K - self._mean, self.count + n
        self._squares = self._squares + ((part_NK - mean_K) ** 2).sum(axis=0) + delta_K**2 * self.count * n / both
        self._mean, self.count = self._mean + delta_K * n / both, both

    def fit(self, head: Head) -> Head:
        """A copy of the head that standardises by these features; UserError for fewer than FEWEST images."""
        require_enough(self.count)
        adapted = copy.deepcopy(head)
        mean_K, std_K = np.asarray(self._mean), np.sqrt(np.asarray(self._squares) / self.count)
        place = head.standardise.mean
        adapted.standardise.fit(*(torch.from_numpy(a).to(place.device, place.dtype) for a in (mean_K, std_K)))
        return adapted


def can_adapt(network: nn.Module) -> bool:
    """Whether a network's head was trained on standardised features, as that of a frozen backbone is."""
    return isinstance(network, Backbone) and bool((network.head.standardise.std != 1).any())
