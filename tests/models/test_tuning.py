"""What of a backbone is trained, and how fast: only what should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from backbones import pixels, tiny, write_backbone
from torch import nn

from al_cxr import models
from al_cxr.config import LossSettings, TrainSettings
from al_cxr.core.checkpoint import weights_hash
from al_cxr.core.errors import UserError
from al_cxr.data.loader import Loader
from al_cxr.models.tuning import parameter_groups, tuned
from al_cxr.training.losses import build as build_loss
from al_cxr.training.runtime import Runtime
from al_cxr.training.trainer import Task, fit

RUNTIME = Runtime("cpu", "fp32", True, 1, 64, 0.0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("weights"))


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
