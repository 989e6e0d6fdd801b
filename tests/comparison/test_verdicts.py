"""What a comparison may call better, which comparisons are one, and which labels are part of a price."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_run import edit, fake_images, fake_run

from al_cxr.comparison import comparisons
from al_cxr.comparison.finished import Finished, load
from al_cxr.comparison.inference import holm
from al_cxr.comparison.labels import validation_uses
from al_cxr.config import Settings
from al_cxr.report.evidence import support
from al_cxr.report.evidence_tables import area_table, savings_tables
from al_cxr.report.headline import few, headline

ARMS = {"r": ("random", "focal"), "e": ("entropy", "focal")}
SEARCH = {"trials": 12, "labels": 0.3, "seeds": [100, 101], "space": {"train.lr": {"low": 1e-4, "high": 1e-2}}}


def with_settings(run: Path, **changes: object) -> Finished:
    settings = load(run).experiment.settings
    for key, value in changes.items():
        old = settings.get(key)
        settings[key] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
    edit(run / "experiment.json", settings=settings)
    return load(run)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return fake_run(tmp_path / "run", ARMS, seeds=tuple(range(8)))


def corrected(difference: float, low: float, high: float, p: float) -> str:
    row = {"difference": difference, "difference_low": low, "difference_high": high, "pairs": 8, "p": p, "models": ()}
    return str(comparisons._corrected([row])["verdict"].iloc[0])


def test_better_and_worse_take_both_p_and_the_interval() -> None:
    assert corrected(0.03, 0.01, 0.05, 0.01) == "better"
    assert corrected(-0.03, -0.05, -0.01, 0.01) == "worse"
    assert corrected(0.03, -0.01, 0.07, 0.01) == "seeds"
    assert corrected(0.03, np.nan, np.nan, 0.01) == "seeds"
    assert corrected(0.03, 0.01, 0.05, 0.06) == corrected(0.03, np.nan, np.nan, np.nan) == ""


def test_what_seeds_alone_say_is_said_as_such(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = load(run)
    areas = comparisons.areas(finished)
    wide = areas.assign(verdict=["", "seeds"], difference_low=-0.01, p_holm=[np.nan, 0.0078])
    monkeypatch.setattr(comparisons, "areas", lambda _: wide)
    first, second, *_ = headline(finished)
    assert first.startswith("No arm is shown to be better or worse than random")
    assert second.startswith("Undecided: ") and "Other seeds would agree" in second and "p at most 0.0078" in second
    assert "over seeds alone" in area_table(finished).grid()


def test_the_same_models_are_one_comparison(tmp_path: Path) -> None:
    """Arm e2 asked for the very images of e; round 0 of all arms of a loss is one model a seed."""
    root = fake_run(tmp_path, ARMS | {"e2": ("margin", "focal")}, seeds=(0, 1, 2, 3))
    for path in root.glob("arms/e/seed-*/round-*.json"):
        (root / "arms/e2" / path.parent.name / path.name).write_text(
            path.read_text().replace('"arm":"e"', '"arm":"e2"')
        )
    finished = load(root)
    areas = comparisons.areas(finished).set_index("arm")
    assert set(areas["family"]) == {1} and areas.loc["e2", "p_holm"] == areas.loc["e", "p_holm"] == areas.loc["e", "p"]
    rounds = comparisons.by_round(finished, "baseline")
    assert len(rounds) == 12 and set(rounds["family"]) == {1 + 3 + 3}  # round 0, and three of r and of e
    first = rounds[~rounds.duplicated(["round", "difference"])]
    np.testing.assert_allclose(first["p_holm"], holm(first["p"].to_numpy()))
    assert rounds[rounds["round"] == 0]["p_holm"].nunique() == 1
    assert "among 7 comparisons" in support(finished)


def test_every_use_of_validation_labels_has_its_words() -> None:
    base = {"data": {"sources": [{"kind": "phantom"}]}, "train": {"monitor": "none", "schedule": "constant"}}
    assert validation_uses(Settings.model_validate(base)) == []
    for changes, word in (
        ({"train": {"monitor": "macro_f1", "schedule": "constant"}}, "epoch"),
        ({"train": {"monitor": "none", "schedule": "plateau"}}, "learning rate"),
        ({"stop": {"rule": "no_gain"}}, "stops asking"),
        ({"scoring": {"temperature": "validation"}}, "temperature"),
        ({"search": SEARCH}, "12 trials (search), which also trained on 30 % of the training labels with 2 seeds"),
    ):
        (said,) = validation_uses(Settings.model_validate(base | changes))
        assert word in said
    early = base | {"train": {"monitor": "loss", "schedule": "constant", "patience": 3}}
    assert len(validation_uses(Settings.model_validate(early))) == 2
    assert validation_uses(Settings.model_validate(base | {"stop": {"rule": "stable_predictions"}})) == []


def test_validation_labels_stand_on_both_sides_where_they_chose(run: Path) -> None:
    finished = load(run)
    frame = comparisons.label_savings(finished)
    both = frame[np.isfinite(frame["arm_labels"]) & np.isfinite(frame["random_labels"])]
    assert len(both)
    np.testing.assert_allclose(both["fewer_all"], (both["random_labels"] + 60) / (both["arm_labels"] + 60))
    assert any("With the 60 validation labels on both sides" in said for said in headline(finished))
    assert "The 60 validation labels are part of the price of every arm" in headline(finished)[-1]
    assert "with 60 validation labels" in savings_tables(finished)[0].grid()


def test_where_they_only_judge_it_is_said(run: Path) -> None:
    finished = with_settings(run, train={"monitor": "none", "schedule": "constant"})
    assert comparisons.label_savings(finished)[["fewer_all", "fewer_all_low"]].isna().all(axis=None)
    text = headline(finished)
    assert text[-1].startswith("No validation label was used within this run to train or to choose: the 60 validation ")
    assert not any("on both sides" in said for said in text)
    assert "validation labels" not in savings_tables(finished)[0].grid()


def test_arms_that_reach_the_fully_labelled_are_named_one_by_one_with_intervals(run: Path) -> None:
    finished = load(run)
    (said,) = (said for said in headline(finished) if said.startswith("All 600 labels: "))
    frame = comparisons.label_savings(finished)
    there = frame[(frame["of"] == "fully labelled") & np.isfinite(frame["arm_labels"])]
    for arm in there["arm"]:
        assert f"{arm} with " in said
    assert "first" not in said and said.count("(") == len(there)


def test_a_level_that_a_constant_answer_has_counts_no_labels(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a baseline with F1 0, which two labels reach."""
    finished = load(run)
    monkeypatch.setattr(comparisons, "positives", lambda _: (110, 120))  # always answering it: 95.7 %
    frame = comparisons.label_savings(finished)
    assert frame[["arm_labels", "random_labels", "fewer_low"]].isna().all(axis=None)
    text = " ".join(headline(finished))
    assert 'is no better than the answer "always tuberculosis" (95.7 %). Reaching it says nothing' in text
    assert "nan" not in text and "nan" not in savings_tables(finished)[1].grid()


def test_a_handful_of_test_images_compares_nothing(run: Path) -> None:
    data = load(run).experiment.data.model_dump()
    data["counts"]["test"] = {"normal": 1, "pneumonia": 0, "tuberculosis": 1}
    edit(run / "experiment.json", data=data)
    finished = load(run)
    (said,) = headline(finished)
    assert said.startswith("The test set has 1 images of tuberculosis and 1 others, too few to compare")
    assert comparisons.label_savings(finished)["arm_labels"].isna().all()
    assert any("test has 1 of normal" in warning for warning in few(finished))


def test_one_patient_with_half_of_the_images_is_warned_of(run: Path) -> None:
    images = fake_images(run)
    images.loc[images["split"] == "test", "patient_id"] = ["p"] * 60 + [f"q{i}" for i in range(60)]
    images.to_csv(run / "images.csv", index=False)
    assert any("one patient has 60 of the 120 images of test" in said for said in few(load(run)))
