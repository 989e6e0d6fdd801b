"""A network of timm with a head, on grey radiographs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.fx
from torch import Tensor, nn

from al_cxr.models.crops import SUMMARIES, chests, summary

torch.fx.wrap("chests")  # a tracer takes it as it is: where a chest lies is found outside of torch


class NoGrid(Exception):
    """A layer whose output is no map (B, C, H, W)."""


class Standardise(nn.Module):
    """(features - mean) / std with one mean and std a feature; 0 and 1 until `fit` is told the features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    def fit(self, mean_K: Tensor, std_K: Tensor) -> None:
        """A feature that never varies keeps its scale: there is none to take."""
        self.mean.copy_(mean_K)
        self.std.copy_(torch.where(std_K > 1e-6, std_K, 1.0))

    def forward(self, features_BK: Tensor) -> Tensor:
        return (features_BK - self.mean) / self.std


class Head(nn.Sequential):
    """Features (B, K) -> logits (B, classes): standardise, dropout, linear."""

    standardise: Standardise
    linear: nn.Linear

    def __init__(self, features: int, classes: int, dropout: float) -> None:
        standardise, linear = Standardise(features), nn.Linear(features, classes)
        super().__init__(OrderedDict(standardise=standardise, dropout=nn.Dropout(dropout), linear=linear))


class Backbone(nn.Module):
    """Radiographs (B, 1 or 3, S, S) in 0..1 -> logits (B, classes).

    With `chest` the network sees two crops of an image, the whole and its chest, and the head the features of both.

    Grey is repeated to RGB, then each channel is normalised as in the pretraining, and only then does the network pad
    with zeros. So `train.mean` and `train.std` do not count here.
    """

    def __init__(
        self,
        name: str,
        body: Any,
        classes: int,
        head_dropout: float,
        pretrained: bool,
        layers: Sequence[str] = (),
        chest: bool = False,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        self.name, self.pretrained, self.layers, self.chest = name, pretrained, tuple(layers), chest
        self.body = body
        self.mean: Tensor
        self.std: Tensor
        for key in ("mean", "std"):
            values = torch.tensor(body.pretrained_cfg[key], dtype=torch.float32).reshape(1, 3, 1, 1)
            self.register_buffer(key, values, persistent=False)
        self.head = Head(self._width(image_size), classes, head_dropout)

    def features(self, images: Tensor) -> Tensor:
        """What the head sees before it standardises, (B, K).

        The network's own features, then those of its inner `layers`; and with `chest` the same of the image's chest.
        """
        return self.joined(self.crop_features(self.crops(images)))

    def crops(self, images: Tensor) -> Tensor:
        """What the network looks at: the images, and with `chest` after them the chests of all, (2B, C, S, S)."""
        return torch.cat([images, chests(images)]) if self.chest else images

    def joined(self, features: Tensor) -> Tensor:
        """Features of crops -> features of images: those of the whole, then with `chest` those of its chest."""
        return torch.cat(features.chunk(2), dim=1) if self.chest else features

    def crop_features(self, crops: Tensor) -> Tensor:
        """Of one crop of each image, (B, K): the network's own features, then those of the inner layers."""
        own, maps = self._maps(crops)
        return torch.cat([own, *(summary(maps[name]) for name in self.layers)], dim=1) if self.layers else own

    def _maps(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The network's own features, and the output of each of the inner layers."""
        scaled = (images.expand(-1, 3, -1, -1) - self.mean) / self.std
        maps: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
            def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
                maps[name] = output

            return hook

        hooks = [self.body.get_submodule(name).register_forward_hook(keep(name)) for name in self.layers]
        try:
            own: Tensor = self.body(scaled)
            return own, maps
        finally:
            for hook in hooks:
                hook.remove()

    def _width(self, image_size: int) -> int:
        """Features an image; NoGrid where one of the layers has no grid to sum up."""
        own = int(getattr(self.body, "head_hidden_size", self.body.num_features))
        if self.layers:
            self.body.eval()  # so that no statistics are taken from an empty image
            with torch.no_grad():
                _, maps = self._maps(self.mean.new_zeros(1, 1, image_size, image_size))
            self.body.train()
            for name, output in maps.items():
                if not isinstance(output, Tensor) or output.ndim != 4:
                    gives = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                    raise NoGrid(f"{name} gives {gives} and no map (images, channels, height, width)")
            own += sum(SUMMARIES * output.shape[1] for output in maps.values())
        crops = 2 if self.chest else 1
        return own * crops

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits

    def train(self, mode: bool = True) -> Backbone:
        """As ever, but a layer whose parameters are all frozen stays in eval mode: batch-norm keeps its statistics."""
        super().train(mode)
        for layer in self.body.modules():
            own = list(layer.parameters(recurse=False))
            if own and not any(p.requires_grad for p in own):
                layer.training = False
        return self

    def depths(self, by_stage: bool) -> list[list[nn.Parameter]]:
        """The body's parameters from the input to the output, in groups: whole stages, or single blocks."""
        from timm.models import group_parameters

        matcher = self.body.group_matcher(coarse=by_stage)
        depth_of: dict[str, int] = group_parameters(self.body, matcher, return_values=False, reverse=True)
        groups: dict[int, list[nn.Parameter]] = {depth: [] for depth in sorted(set(depth_of.values()))}
        for name, parameter in self.body.named_parameters():
            groups[depth_of[name]].append(parameter)
        return list(groups.values())
