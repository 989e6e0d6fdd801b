"""How much of a network is trained.

All of it, the head and the last stages (`last`), or the head alone (`frozen`), on features that are computed once an
image (al_cxr.training.feature_cache).
"""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from al_cxr.core.errors import UserError
from al_cxr.models.backbone import Backbone

Tune = Literal["all", "last", "frozen"]


def tuned(model: nn.Module, tune: Tune, stages: int, depthwise: bool = True) -> nn.Module:
    """The model with what `model.tune` leaves alone frozen; for `frozen` the head alone.

    `stages` are those at the end of a backbone that `last` trains; without `depthwise` their depthwise kernels (one a
    channel) stay as they are. UserError for a model without pretrained weights, or without so many stages.
    """
    if tune == "all":
        return model
    if not isinstance(model, Backbone) or not model.pretrained:
        raise UserError(
            f"model.tune: {tune} needs pretrained weights; choose model.arch efficientnet_lite0, or backbone with "
            "model.options.backbone.weights, or set model.tune: all"
        )
    if tune == "frozen":
        return model.head
    groups = model.depths(by_stage=True)
    if stages > len(groups):
        raise UserError(f"model.tune_stages: {stages}, but {model.name} has {len(groups)}; lower it, or tune: all")
    for parameter in (p for group in groups[: len(groups) - stages] for p in group):
        parameter.requires_grad_(False)
    for module in model.body.modules():
        if not depthwise and isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            module.requires_grad_(False)
    return model


def parameter_groups(model: nn.Module, lr: float, layer_decay: float) -> list[dict[str, Any]]:
    """What is trained, for an optimizer: the head with the rate `lr`, each block below with `layer_decay` times less.

    Layer-wise decay as in ELECTRA (Clark 2020) and BEiT (Bao 2022). A decay of 1 gives one group. UserError where it
    is below 1 and the model is no backbone.
    """
    if layer_decay == 1:
        return [{"params": [p for p in model.parameters() if p.requires_grad]}]
    if not isinstance(model, Backbone):
        raise UserError(
            "train.layer_decay: below 1 it needs a pretrained backbone (model.arch efficientnet_lite0 or backbone); "
            "set it to 1"
        )
    groups = [list(model.head.parameters()), *reversed(model.depths(by_stage=False))]
    trained = [[p for p in group if p.requires_grad] for group in groups]
    return [{"params": group, "lr": lr * layer_decay**above} for above, group in enumerate(trained) if group]
