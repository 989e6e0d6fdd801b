"""Every architecture: exact size at the reports' settings, any image size, options, attention, pretrained weights."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import urllib.error
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from al_cxr import models
from al_cxr.core.errors import UserError
from al_cxr.models import base, resnet, weights
from al_cxr.models.cnn_se import SqueezeExcitation

NARROW: dict[str, dict[str, Any]] = {
    "backbone": {"name": "test_resnet"},
    "cnn": {"width": 0.05},
    "cnn2": {"width": 0.25},
    "cnn_bn": {"width": 0.125},
    "cnn_se": {"width": 0.25},
    "efficientnet_lite0": {"weights": "none"},
    "efficientnet_lite2": {"weights": "none"},
    "mlp": {"hidden": 8},
    "resnet18": {},
    "resnet50": {},
    "rnn": {"width": 0.04},
    "vit": {"dim": 24, "heads": 3, "depth": 2},
}
DROPOUTS = (nn.Dropout, nn.Dropout2d, nn.LSTM)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """These networks are tiny: a second thread waits more than it works, by far on a machine with other jobs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def narrow(arch: str, channels: int = 1, size: int = 28, classes: int = 3, **options: Any) -> Any:
    torch.manual_seed(0)
    return models.build(arch, channels, classes, size, NARROW[arch] | options)


def count(arch: str, channels: int, classes: int, size: int, **options: Any) -> int:
    with torch.device("meta"):  # shapes without memory
        return models.parameters(models.build(arch, channels, classes, size, options))


def image(batch: int, channels: int, size: int) -> torch.Tensor:
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(1))


# ---------------------------------------------------------------------------------------------------- parameter counts
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


# ------------------------------------------------------------------------------ the template test of every architecture
def test_every_architecture_is_in_the_template_tests() -> None:
    assert models.names() == sorted(NARROW)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [28, 45, 64])
@pytest.mark.parametrize("arch", NARROW)
def test_any_size_and_channels(arch: str, size: int, channels: int) -> None:
    model = narrow(arch, channels, size)
    x = image(3, channels, size)
    loss = nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2]))
    loss.backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), name
    model.eval()
    with torch.no_grad():
        logits = model(x)
        assert logits.shape == (3, 3) and torch.isfinite(logits).all()
        for i in range(3):  # no image sees its neighbours
            torch.testing.assert_close(model(x[i : i + 1]), logits[i : i + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", NARROW)
def test_state_dict_round_trip(arch: str, tmp_path: Path) -> None:
    model = narrow(arch)
    model(image(4, 1, 28))  # batch-norm statistics move away from their start
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    torch.manual_seed(99)
    other = models.build(arch, 1, 3, 28, NARROW[arch])
    other.load_state_dict(load_file(tmp_path / "m.safetensors"))
    x = image(2, 1, 28)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), other.eval()(x))


@pytest.mark.parametrize("arch", NARROW)
def test_weights_depend_on_the_global_generator_alone(arch: str) -> None:
    first, again = narrow(arch).state_dict(), narrow(arch).state_dict()
    other = models.build(arch, 1, 3, 28, NARROW[arch]).state_dict()  # the generator has moved on
    assert all(torch.equal(first[k], again[k]) for k in first)
    drawn = [k for k in first if (first[k] != first[k].flatten()[0]).any()]
    assert drawn and all(not torch.equal(first[k], other[k]) for k in drawn)


@pytest.mark.parametrize("arch", NARROW)
def test_every_dropout_is_an_ordinary_module_that_acts(arch: str) -> None:
    """In eval mode nothing is random; a single dropout module (or nn.LSTM) in train mode is enough to be."""
    on: dict[str, Any] = {name: 0.5 for name in models.defaults(arch) if name in ("dropout", "head_dropout")}
    x = image(2, 1, 28)
    model = narrow(arch, **on).eval()
    sites = {name: m for name, m in model.named_modules() if isinstance(m, DROPOUTS)}
    assert sites
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
        for name, site in sites.items():
            site.training = True
            assert len({tuple(model(x).flatten().tolist()) for _ in range(8)}) > 1, name  # narrow: two may agree
            site.training = False
        certain = narrow(arch, **{name: 0.0 * rate for name, rate in on.items()}).eval()
        for m in certain.modules():
            m.training = isinstance(m, DROPOUTS)
        assert torch.equal(certain(x), certain(x))


@pytest.mark.parametrize("arch", NARROW)
def test_defaults_are_valid_and_every_option_is_checked(arch: str) -> None:
    defaults = models.defaults(arch)
    with torch.device("meta"):  # where there is nothing to put pretrained weights into
        given = {"name": "test_resnet"} if arch == "backbone" else {}  # the one option that must be given
        models.build(arch, 1, 3, 64, {k: "none" if k == "weights" else v for k, v in defaults.items()} | given)
    for option in defaults:
        with pytest.raises(UserError, match=rf"model\.options\.{arch}\.{option}: "):
            models.build(arch, 1, 3, 64, {option: [1]})


# ------------------------------------------------------------------------------------------------------ wrong settings
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

    for builder in (untyped, positional, swapped):
        with pytest.raises(ValueError, match="architecture 'new'"):
            models.register("new")(builder)
    with pytest.raises(ValueError, match="two architectures"):
        models.register("cnn")(untyped)
    assert "new" not in base.names()


# -------------------------------------------------------------------------------------------------- what the options do
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


# -------------------------------------------------------------------------- against independent implementations
@pytest.mark.parametrize(("size", "channels"), [(32, 1), (45, 3)])
def test_rnn_equals_numpy_attention(size: int, channels: int) -> None:
    model, x = narrow("rnn", channels, size).eval(), image(3, channels, size)
    rows = x.numpy().transpose(0, 2, 1, 3).reshape(3, size, channels * size)
    with torch.no_grad():
        states = model.lstm(model.project(torch.from_numpy(rows)))[0].numpy()
        w1, b1, w2, b2 = (p.numpy() for p in model.score.parameters())
        scores = np.tanh(states @ w1.T + b1) @ w2[0] + b2
        weights_BR = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        attention = model.attention(x)
        assert attention.shape == (3, size)
        np.testing.assert_allclose(attention.numpy(), weights_BR, rtol=1e-4)
        np.testing.assert_allclose(attention.sum(1).numpy(), 1, rtol=1e-5)
        pooled = np.einsum("br,brh->bh", weights_BR, states)
        torch.testing.assert_close(model(x), model.head(torch.from_numpy(pooled)), rtol=1e-4, atol=1e-5)


def reference_vit(model: Any, x: torch.Tensor, dim: int, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and attention through torch's own encoder layers with the weights copied."""
    patch = model.embed.kernel_size[0]
    side = -(-x.shape[-1] // patch) * patch
    padded = torch.zeros(*x.shape[:2], side, side)
    padded[..., : x.shape[2], : x.shape[3]] = x
    grid = range(0, side, patch)
    patches = torch.stack([padded[:, :, r : r + patch, c : c + patch].flatten(1) for r in grid for c in grid], dim=1)
    h = patches @ model.embed.weight.flatten(1).T + model.embed.bias
    h = torch.cat([model.cls.repeat(len(x), 1, 1), h], dim=1) + model.positions
    attention = []
    for block in model.blocks:
        layer = nn.TransformerEncoderLayer(dim, heads, 4 * dim, activation="gelu", batch_first=True, norm_first=True)
        copies = {
            "self_attn.in_proj_": block.attention.qkv,
            "self_attn.out_proj.": block.attention.project,
            "linear1.": block.mlp[0],
            "linear2.": block.mlp[3],
            "norm1.": block.norm1,
            "norm2.": block.norm2,
        }
        layer.load_state_dict({f"{k}{n}": p for k, m in copies.items() for n, p in m.named_parameters()})
        layer.eval()
        n = layer.norm1(h)
        attention.append(layer.self_attn(n, n, n, need_weights=True, average_attn_weights=False)[1])
        h = layer(h)
    return model.head(model.norm(h)[:, 0]), torch.stack(attention, dim=1)


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (64, 3)])
def test_vit_equals_torchs_encoder(size: int, channels: int) -> None:
    model, x = narrow("vit", channels, size).eval(), image(3, channels, size)
    with torch.no_grad():
        for p in model.parameters():  # away from the small start, where attention is nearly uniform
            p.add_(0.2 * torch.randn_like(p))
        logits, attention = reference_vit(model, x, 24, 3)
        torch.testing.assert_close(model(x), logits, rtol=1e-4, atol=1e-4)
        mine = model.attention(x)
    tokens = (-(-size // 16)) ** 2 + 1
    assert mine.shape == (3, 2, 3, tokens, tokens)
    assert mine.std() > 0.05
    torch.testing.assert_close(mine, attention, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ["rnn", "vit"])
def test_asking_for_attention_changes_nothing(arch: str) -> None:
    model, x = narrow(arch).train(), image(2, 1, 28)
    model.attention(x)
    assert not any(m._forward_hooks for m in model.modules())
    torch.manual_seed(5)
    logits = model(x)
    torch.manual_seed(5)
    model.attention(x)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(model(x), logits) and torch.equal(torch.rand(1), after)  # the same draws as forward


@settings(max_examples=15, deadline=None)
@given(size=st.integers(28, 90), patch=st.integers(5, 28))
def test_vit_takes_any_size_and_patch(size: int, patch: int) -> None:
    model = narrow("vit", 1, size, patch=patch, depth=1).eval()
    x = image(1, 1, size).requires_grad_()
    model(x).sum().backward()
    assert x.grad is not None and (x.grad != 0).float().mean() > 0.99  # no pixel is cut off


# -------------------------------------------------------------------------------------------------- pretrained weights
@pytest.fixture(scope="module")
def imagenet_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 of 7 classes under torchvision's kind of name, with its true hash."""
    torch.manual_seed(3)
    net = torchvision.models.resnet18(num_classes=7)
    net(image(4, 3, 32))
    folder = tmp_path_factory.mktemp("weights")
    torch.save(net.state_dict(), folder / "plain.pth")
    save_file(net.state_dict(), folder / "plain.safetensors")
    digest = hashlib.sha256((folder / "plain.pth").read_bytes()).hexdigest()
    return (folder / "plain.pth").rename(folder / f"resnet18-{digest[:8]}.pth")


def original(path: Path) -> nn.Module:
    net = torchvision.models.resnet18(num_classes=7)
    net.load_state_dict(torch.load(path, weights_only=True))
    return net.eval()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_local_weights_with_the_same_classes_give_the_same_network(imagenet_like: Path, suffix: str) -> None:
    path = imagenet_like if suffix == ".pth" else imagenet_like.parent / "plain.safetensors"
    model = models.build("resnet18", 3, 7, 32, {"weights": str(path)}).eval()
    x = image(2, 3, 32)
    with torch.no_grad():
        assert torch.equal(model(x), original(imagenet_like)(x))
    assert model.state_dict().keys() == original(imagenet_like).state_dict().keys()


def test_other_class_count_gets_a_fresh_last_layer_only(imagenet_like: Path) -> None:
    model, source = narrow("resnet18", 3, weights=str(imagenet_like)), original(imagenet_like)
    scratch = narrow("resnet18", 3)
    assert model.fc.weight.shape == (3, 512) and torch.equal(model.fc.weight, scratch.fc.weight)
    for name, tensor in source.state_dict().items():
        assert name.startswith("fc.") or torch.equal(model.state_dict()[name], tensor)


def test_grey_weights_equal_grey_repeated(imagenet_like: Path) -> None:
    grey = models.build("resnet18", 1, 7, 32, {"weights": str(imagenet_like)}).eval()
    x = image(2, 1, 32)
    with torch.no_grad():
        expected = original(imagenet_like)(x.repeat(1, 3, 1, 1))
        torch.testing.assert_close(grey(x), expected, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(grey(0.5 * x), expected)


def refused(path: Path | str, message: str, arch: str = "resnet18", **options: Any) -> None:
    with pytest.raises(UserError, match=re.compile(rf"model\.options\.{arch}\.weights.*{message}", re.S)):
        models.build(arch, 3, 3, 32, {"weights": str(path), **options})


def test_hash_is_checked(imagenet_like: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "resnet18-deadbeef.pth"
    wrong.write_bytes(imagenet_like.read_bytes())
    digest = hashlib.sha256(wrong.read_bytes()).hexdigest()
    refused(wrong, rf"starts with {digest[:8]}, the file name says deadbeef")
    models.build("resnet18", 3, 3, 32, {"weights": str(wrong), "weights_sha256": digest})  # overrules the name
    refused(imagenet_like, "weights_sha256 says 00000000", weights_sha256="00000000")


class Bomb:
    """Pickle that makes a folder when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


def test_pickle_bombs_do_not_go_off(tmp_path: Path) -> None:
    went_off = tmp_path / "went_off"
    torch.save({"fc.weight": Bomb(went_off)}, tmp_path / "zip.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Bomb(went_off), protocol=2))
    for name in ("zip.pth", "raw.pth"):
        refused(tmp_path / name, "no file of plain weights")
    assert not went_off.exists()
    torch.load(tmp_path / "zip.pth", weights_only=False)  # the bomb is real
    assert went_off.exists()


def test_files_that_are_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("text.pth", "text.pt", "text.safetensors"):
        (tmp_path / name).write_bytes(b"not weights at all" * 10)
        refused(tmp_path / name, "no file of plain weights")
    (tmp_path / "empty.pth").touch()
    refused(tmp_path / "empty.pth", "no file of plain weights")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    refused(tmp_path / "list.pth", "no mapping from names to tensors")
    torch.save({"model": {"fc.weight": torch.zeros(2)}, "epoch": 3}, tmp_path / "checkpoint.pth")
    refused(tmp_path / "checkpoint.pth", "whole checkpoint")
    torch.save({"fc.weight": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "huge.pth")  # 10^12 values in one
    refused(tmp_path / "huge.pth", "fc.weight: not a dense tensor")
    torch.save({"fc.weight": torch.zeros(3, dtype=torch.complex64)}, tmp_path / "complex.pth")
    refused(tmp_path / "complex.pth", "fc.weight: not a dense tensor of real numbers")
    torch.save({"fc.weight": torch.tensor([1.0, float("nan")])}, tmp_path / "nan.pth")
    refused(tmp_path / "nan.pth", "NaN or infinity in fc.weight")
    refused(tmp_path / "nothing.pth", "no such file")
    refused(tmp_path, "'none', 'imagenet' or a file")
    refused("imagnet", "'none', 'imagenet' or a file")
    with zipfile.ZipFile(tmp_path / "deflated.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(10**6))
    monkeypatch.setattr(weights, "MAX_BYTES", 10**5)
    refused(tmp_path / "deflated.pth", r"no file of plain weights \(ValueError\)")
    (tmp_path / "large.pth").write_bytes(bytes(10**5 + 1))
    refused(tmp_path / "large.pth", "larger than 100,000 bytes")


def test_weights_of_another_network(imagenet_like: Path, tmp_path: Path) -> None:
    state = torch.load(imagenet_like, weights_only=True)
    del state["layer1.0.conv1.weight"]
    torch.save(state, tmp_path / "missing.pth")
    refused(tmp_path / "missing.pth", r"not the weights of this architecture.*Missing.*layer1\.0\.conv1\.weight")
    refused(imagenet_like, "not the weights of this architecture", arch="resnet50")
    torch.save({"fc.weight": torch.tensor(1.0), "conv1.weight": torch.tensor(1.0)}, tmp_path / "scalars.pth")
    refused(tmp_path / "scalars.pth", "not the weights of this architecture")


def test_imagenet_offline_says_what_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    target = tmp_path / "checkpoints" / "resnet18-f37072fd.pth"
    refused("imagenet", rf"no route.*https://download\.pytorch\.org/models/resnet18-f37072fd\.pth.*{target}.*SHA-256")
    refused("imagenet", "resnet50-0676ba61.pth", arch="resnet50")
    target.write_bytes(b"a damaged download")
    refused("imagenet", "the file name says f37072fd")


def test_imagenet_is_downloaded_once(imagenet_like: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def download(url: str, target: str, hash_prefix: str) -> None:
        asked.append((url, hash_prefix))
        Path(target).write_bytes(imagenet_like.read_bytes())

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    entry = SimpleNamespace(url=f"https://example.org/models/{imagenet_like.name}")
    for _ in range(2):
        path = resnet._weights_file("resnet18", "imagenet", entry)
        assert path == tmp_path / "checkpoints" / imagenet_like.name
    assert asked == [(entry.url, imagenet_like.stem[-8:])]
    models.build("resnet18", 3, 3, 32, {"weights": str(path)})
