"""How an architecture is built: exact sizes, what the options do, and what is said of wrong ones."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from networks import count, image, narrow
from torch import nn

from al_cxr import models
from al_cxr.core.errors import UserError
from al_cxr.models.cnn_se import SqueezeExcitation


def test_cnn_has_115_million_parameters_and_not_40() -> None:
    convolutions = sum(9 * a * b + b for a, b in [(3, 64), (64, 128), (128, 256), (256, 512), (512, 512)])
    batch_norm = 2 * (64 + 128 + 256 + 512 + 512)
    classifier = (25_088 * 4_096 + 4_096) + (4_096 * 2_048 + 2_048) + (2_048 * 3 + 3)
    assert convolutions + batch_norm + classifier == 115_075_075
    assert count("cnn", 3, 3, 224) == 115_075_075
    # at 64 px the last map is 2x2: it is not blown up to 7x7
    assert count("cnn", 3, 3, 64) == 115_075_075 - 512 * (49 - 4) * 4_096
    second = sum(9 * b * b + b + 2 * b for b in (64, 128, 256, 512, 512))
    assert count("cnn", 3, 3, 224, convs_per_block=2) == 115_075_075 + second


def test_rnn_and_vit_have_the_reports_parameters() -> None:
    assert count("rnn", 3, 3, 224) == 18_066_948
    assert count("vit", 3, 3, 224) == 19_411_971


@pytest.mark.parametrize("classes", [2, 3, 14])
def test_small_networks_have_their_closed_form(classes: int) -> None:
    assert count("mlp", 1, classes, 224) == 50_176 * 128 + 128 + 128 * classes + classes
    fc2 = 32 * 56 * 56 * 128 + 128 + 129 * classes
    assert count("cnn2", 1, classes, 224) == (9 * 16 + 16) + (9 * 16 * 32 + 32) + fc2
    fc_bn = 64 * 56 * 56 * 256 + 256 + 257 * classes
    assert count("cnn_bn", 1, classes, 224) == (9 * 32 + 32) + 64 + (9 * 32 * 64 + 64) + 128 + fc_bn


def test_resnets_are_torchvisions() -> None:
    assert count("resnet18", 3, 1000, 224) == 11_689_512
    assert count("resnet50", 3, 1000, 224) == 25_557_032
    assert count("resnet18", 1, 3, 64) == 11_689_512 - 2 * 64 * 49 - 997 * 513


def test_parameters_counts_only_what_is_trained() -> None:
    model = nn.Linear(3, 4)
    model.bias.requires_grad_(False)
    assert models.parameters(model) == 12


@pytest.mark.parametrize(
    ("arch", "options", "message"),
    [
        ("resnet81", {}, r"model\.arch: .*'resnet81'; did you mean 'resnet18'\?"),
        ("zzz", {}, r"model\.arch: no architecture 'zzz'; known: backbone, cnn, "),
        ("cnn", {"widht": 0.5}, r"model\.options\.cnn\.widht: .*did you mean 'width'\?"),
        ("mlp", {1: 0.5}, r"model\.options\.mlp\.1: mlp has no such option; known: hidden, dropout"),
        ("cnn", {"width": "1.0"}, r"model\.options\.cnn\.width: .*number.*got '1\.0'"),
        ("cnn", {"width": 0}, r"model\.options\.cnn\.width: must be above 0"),
        ("cnn", {"width": float("nan")}, r"model\.options\.cnn\.width: .*finite"),
        ("cnn", {"convs_per_block": True}, r"model\.options\.cnn\.convs_per_block: must be a whole number"),
        ("cnn", {"convs_per_block": 9}, r"model\.options\.cnn\.convs_per_block: must be 4 or less"),
        ("cnn", {"dropout": 3.5}, r"model\.options\.cnn\.dropout: .*must be 3 or less"),
        ("cnn", {"head_dropout": 1.0}, r"model\.options\.cnn\.head_dropout: must be below 1"),
        ("cnn", {"width": -1, "head_dropout": 2}, r"cnn\.width: .*\n.*cnn\.head_dropout: "),
        ("mlp", {"hidden": 12.5}, r"model\.options\.mlp\.hidden: must be a whole number"),
        ("vit", {"dim": 50, "heads": 8}, r"model\.options\.vit\.dim: 50 is no multiple of heads \(8\)"),
        ("vit", {"patch": 128}, r"model\.options\.vit\.patch: 128 px is larger than the image \(64 px\)"),
        ("resnet18", {"weights_sha256": "no"}, r"model\.options\.resnet18\.weights_sha256: "),
    ],
)
def test_wrong_options(arch: str, options: dict[Any, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.compile(message, re.S)):
        models.build(arch, 1, 3, 64, options)


@pytest.mark.parametrize(
    ("channels", "classes", "size", "key"),
    [(2, 3, 64, "model.in_channels"), (1, 1, 64, "2 classes"), (1, 3, 27, "data.image_size")],
)
def test_wrong_shapes(channels: int, classes: int, size: int, key: str) -> None:
    with pytest.raises(UserError, match=re.escape(key)):
        models.build("mlp", channels, classes, size, {})


def test_register_refuses_what_build_could_not_check() -> None:
    def untyped(in_channels: int, classes: int, image_size: int, *, width=1.0) -> nn.Module: ...  # type: ignore
    def positional(in_channels: int, classes: int, image_size: int, width: float = 1.0) -> nn.Module: ...  # type: ignore
    def swapped(classes: int, in_channels: int, image_size: int) -> nn.Module: ...  # type: ignore

    def without_default(in_channels: int, classes: int, image_size: int, *, width: float) -> nn.Module: ...  # type: ignore
    def good(in_channels: int, classes: int, image_size: int) -> nn.Module: ...  # type: ignore

    for builder in (untyped, positional, swapped, without_default):
        with pytest.raises(ValueError, match="architecture 'new'"):
            models.architecture("new")(builder)
    with pytest.raises(ValueError, match=r"architecture 'cnn' is defined in al_cxr\.models\.cnn and again in"):
        models.architecture("cnn")(good)
    assert "new" not in models.names()


def test_cnn_options_reach_the_layers() -> None:
    def rates(**options: Any) -> list[float]:
        return [m.p for m in narrow("cnn", **options).features.modules() if isinstance(m, (nn.Dropout, nn.Dropout2d))]

    assert rates() == [0.25, 0.25, 0.3, 0.3, 0.3]
    assert rates(dropout=0.5) == [0.125, 0.125, 0.15, 0.15, 0.15]
    assert rates(dropout=False) == [0] * 5
    assert rates(channel_dropout=False) == rates()
    x = torch.ones(2, 3, 4, 4)
    for channel_dropout in (True, False):
        layer = narrow("cnn", channel_dropout=channel_dropout).features[4][-1].train()
        out = layer(x.repeat(1, 20, 1, 1))
        whole = ((out == 0).flatten(2).float().mean(2) % 1 == 0).all()  # a map is dropped whole or not at all
        assert whole == channel_dropout
    wide = models.build("cnn", 1, 3, 64, {"width": 0.25})
    convolutions = [m.out_channels for m in wide.modules() if isinstance(m, nn.Conv2d)]
    assert convolutions == [16, 32, 64, 128, 128]
    assert [m.in_features for m in wide.modules() if isinstance(m, nn.Linear)] == [128 * 4, 1024, 512]


def test_cnn_pools_224_to_7_exactly() -> None:
    model = narrow("cnn").features.eval()
    with torch.no_grad():
        assert model(image(1, 1, 224)).shape[2:] == (7, 7)
        assert model(image(1, 1, 28)).shape[2:] == (1, 1)


def test_squeeze_excitation_gates_channels() -> None:
    torch.manual_seed(0)
    layer: Any = SqueezeExcitation(8, 2)
    x = image(2, 8, 5)
    first, second = layer.gate[0], layer.gate[2]
    hidden = np.maximum(x.mean((2, 3)).numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    gate = 1 / (1 + np.exp(-(hidden @ second.weight.detach().numpy().T + second.bias.detach().numpy())))
    np.testing.assert_allclose(layer(x).detach().numpy(), x.numpy() * gate[:, :, None, None], rtol=1e-5, atol=1e-6)
