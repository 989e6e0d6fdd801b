"""Backbones of timm with weights from a local file, a package or another experiment: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint, nearest
from al_cxr.models.backbone import Backbone, NoGrid
from al_cxr.models.base import Probability, architecture
from al_cxr.models.bodies import LITES, carried, fill, timm_body
from al_cxr.models.weights import Hash, Weights, read_weights

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9_.]+$", description="of a model in timm, with or without its tag")]
Layers = Annotated[
    Sequence[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")]],
    Field(description="modules of the network whose maps the head sees too, summed up by al_cxr.models.crops"),
]
# Two crops of each image; the name stays, as it stands in the settings of published runs and in their fits' keys.
Chest = Annotated[bool, Field(description="the head sees the image cut to its chest too, beside the whole image")]


@architecture("backbone", pixels=True)
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
    chest: Chest = False,
) -> Backbone:
    """Any model of timm, by its name there; and resnet50_v1 (al_cxr.models._resnet_v1).

    The normalisation is the one that timm states.

    Parameters
    ----------
    name : str
        Of a model in timm; it must be given.
    weights : str
        'none' or a .pth, .pt or .safetensors file of it with or without its classifier, for resnet50_v1 also the .tgz
        of a package. A torchvision ResNet's file fits the model of the same name.
    weights_sha256 : str
        First hex digits of the file's SHA-256; empty: those in its name, if there are some.
    head_dropout : float
        Before the last layer.
    layers : list of str
        Modules of the network whose maps the head sees too, summed up (al_cxr.models.crops).
    chest : bool
        The head sees two crops of an image: the whole, and its chest.

    References
    ----------
    Wightman, "PyTorch Image Models", https://github.com/huggingface/pytorch-image-models.

    Examples
    --------
    >>> from al_cxr import models
    >>> network = models.build("backbone", 1, 2, 64, {"name": "test_resnet"})
    >>> network.head.linear.out_features
    2
    """
    key = "model.options.backbone.weights"
    if weights == "imagenet":
        raise UserError(f"{key}: nothing is downloaded for timm's models; name a file with the weights of {name}")
    body = timm_body("backbone", name, image_size)
    if weights != "none":
        path = Path(weights).expanduser()
        fill(body, read_weights(path, weights_sha256, key), f"{key}: {path}")
    return _with_head("backbone", name, body, classes, image_size, head_dropout, weights != "none", layers, chest)


@architecture("efficientnet_lite0", pixels=True)
def efficientnet_lite0(
    in_channels: int,
    classes: int,
    image_size: int,
    *,
    weights: Weights = "imagenet",
    weights_sha256: Hash = "",
    head_dropout: Probability = 0.0,
    layers: Layers = (),
    chest: Chest = False,
) -> Backbone:
    """EfficientNet-Lite0, 3,371,008 parameters and a head on 1,280 features; made for 224 px.

    Parameters
    ----------
    weights : str
        'imagenet' (Google's, which a package carries), 'none', or a file: timm's, or a model of al-cxr's own.
    weights_sha256 : str
        First hex digits of the file's SHA-256; empty: those in its name, if there are some.
    head_dropout : float
        Before the last layer.
    layers : list of str
        Modules of the network whose maps the head sees too, summed up (al_cxr.models.crops).
    chest : bool
        The head sees two crops of an image: the whole, and its chest.

    References
    ----------
    Tan and Le, "EfficientNet" (2019), https://arxiv.org/abs/1905.11946.

    Examples
    --------
    >>> from al_cxr import models
    >>> models.parameters(models.build("efficientnet_lite0", 1, 3, 64, {"weights": "none"}))
    3374851
    """
    return _lite("efficientnet_lite0", classes, image_size, weights, weights_sha256, head_dropout, layers, chest)


@architecture("efficientnet_lite2", pixels=True)
def efficientnet_lite2(
    in_channels: int,
    classes: int,
    image_size: int,
    *,
    weights: Weights = "imagenet",
    weights_sha256: Hash = "",
    head_dropout: Probability = 0.0,
    layers: Layers = (),
    chest: Chest = False,
) -> Backbone:
    """EfficientNet-Lite2, 4,811,072 parameters and a head on 1,280 features; made for 260 px.

    Parameters
    ----------
    weights : str
        'imagenet' (Google's, which a package carries), 'none', or a file: timm's, or a model of al-cxr's own.
    weights_sha256 : str
        First hex digits of the file's SHA-256; empty: those in its name, if there are some.
    head_dropout : float
        Before the last layer.
    layers : list of str
        Modules of the network whose maps the head sees too, summed up (al_cxr.models.crops).
    chest : bool
        The head sees two crops of an image: the whole, and its chest.

    References
    ----------
    Tan and Le, "EfficientNet" (2019), https://arxiv.org/abs/1905.11946.

    Examples
    --------
    >>> from al_cxr import models
    >>> models.parameters(models.build("efficientnet_lite2", 1, 3, 64, {"weights": "none"}))
    4814915
    """
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
    body = timm_body(arch, name, image_size)
    key = f"model.options.{arch}.weights"
    if weights == "imagenet":
        path = carried(arch)
        state = read_weights(path, LITES[arch], key)
        # Other names for the same layers in the same order; the shapes are checked when they are loaded.
        names = [*body.state_dict(), "classifier.weight", "classifier.bias"]
        fill(body, dict(zip(names, state.values(), strict=True)), str(path))
    elif weights != "none":
        path = Path(weights).expanduser()
        fill(body, read_weights(path, sha256, key), f"{key}: {path}")
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
