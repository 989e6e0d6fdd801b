"""Evaluation: figures against scikit-learn, truth that fits its records, and the part of a report that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_run import ARMS, CLASSES, SPLITS, edit, fake_probs, fake_run, labels
from sklearn.metrics import roc_auc_score

from al_cxr.comparison.finished import load
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.core.predictions import read_predictions
from al_cxr.evaluation.intervals import bootstrap, clopper_pearson, clusters
from al_cxr.evaluation.operating import Goal
from al_cxr.evaluation.performance import auc, performance
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign
from al_cxr.evaluation.subgroups import subgroups
from al_cxr.evaluation.truth import checked_predictions, labels_of
from al_cxr.report.evaluation_sections import worst
from al_cxr.report.evaluation_tables import screening_table, subgroups_table
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.tables import Column
from al_cxr.report.run_evaluation import add_run_evaluation

TWO = {n: ARMS[n] for n in ("ce+random", "ce+mc_entropy")}


def model(seed: int = 0, n: int = 200, skill: float = 1.5) -> Predicted:
    y = np.random.default_rng(9).integers(0, 3, n)
    return Predicted(f"seed {seed}", fake_probs(y, skill, seed), y, fake_probs(y, skill, seed + 50), y)


def once(statistics: object, n: int) -> dict[str, float]:
    return {name: float(v[0]) for name, v in statistics(np.ones((1, n))).items()}  # type: ignore[operator]


def test_performance_is_what_metrics_say() -> None:
    m = model()
    found, theirs = once(performance(m.probs_NC, m.labels_N, 2, 0.3), 200), measure(m.probs_NC, m.labels_N, CLASSES)
    assert found["accuracy"] == pytest.approx(theirs.accuracy) and found["macro_f1"] == pytest.approx(theirs.macro.f1)
    assert found["roc_auc"] == pytest.approx(theirs.roc_auc)
    for c, name in enumerate(CLASSES):
        assert found[f"f1_{c}"] == pytest.approx(theirs.of(name).f1)
        assert found[f"auc_{c}"] == pytest.approx(roc_auc_score(m.labels_N == c, m.probs_NC[:, c]))
    flagged, ill = m.probs_NC[:, 2] >= 0.3, m.labels_N == 2
    assert found["sensitivity"] == pytest.approx(flagged[ill].mean())
    assert found["specificity"] == pytest.approx((~flagged[~ill]).mean())
    assert found["ppv"] == pytest.approx(ill[flagged].mean()) and found["npv"] == pytest.approx((~ill[~flagged]).mean())


def test_an_area_with_ties_and_with_copies_is_scikit_learns() -> None:
    r = np.random.default_rng(0)
    for digits in (1, 8):
        scores, ill, counts = r.random(60).round(digits), r.random(60) < 0.4, r.integers(0, 4, (5, 60)).astype(float)
        expected = [roc_auc_score(ill, scores, sample_weight=c) for c in counts]
        np.testing.assert_allclose(auc(scores, ill, counts), expected)
    assert np.isnan(auc(scores, np.ones(60, bool), counts)).all()


def test_without_a_threshold_or_a_class_nothing_is_made_up() -> None:
    m = model()
    only = m.labels_N != 2
    found = once(performance(m.probs_NC[only], m.labels_N[only], 2, None), int(only.sum()))
    assert all(np.isnan(found[k]) for k in ("f1_2", "auc_2", "sensitivity", "specificity", "ppv", "npv"))
    assert found["macro_f1"] == pytest.approx((found["f1_0"] + found["f1_1"]) / 2)
    unknown = Predicted("x", m.probs_NC, m.labels_N)
    assert unknown.temperature.value == 1 and "not known" in unknown.temperature.note
    assert unknown.threshold(2, Goal()).value is None
    with pytest.raises(ValueError, match="do not fit"):
        Predicted("x", m.probs_NC, m.labels_N[1:])


def test_shares_of_one_model_are_exact_unless_patients_repeat() -> None:
    m = model()
    study = StudyDesign(CLASSES, 2)
    ill, right = m.labels_N == 2, m.probs_NC.argmax(axis=1) == m.labels_N
    threshold = m.threshold(2, Goal()).value
    found = study.estimates([m])
    assert (found["accuracy"].low, found["accuracy"].high) == clopper_pearson(int(right.sum()), 200)
    hits = int((m.probs_NC[ill, 2] >= threshold).sum())
    assert (found["sensitivity"].low, found["sensitivity"].high) == clopper_pearson(hits, int(ill.sum()))
    ids = clusters([f"p{i // 2}" for i in range(200)])
    patients = StudyDesign(CLASSES, 2, clusters_N=ids).estimates([m])
    direct = bootstrap([performance(m.probs_NC, m.labels_N, 2, threshold)], 200, ids)
    assert patients["accuracy"] == direct["accuracy"]
    numbers = clusters(["b", "", "b"])
    assert clusters(["", "", "a"]) is None and numbers is not None and numbers.tolist() == [1, 0, 1]


def test_models_that_are_always_right_are_not_certain() -> None:
    y = np.repeat([0, 1, 2], 20)
    perfect = [Predicted(f"s{s}", 0.97 * np.eye(3)[y] + 0.01, y, 0.97 * np.eye(3)[y] + 0.01, y) for s in range(3)]
    found = StudyDesign(CLASSES, 2).estimates(perfect)
    assert (found["sensitivity"].low, found["sensitivity"].high) == clopper_pearson(20, 20)


def test_an_ensemble_is_one_model_with_its_own_temperature_and_threshold() -> None:
    group = Group("g", "g", [model(s) for s in range(4)])
    whole = group.ensemble
    assert whole is not None and group.ensemble is whole
    np.testing.assert_allclose(whole.probs_NC, np.mean([m.probs_NC for m in group.models], axis=0))
    single = [once(performance(m.probs_NC, m.labels_N, 2, None), 200)["accuracy"] for m in group.models]
    assert once(performance(whole.probs_NC, whole.labels_N, 2, None), 200)["accuracy"] > max(single)
    assert whole.temperature.value < min(m.temperature.value for m in group.models)  # means of members are too modest
    assert Group("g", "g", [model()]).ensemble is None
    blind = [Predicted(m.name, m.probs_NC, m.labels_N) for m in group.models]
    unknown = Group("g", "g", [group.models[0], *blind[1:]]).ensemble
    assert unknown is not None and unknown.val_probs_MC is None
    with pytest.raises(ValueError, match="different images"):
        Group("g", "g", [model(), model(n=100)])


def test_screening_of_a_perfect_model_has_no_false_alarm() -> None:
    y = np.repeat([0, 1, 2], 20)
    perfect = Predicted("s", 0.97 * np.eye(3)[y] + 0.01, y, 0.97 * np.eye(3)[y] + 0.01, y)
    frame = screening_table(Group("g", "g", [perfect]), StudyDesign(CLASSES, 2, prevalences=(0.02,)), "n", "t").frame
    row = frame.iloc[0]
    assert (row["found"], row["missed"], row["false_alarms"], row["per_found"]) == (20, 0, 0, 1)
    assert row["found_low"] < 17 and row["false_alarms_high"] > 80  # of 20 images one cannot know better


def test_the_worst_slice_is_found_and_small_ones_are_not_blamed() -> None:
    m = model(n=400, skill=3)
    table = pd.DataFrame({"source": ["good"] * 300 + ["bad"] * 90 + ["tiny"] * 10, "view": [""] * 400})
    probs = m.probs_NC.copy()
    probs[300:] = np.roll(probs[300:], 1, axis=1)
    group = Group("g", "g", [Predicted("s", probs, m.labels_N, m.val_probs_MC, m.val_labels_M)])
    study, found = StudyDesign(CLASSES, 2), subgroups(table)
    made = subgroups_table(group, found, study, "n", "t")
    assert list(made.frame["subgroup"]) == ["all", "source good", "source bad", "source tiny †"]
    assert made.frame["images"].tolist() == [400, 300, 90, 10]
    said = worst(made.frame, found, study)
    assert "Worst by accuracy: **source bad** (90 images)" in said and "tiny" not in said
    assert worst(made.frame.iloc[:2], found[:1], study).startswith("No subgroup is large enough")


def test_a_column_with_its_interval() -> None:
    frame = pd.DataFrame({"x": [0.5, np.nan], "x_low": [0.25, np.nan], "x_high": [0.75, np.nan]})
    assert Column("t", "x", "percent", "interval").cells(frame) == ["50.0 (25.0 to 75.0)", "—"]


def write_images(run: Path) -> None:
    y = labels()
    split = np.repeat(list(SPLITS), [sum(c) for c in SPLITS.values()])
    frame = pd.DataFrame({"index": np.arange(len(y)), "name": "n", "label": [CLASSES[i] for i in y], "split": split})
    frame = frame.assign(patient_id="", source=np.where(np.arange(len(y)) % 3, "a", "b"), duplicate_group="")
    frame.to_csv(run / "images.csv", index=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fake_run(tmp_path_factory.mktemp("evaluation") / "run", TWO, seeds=(0, 1), rounds=1)
    write_images(folder)
    for seed, share in ((0, 0.5), (1, 1.0)):
        query = folder / "arms" / "ce+mc_entropy" / f"seed-{seed}" / "query-0.json"
        edit(query, temperatures=[1.5 + seed], same_batch=share)
    record = json.loads((folder / "experiment.json").read_text())
    record["settings"]["scoring"]["temperature"] = "validation"
    (folder / "experiment.json").write_text(json.dumps(record))
    return folder


def test_the_part_of_a_report(run: Path, tmp_path: Path) -> None:
    page = Page(tmp_path, "t", "the stamp")
    add_run_evaluation(page, load(run))
    text = page.write().read_text()
    order = ("## Calibration", "## Operating points", "## Screening", "## Subgroups", "## Ensemble of seeds")
    at = [text.index(heading) for heading in order]
    assert at == sorted(at) and "Worst by accuracy: **source" in text and "per 1,000" not in text
    rounds = pd.read_csv(tmp_path / "tables/calibration-rounds.csv")
    assert list(zip(rounds["arm"], rounds["round"], strict=True)) == [(a, r) for a in TWO for r in (0, 1)]
    assert (
        "that the round's own validation images give (scoring.temperature: validation): 2.00 on average, 1.50" in text
    )
    assert rounds["same_batch"].isna().tolist() == [True, True, False, True] and rounds["same_batch"][2] == 0.75
    assert "same batch, %" in text and "75.0 ± " in text
    finished = load(run)
    first = finished.rounds["ce+random", 0][0]
    seeds = [finished.rounds["ce+random", s][0].test.log_loss for s in (0, 1)]
    assert first.round == 0 and rounds["nll"][0] == pytest.approx(np.mean(seeds), rel=1e-4)
    ensembles = pd.read_csv(tmp_path / "tables/ensembles.csv").set_index("model")
    assert ensembles.loc["fully labelled", "accuracy"] == pytest.approx(
        np.mean([b.test.accuracy for b in finished.baselines.values()]), abs=1e-5
    )
    assert {"fully labelled, ensemble of 2", "ce+random, round 1, ensemble of 2", "always normal"} <= set(
        ensembles.index
    )
    for path in (tmp_path / "tables").glob("*.json"):
        assert json.loads(path.read_text())["data"] == "the stamp"
    assert (tmp_path / "figures/reliability-fully-labelled.png").is_file()
    assert (tmp_path / "figures/subgroups-ce+mc_entropy.png").is_file()


def test_a_run_without_images_says_so_and_labels_given_help(run: Path, tmp_path: Path) -> None:
    table = (run / "images.csv").read_bytes()
    (run / "images.csv").unlink()
    try:
        without = Page(tmp_path / "a", "t")
        add_run_evaluation(without, load(run))
        assert "made before runs kept them in images.csv" in without.write().read_text()
        given = Page(tmp_path / "b", "t")
        add_run_evaluation(given, load(run), labels())
        text = given.write().read_text()
        assert "## Ensemble of seeds" in text and "There are no subgroups" in text
        with pytest.raises(UserError, match="not those that it was measured with"):
            add_run_evaluation(Page(tmp_path / "c", "t"), load(run), np.roll(labels(), 7))
    finally:
        (run / "images.csv").write_bytes(table)


def test_truth_that_does_not_belong_to_a_model(run: Path, tmp_path: Path) -> None:
    finished = load(run)
    baseline = finished.baselines[0]
    folder = finished.fit_folder(baseline.fit)
    index, probs, y = checked_predictions(folder, "test", labels(), baseline.test)
    assert list(index) == list(range(660, 780)) and probs.shape == (120, 3) and (y == labels()[660:]).all()
    for wrong in (labels()[:700], np.full(780, -1), np.roll(labels(), 1)):
        with pytest.raises(UserError, match="not those that it was measured with"):
            checked_predictions(folder, "test", wrong, baseline.test)
    images = pd.DataFrame({"label": ["tuberculosis", "covid", "normal"]})
    assert list(labels_of(images, CLASSES)) == [2, -1, 0]
    (tmp_path / "predictions.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match="predictions cannot be read"):
        read_predictions(tmp_path, "test")
    with pytest.raises(UserError, match="are missing"):
        read_predictions(tmp_path / "nowhere", "test")
