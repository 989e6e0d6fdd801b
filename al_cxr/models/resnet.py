"""ResNet-18 and ResNet-50 (He 2016): torchvision's, from scratch or pretrained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from al_cxr.core.errors import Unavailable
from al_cxr.models.base import Probability, architecture
from al_cxr.models.weights import Hash, Weights, load_strictly, read_weights


@architecture("resnet18")
def resnet18(
    in_channels: int,
    classes: int,
    image_size: int,
    *,
    weights: Weights = "none",
    weights_sha256: Hash = "",
    head_dropout: Probability = 0.0,
) -> nn.Module:
    """ResNet-18 of torchvision; 11,689,512 parameters with 3 channels and 1,000 classes.

    Parameter names stay torchvision's. The last layer is taken from a file of weights only if it has the same number of
    classes, and is fresh otherwise. Grey input gets the first convolution summed over RGB, which is the network applied
    to the grey image repeated three times.

    Parameters
    ----------
    weights : str
        'none' (from scratch), 'imagenet' (torchvision's IMAGENET1K_V1, downloaded once) or the path of a .pth, .pt or
        .safetensors file, seen from the current folder.
    weights_sha256 : str
        First hex digits of the file's SHA-256; empty: those in its name, if there are some.
    head_dropout : float
        Before the last layer, the only random site.

    References
    ----------
    He et al., "Deep Residual Learning for Image Recognition" (2016), https://arxiv.org/abs/1512.03385.

    Examples
    --------
    >>> import torch
    >>> from al_cxr import models
    >>> with torch.device("meta"):  # sizes without memory
    ...     network = models.build("resnet18", 3, 3, 224, {})
    >>> models.parameters(network)
    11178051
    """
    source = _weights_file("resnet18", weights, torchvision.models.ResNet18_Weights.IMAGENET1K_V1)
    return _resnet("resnet18", torchvision.models.resnet18, in_channels, classes, source, weights_sha256, head_dropout)


@architecture("resnet50")
def resnet50(
    in_channels: int,
    classes: int,
    image_size: int,
    *,
    weights: Weights = "none",
    weights_sha256: Hash = "",
    head_dropout: Probability = 0.0,
) -> nn.Module:
    """ResNet-50 of torchvision; 25,557,032 parameters with 3 channels and 1,000 classes.

    Parameter names stay torchvision's. The last layer is taken from a file of weights only if it has the same number of
    classes, and is fresh otherwise. Grey input gets the first convolution summed over RGB, which is the network applied
    to the grey image repeated three times.

    Parameters
    ----------
    weights : str
        'none' (from scratch), 'imagenet' (torchvision's IMAGENET1K_V1, downloaded once) or the path of a .pth, .pt or
        .safetensors file, seen from the current folder.
    weights_sha256 : str
        First hex digits of the file's SHA-256; empty: those in its name, if there are some.
    head_dropout : float
        Before the last layer, the only random site.

    References
    ----------
    He et al., "Deep Residual Learning for Image Recognition" (2016), https://arxiv.org/abs/1512.03385.

    Examples
    --------
    >>> import torch
    >>> from al_cxr import models
    >>> with torch.device("meta"):  # sizes without memory
    ...     network = models.build("resnet50", 3, 3, 224, {})
    >>> models.parameters(network)
    23514179
    """
    source = _weights_file("resnet50", weights, torchvision.models.ResNet50_Weights.IMAGENET1K_V1)
    return _resnet("resnet50", torchvision.models.resnet50, in_channels, classes, source, weights_sha256, head_dropout)


def _resnet(
    arch: str,
    constructor: Callable[..., Any],
    in_channels: int,
    classes: int,
    weights: Path | None,
    sha256: str,
    head_dropout: float,
) -> nn.Module:
    """Torchvision's network for these channels and classes, with the weights of a file; None from scratch."""
    net: Any = constructor(weights=None, num_classes=classes)
    if in_channels != 3:
        net.conv1 = nn.Conv2d(in_channels, net.conv1.out_channels, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does
    if weights is not None:
        key = f"model.options.{arch}.weights"
        _load(net, read_weights(weights, sha256, key), f"{key}: {weights}")
    # Beside the pooling rather than around fc: no parameter is renamed.
    net.avgpool = nn.Sequential(net.avgpool, nn.Dropout(head_dropout))
    network: nn.Module = net
    return network


def _load(net: Any, state: dict[str, torch.Tensor], where: str) -> None:
    """Put a state dict into a network whose first and last layer may have another size; UserError if it is no match."""
    first = state.get("conv1.weight")
    if first is not None and first.ndim == 4 and first.shape[1] == 3 and net.conv1.in_channels == 1:
        state["conv1.weight"] = first.sum(dim=1, keepdim=True)
    last = state.get("fc.weight")
    if last is not None and last.ndim == 2 and len(last) != net.fc.out_features:
        state |= {f"fc.{name}": tensor for name, tensor in net.fc.state_dict().items()}
    load_strictly(net, state, where)


def _weights_file(arch: str, weights: str, imagenet: Any) -> Path | None:
    """The file that the option means: None from scratch, and ImageNet's from torch's cache, downloaded if need be."""
    if weights == "none":
        return None
    if weights != "imagenet":
        return Path(weights).expanduser()
    name = imagenet.url.rsplit("/", 1)[1]
    cached = Path(torch.hub.get_dir(), "checkpoints", name)
    if not cached.exists():
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(imagenet.url, str(cached), hash_prefix=Path(name).stem.rsplit("-", 1)[1])
        except (OSError, RuntimeError) as error:  # no network or disk; a wrong hash is a RuntimeError
            raise Unavailable(
                f"model.options.{arch}.weights: imagenet could not be downloaded ({error}). Fetch {imagenet.url} on a "
                f"machine with a network and put it at {_from_home(cached)}, or anywhere and set "
                f"model.options.{arch}.weights to its path. The SHA-256 of {name} starts with the digits in its name."
            ) from error
    return cached


def _from_home(path: Path) -> str:
    """A path as it is printed in reports, which say nothing of whose machine it was."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
