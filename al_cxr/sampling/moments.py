"""Running statistics of Monte-Carlo passes: of T passes over N images only sums are kept, never N x T x C."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from al_cxr.strategies.statistics import entropy


class PassMoments:
    """Means and co-moments over passes of an image's class probabilities and of their entropy (nats), in float64.

    The K = C + 1 numbers of a pass are its probabilities and, last, their entropy. Images may have had different
    numbers of passes.
    """

    def __init__(self, images: int, classes: int, device: torch.device | None = None) -> None:
        k = classes + 1
        self.count_N = torch.zeros(images, dtype=torch.float64, device=device)
        self.mean_NK = torch.zeros(images, k, dtype=torch.float64, device=device)
        self.scatter_NKK = torch.zeros(images, k, k, dtype=torch.float64, device=device)
        """Sums of products of deviations from the mean; over count - 1 it is the covariance."""
        self._votes_NC = torch.zeros(images, classes, dtype=torch.float64, device=device)

    def add(self, rows_B: Tensor, probs_BSC: Tensor) -> None:
        """S passes more of the images at some rows, each row once."""
        p_BSC = probs_BSC.to(torch.float64)
        z_BSK = torch.cat([p_BSC, torch.special.entr(p_BSC).sum(dim=-1, keepdim=True)], dim=-1)
        # Chan's update: two means and scatters become one, without a difference of large sums.
        s, t_B1 = z_BSK.shape[1], self.count_N[rows_B][:, None]
        mean_BK = z_BSK.mean(dim=1)
        centred_BSK = z_BSK - mean_BK[:, None]
        shift_BK = mean_BK - self.mean_NK[rows_B]
        between_BKK = shift_BK[:, :, None] * shift_BK[:, None, :] * (t_B1 * s / (t_B1 + s))[:, :, None]
        self.scatter_NKK[rows_B] += (centred_BSK.transpose(1, 2) @ centred_BSK) + between_BKK
        self.mean_NK[rows_B] += shift_BK * (s / (t_B1 + s))
        self.count_N[rows_B] += s
        votes_BS = p_BSC.argmax(dim=-1)
        self._votes_NC[rows_B] += torch.nn.functional.one_hot(votes_BS, p_BSC.shape[-1]).sum(dim=1)

    def statistics(self) -> dict[str, Any]:
        """Fields of PoolStatistics, entropies in nats; NaN where a probability was."""
        mean_NC, expected_N = self.mean_NK[:, :-1].cpu().numpy(), self.mean_NK[:, -1].cpu().numpy()
        count_N = self.count_N.cpu().numpy()
        variance_NC = self.scatter_NKK.diagonal(dim1=1, dim2=2)[:, :-1].cpu().numpy() / count_N[:, None]
        predictive_N = entropy(mean_NC)
        return {
            "mean_probs_NC": mean_NC,
            "predictive_entropy_N": predictive_N,
            "expected_entropy_N": expected_N,
            "mutual_information_N": np.maximum(predictive_N - expected_N, 0.0),
            "variation_ratio_N": 1 - self._votes_NC.max(dim=1).values.cpu().numpy() / count_N,
            "mean_std_N": np.sqrt(np.maximum(variance_NC, 0.0)).mean(axis=1),
        }
