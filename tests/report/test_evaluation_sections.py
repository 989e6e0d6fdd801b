"""Sections about tested models: screening, the worst subgroup, and the part of a run's page that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_run import ARMS, CLASSES, SPLITS, edit, fake_run, labels
from predicted_models import model

from al_cxr.comparison.finished import load
from al_cxr.core.errors import UserError
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign
from al_cxr.evaluation.subgroups import subgroups
from al_cxr.report.evaluation_sections import add_sections, worst
from al_cxr.report.evaluation_tables import screening_table, subgroups_table
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.tables import Column
from al_cxr.report.run_evaluation import add_run_evaluation

TWO = {n: ARMS[n] for n in ("ce+random", "ce+mc_entropy")}


def test_screening_of_a_perfect_model_has_no_false_alarm() -> None:
    y = np.repeat([0, 1, 2], 20)
    perfect = Predicted("s", 0.97 * np.eye(3)[y] + 0.01, y, 0.97 * np.eye(3)[y] + 0.01, y)
    frame = screening_table(Group("g", "g", [perfect]), StudyDesign(CLASSES, 2, prevalences=(0.02,)), "n", "t").frame
    row = frame.iloc[0]
    assert (row["found"], row["missed"], row["false_alarms"], row["per_found"]) == (20, 0, 0, 1)
    assert row["found_low"] < 17 and row["false_alarms_high"] > 80  # of 20 images one cannot know better


def test_the_worst_subgroup_is_found_and_small_ones_are_not_blamed() -> None:
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


def test_a_run_without_images_says_so_and_wrong_labels_are_refused(run: Path, tmp_path: Path) -> None:
    path = run / "images.csv"
    table = path.read_bytes()
    try:
        images = pd.read_csv(path, keep_default_na=False)
        images.assign(label=np.roll(images["label"], 7)).to_csv(path, index=False)
        with pytest.raises(UserError, match="not those that it was measured with"):
            add_run_evaluation(Page(tmp_path / "a", "t"), load(run))
        path.unlink()
        without = Page(tmp_path / "b", "t")
        add_run_evaluation(without, load(run))
        assert "made before runs kept labels in images.csv" in without.write().read_text()
    finally:
        path.write_bytes(table)


def test_a_page_of_images_of_which_nothing_is_known_has_no_subgroups(tmp_path: Path) -> None:
    page = Page(tmp_path, "t")
    add_sections(page, [Group("g", "g", [model()])], StudyDesign(CLASSES, 2), None, {"g"})
    assert "There are no subgroups" in page.write().read_text()
