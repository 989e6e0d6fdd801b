"""What a model is trained to make small: cross-entropy, class-weighted cross-entropy, focal loss.

All are one formula. With soft labels y (one-hot, smoothed or mixed), probabilities p and class weights w,

    loss = sum over c of  y_c * w_c * (1 - p_c)^gamma * -log p_c      [nats]

is linear in y: gamma = 0 and w = 1 is cross-entropy; gamma > 0 is the focal loss (Lin et al. 2017, Focal Loss for Dense
Object Detection, eq. 5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from al_cxr.config import LossSettings
from al_cxr.core.errors import UserError


class Loss(nn.Module):
    """Mean loss of a batch.

    Called with logits (B, C) and targets, int64 (B,) class indices or float (B, C) soft labels; returns a scalar, in
    float32 also under autocast and for half-precision logits (float64 stays float64).

    `weights_C` are the class weights w, None for all 1. `weighted_mean` divides by the summed weights of the targets
    (what PyTorch's weighted cross-entropy does) instead of by B.
    """

    weights_C: Tensor | None

    def __init__(
        self,
        gamma: float = 0.0,
        weights_C: Tensor | None = None,
        weighted_mean: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.weighted_mean = weighted_mean
        self.label_smoothing = label_smoothing
        self.register_buffer("weights_C", weights_C, persistent=False)

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        if logits_BC.dtype != torch.float64:
            logits_BC = logits_BC.float()
        n_classes = logits_BC.shape[1]
        y_BC = targets if targets.is_floating_point() else F.one_hot(targets, n_classes)
        if y_BC.shape != logits_BC.shape:
            raise ValueError(f"targets {tuple(targets.shape)} do not fit logits {tuple(logits_BC.shape)}")
        y_BC = y_BC.to(logits_BC)
        smooth_BC = (1 - self.label_smoothing) * y_BC + self.label_smoothing / n_classes

        loss_BC = -logits_BC.log_softmax(dim=1)
        if self.gamma:
            loss_BC = loss_BC * (self.gamma * log_not_p(logits_BC)).exp()
        if self.weights_C is None:
            return (smooth_BC * loss_BC).sum() / len(y_BC)
        weights_C = self.weights_C.to(logits_BC)
        total = (y_BC * weights_C).sum() if self.weighted_mean else len(y_BC)
        return (smooth_BC * loss_BC * weights_C).sum() / total


def log_not_p(logits_BC: Tensor) -> Tensor:
    """log(1 - p_c) of the softmax, (B, C), as logsumexp over the other classes minus logsumexp over all.

    Unlike log(1 - exp(log p)) it keeps its digits, and a finite gradient, when p_c rounds to 1.
    """
    n_classes = logits_BC.shape[1]
    itself_CC = torch.eye(n_classes, dtype=torch.bool, device=logits_BC.device)
    others_BC = logits_BC[:, None, :].masked_fill(itself_CC, -torch.inf).logsumexp(dim=2)
    return others_BC - logits_BC.logsumexp(dim=1, keepdim=True)


def balanced_weights(class_counts_C: np.ndarray | Sequence[int]) -> Tensor:
    """Inverse class frequencies, float32 (C,), scaled to mean 1.

    A class without a labelled image counts like the rarest one that has some: its weight then only matters through
    label smoothing, and is neither zero (0/0 in a batch of that class) nor infinite.
    """
    counts_C = np.asarray(class_counts_C, dtype=np.float64)
    if counts_C.ndim != 1 or (counts_C < 0).any() or not counts_C.any():
        raise ValueError(f"class counts want one number >= 0 a class and at least one > 0, not {class_counts_C!r}")
    inverse_C = 1 / np.where(counts_C > 0, counts_C, counts_C[counts_C > 0].min())
    return torch.from_numpy(inverse_C / inverse_C.mean()).float()


def build(settings: LossSettings, class_counts_C: np.ndarray | Sequence[int], *, name: str = "*") -> Loss:
    """The loss that the settings name, for these numbers of labelled images a class (C,).

    - `cross_entropy`: plain, over B.
    - `weighted`: weights by `balanced_weights`; the mean is PyTorch's weighted mean, for soft labels with the weights
      that the labels have before smoothing.
    - `focal`: gamma, and alpha as class weights (none, by `balanced_weights`, or a list with one a class); mean over B.

    `name` is the loss's name under `losses` in the YAML, for messages. UserError where a list alpha does not fit.
    """
    smoothing = settings.label_smoothing
    if settings.kind == "cross_entropy":
        return Loss(label_smoothing=smoothing)
    if settings.kind == "weighted":
        return Loss(weights_C=balanced_weights(class_counts_C), weighted_mean=True, label_smoothing=smoothing)
    return Loss(settings.gamma, _alpha(settings, class_counts_C, f"losses.{name}.alpha"), label_smoothing=smoothing)


def _alpha(settings: LossSettings, class_counts_C: np.ndarray | Sequence[int], key: str) -> Tensor | None:
    if settings.alpha == "none":
        return None
    if settings.alpha == "balanced":
        return balanced_weights(class_counts_C)
    alpha_C, n_classes = settings.alpha, len(class_counts_C)
    if len(alpha_C) != n_classes:
        raise UserError(
            f"{key}: {len(alpha_C)} weights for {n_classes} classes; give one a class, in the order of the classes"
        )
    if min(alpha_C) < 0 or max(alpha_C) == 0:
        raise UserError(f"{key}: class weights must be 0 or more, and one of them above 0 (got {alpha_C})")
    return torch.tensor(alpha_C, dtype=torch.float32)
