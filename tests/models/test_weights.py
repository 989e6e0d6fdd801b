"""Pretrained weights from files: what is taken of them, what is refused, and that nothing in them is ever executed."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import urllib.error
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision
from networks import image, narrow
from safetensors.torch import save_file
from torch import nn

from al_cxr import models
from al_cxr.core.errors import UserError
from al_cxr.models import resnet, weights


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
