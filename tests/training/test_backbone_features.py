"""What a frozen backbone gives: its own features, those of inner layers, those of the chest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frozen_backbone import RUNTIME, network
from torchvision.models.feature_extraction import create_feature_extractor

from al_cxr.core.errors import UserError
from al_cxr.data.loader import FeatureLoader
from al_cxr.data.store import PixelStore
from al_cxr.models.crops import chests, summary
from al_cxr.sampling.engine import Sampling, engine
from al_cxr.sampling.passes import monte_carlo
from al_cxr.training.feature_cache import feature_loader

pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")


def test_features_are_what_the_backbone_gives(weights: Path, store: PixelStore, tmp_path: Path) -> None:
    backbone = network(weights)
    loader = feature_loader(backbone, store, tmp_path, RUNTIME)
    images = torch.from_numpy(np.array(store.pixels)).unsqueeze(1).float() / 255
    with torch.no_grad():
        expected = backbone.eval().features(images).numpy()
    assert loader.features_NK.dtype == np.float32 and loader.features_NK.shape == (60, 96)
    np.testing.assert_allclose(loader.features_NK, expected, rtol=1e-4, atol=1e-5)
    assert not loader.features_NK.flags.writeable


def test_the_loader_gives_rows_as_they_are() -> None:
    features_NK = np.arange(40, dtype=np.float32).reshape(10, 4)
    loader = FeatureLoader(features_NK, "key", "hash")
    order = np.array([7, 2, 9, 0, 4])
    for read_in in (loader.raw, loader.batches):
        got = list(read_in(order, 2))
        assert [len(index) for index, _ in got] == [2, 2, 1]
        np.testing.assert_array_equal(np.concatenate([x for _, x in got]), features_NK[order])
        np.testing.assert_array_equal(np.concatenate([index for index, _ in got]), order)
    assert torch.equal(loader.prepare(torch.ones(2, 4)), torch.ones(2, 4))


def test_inner_layers_and_the_chest_stand_beside_the_networks_own_features(
    weights: Path, store: PixelStore, tmp_path: Path
) -> None:
    plain, deep = network(weights), network(weights, layers=["layer2", "layer4.0"], chest=True)
    images = torch.from_numpy(np.array(store.pixels[:5])).unsqueeze(1).float() / 255
    expected = []
    with torch.no_grad():
        for look in (images, chests(images)):
            scaled = (look.expand(-1, 3, -1, -1) - plain.mean) / plain.std
            maps = create_feature_extractor(plain.body.eval(), ["layer2", "layer4.0"])(scaled)
            expected += [plain.eval().features(look), summary(maps["layer2"]), summary(maps["layer4.0"])]
        got = deep.eval().features(images)
    torch.testing.assert_close(got, torch.cat(expected, dim=1))
    assert deep.head.linear.in_features == got.shape[1]
    variants = [plain, deep, network(weights, chest=True), network(weights, layers=["layer2"])]
    assert len({feature_loader(each, store, tmp_path, RUNTIME).key for each in variants}) == 4


def test_what_is_before_the_head_is_computed_once_for_all_passes(weights: Path, store: PixelStore) -> None:
    deep = network(weights, layers=["layer2", "layer4.0"], chest=True, head_dropout=0.5).eval()
    images = torch.from_numpy(np.array(store.pixels[:6])).unsqueeze(1).float() / 255
    with engine(deep, images, Sampling(5, 0, 0)) as sampled:
        before, everything = map(int, re.findall(r"(\d+) of (\d+) operations once an image", sampled.note)[0])
    assert everything - before == 2  # dropout and the linear layer
    pool = [(np.arange(6), images)]
    fast, slow = (monte_carlo(deep, pool, Sampling(5, 0, 0, fast=fast)) for fast in (True, False))
    np.testing.assert_allclose(fast.predictive_entropy_N, slow.predictive_entropy_N, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["layer5"], r"model\.options\.backbone\.layers: test_resnet has no layer 'layer5'; did you mean 'layer4'"),
        (["global_pool"], r"model\.options\.backbone\.layers: global_pool gives \(1, 96\) and no map"),
        ("layer4", r"model\.options\.backbone\.layers: "),
    ],
)
def test_layers_that_cannot_be_summed_up(weights: Path, layers: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        network(weights, layers=layers)
