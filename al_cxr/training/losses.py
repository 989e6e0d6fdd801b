"""What a model is trained to make small: cross-entropy, class-weighted cross-entropy, focal loss.

The three are one formula. With soft labels y (one-hot, smoothed or mixed), probabilities p and class weights w,

    loss = sum over c of  y_c * w_c * (1 - p_c)^gamma * -log p_c      [nats]

is linear in y: gamma = 0 and w = 1 is cross-entropy; gamma > 0 is the focal loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from al_cxr.config import LossSettings
from al_cxr.core.errors import UserError
from al_cxr.core.options import checked, defaults
from al_cxr.core.registry import Registry

Gamma = Annotated[float, Field(ge=0)]
Smoothing = Annotated[float, Field(ge=0, lt=1)]
Alpha = Literal["none", "balanced"] | list[float]
Counts = np.ndarray | Sequence[int]
"""Labelled images a class, (C,)."""

Builder = Callable[..., nn.Module]
"""`(class_counts_C, *, options)` -> a module: logits (B, C) and targets, as `Loss` takes them -> a scalar."""
LOSSES: Registry[Builder] = Registry("loss", "al_cxr.training", "al_cxr.losses", arguments=["class_counts_C"])
"""All losses, by name."""
loss = LOSSES.register
"""Decorator `loss(name)` for a function `(class_counts_C, *, options)`; a new file of this room is enough to add one.

The settings have one default for all losses of what is called gamma, alpha and label_smoothing, and it is theirs that
holds; a loss without one of them leaves it out.
"""


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


def balanced_weights(class_counts_C: Counts) -> Tensor:
    """Inverse class frequencies, float32 (C,), scaled to mean 1.

    A class without a labelled image counts like the rarest one that has some: its weight then only matters through
    label smoothing, and is neither zero (0/0 in a batch of that class) nor infinite.
    """
    counts_C = np.asarray(class_counts_C, dtype=np.float64)
    if counts_C.ndim != 1 or (counts_C < 0).any() or not counts_C.any():
        raise ValueError(f"class counts want one number >= 0 a class and at least one > 0, not {class_counts_C!r}")
    inverse_C = 1 / np.where(counts_C > 0, counts_C, counts_C[counts_C > 0].min())
    return torch.from_numpy(inverse_C / inverse_C.mean()).float()


@loss("cross_entropy")
def cross_entropy(class_counts_C: Counts, *, label_smoothing: Smoothing = 0.0) -> Loss:
    """Cross-entropy, mean over the batch, nats.

    Parameters
    ----------
    label_smoothing : float
        0..1; share of each label that is spread over all classes.

    References
    ----------
    Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, for the smoothing.

    Examples
    --------
    >>> cross_entropy([5, 5])(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6931)
    """
    return Loss(label_smoothing=label_smoothing)


@loss("weighted")
def weighted(class_counts_C: Counts, *, label_smoothing: Smoothing = 0.0) -> Loss:
    """Cross-entropy with inverse class frequencies as weights (`balanced_weights`), PyTorch's weighted mean.

    For soft labels the mean is taken with the weights that the labels have before smoothing.

    Parameters
    ----------
    label_smoothing : float
        0..1; share of each label that is spread over all classes.

    References
    ----------
    King and Zeng, "Logistic Regression in Rare Events Data" (2001).

    Examples
    --------
    >>> weighted([9, 1])(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor(0.6931)
    """
    return Loss(weights_C=balanced_weights(class_counts_C), weighted_mean=True, label_smoothing=label_smoothing)


@loss("focal")
def focal(
    class_counts_C: Counts, *, gamma: Gamma = 2.0, alpha: Alpha = "none", label_smoothing: Smoothing = 0.0
) -> Loss:
    """Cross-entropy times (1 - p)^gamma: examples that are right and sure count less. Mean over the batch, nats.

    Parameters
    ----------
    gamma : float
        0 or more; 0 is cross-entropy.
    alpha : "none", "balanced" or list of float
        Weight a class: 1 for all, by `balanced_weights`, or one number each, in the order of the classes.
    label_smoothing : float
        0..1; share of each label that is spread over all classes.

    References
    ----------
    Lin et al., "Focal Loss for Dense Object Detection" (2017), eq. 5, https://arxiv.org/abs/1708.02002.

    Examples
    --------
    >>> focal([5, 5], gamma=1.0)(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.3466)
    """
    return Loss(gamma, _alpha(alpha, class_counts_C), label_smoothing=label_smoothing)


def check(settings: LossSettings, where: str) -> tuple[Builder, dict[str, Any]]:
    """The builder that the settings name and its options; UserError, beginning with `where`, where there is none."""
    builder = LOSSES.get(settings.kind, f"{where}.kind: ")
    takes = defaults(builder)
    given = {key: value for key, value in settings.shared.items() if key in takes} | settings.options
    return builder, checked(builder, given, settings.kind, where)


def build(settings: LossSettings, class_counts_C: Counts, *, name: str = "*") -> nn.Module:
    """The loss that the settings name, for these numbers of labelled images a class (C,).

    `name` is the loss's name under `losses` in the YAML, for messages. UserError for an unknown kind or option, and
    where a list alpha does not fit the classes.
    """
    builder, options = check(settings, f"losses.{name}")
    try:
        return builder(class_counts_C, **options)
    except UserError as error:
        raise UserError(f"losses.{name}.{error}") from None


def _alpha(alpha: Alpha, class_counts_C: Counts) -> Tensor | None:
    if alpha == "none":
        return None
    if alpha == "balanced":
        return balanced_weights(class_counts_C)
    classes = len(class_counts_C)
    if len(alpha) != classes:
        raise UserError(f"alpha: {len(alpha)} weights for {classes} classes; give one a class, in their order")
    if min(alpha) < 0 or max(alpha) == 0:
        raise UserError(f"alpha: class weights must be 0 or more, and one of them above 0 (got {alpha})")
    return torch.tensor(alpha, dtype=torch.float32)
