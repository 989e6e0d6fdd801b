"""A tiny pretrained backbone and the images that it looks at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from frozen_backbone import DATA
from safetensors.torch import save_file
from torch import nn

from al_cxr.config import files as experiment
from al_cxr.data.load import load_first
from al_cxr.data.store import PixelStore


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    timm = pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")
    torch.manual_seed(5)
    net = timm.create_model("test_resnet", pretrained=False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(net.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PixelStore:
    dataset = load_first(experiment.validate({"data": DATA}, "test").data)
    return PixelStore.open(dataset.images, 32, tmp_path_factory.mktemp("pixels"), 1)
