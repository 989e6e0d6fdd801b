"""A bundle loads without its experiment, says what the experiment measured, and trusts nothing from outside."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from al_cxr.bundles.answers import serving_runtime
from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.bundling import assemble
from al_cxr.bundles.choices import abstain, discrimination
from al_cxr.bundles.folder import read_bundle, write_bundle
from al_cxr.cli.__main__ import main
from al_cxr.config import DataSettings
from al_cxr.core.enough import FEW
from al_cxr.core.errors import UserError
from al_cxr.core.records import ExperimentRecord, read
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_first
from al_cxr.data.store import PixelStore
from al_cxr.evaluation.calibration import apply_temperature, fit_temperature
from al_cxr.evaluation.operating import Goal
from al_cxr.experiment.images import duplicate_groups, write_images


def phantom(run: Path) -> Dataset:
    return load_first(DataSettings.model_validate(read(run / "experiment.json", ExperimentRecord).settings["data"]))


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
