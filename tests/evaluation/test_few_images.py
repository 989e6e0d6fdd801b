"""What few images cannot tell is not told: temperatures, thresholds and figures of a handful of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from al_cxr.core import enough
from al_cxr.data.load import load_for_evaluation
from al_cxr.data.sources.named import named_source
from al_cxr.evaluation.calibration import apply_temperature, fit_temperature
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign
from al_cxr.evaluation.subgroups import Subgroup
from al_cxr.report.evaluation_tables import subgroups_table

SURE = 0.999


def told(n: int, spread: float, scale: float, r: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two classes: labels drawn from logits of standard deviation `spread`, and the probabilities that a network states
    whose logits are `scale` times too large."""
    logits = spread * r.normal(size=n)
    labels = (r.random(n) < expit(logits)).astype(int)
    return np.stack([expit(-scale * logits), expit(scale * logits)], axis=1), labels


@pytest.mark.parametrize("images", [8, 16, 50, 100, 500])
def test_simulated_temperatures_make_no_model_surer_than_it_is_right(images: int) -> None:
    """For networks that are right on 78, 87 and 93 % and state too little, the truth, or three times too much: the
    mean confidence on new images is above the accuracy by less than a point (2 with 16 to 50 validation images that
    hold 5 wrong answers); images of 99.9 % are hardly ever wrong; 500 images give the likeliest temperature."""
    for spread in (2.0, 4.0, 8.0):
        for scale in (0.5, 1.0, 3.0):
            excess, errors = [], []
            for draw in range(30):
                r = np.random.default_rng([images, draw])
                found = fit_temperature(*told(images, spread, scale, r))
                probs, labels = told(3000, spread, scale, r)
                warm = apply_temperature(probs, found.value)
                right = warm.argmax(axis=1) == labels
                excess.append(warm.max(axis=1).mean() - right.mean())
                sure = warm.max(axis=1) >= SURE
                errors.append((sure & ~right).sum() / max(sure.sum(), 20))
                if images >= 500:
                    assert not found.note and found.value == pytest.approx(scale, rel=0.5)
            assert np.mean(excess) < (0.02 if images in (16, 50) else 0.01)
            assert np.max(errors) < 0.1
            if images >= 100:
                assert abs(np.mean(excess)) < 0.02


@pytest.mark.parametrize("stated", [0.7, 0.97, 0.999999])
def test_sixteen_images_without_an_error_make_nobody_sure(stated: float) -> None:
    labels = np.arange(16) % 2
    probs = np.where(np.eye(2)[labels] == 1, stated, 1 - stated)
    found = fit_temperature(probs, labels)
    sure = apply_temperature(probs, found.value).max(axis=1).mean()
    assert found.value >= 1 and sure == pytest.approx(min(stated, 17 / 18))
    assert "16 validation images, of which 0 are answered wrongly, are too few" in found.note
    assert "16 right of 16 allow 94 %" in found.note


def test_many_images_without_an_error_allow_more() -> None:
    labels = np.arange(500) % 2
    probs = np.where(np.eye(2)[labels] == 1, 0.9, 0.1)
    found = fit_temperature(probs, labels)
    assert found.value < 1 and apply_temperature(probs, found.value).max(axis=1).mean() == pytest.approx(501 / 502)


def test_a_split_of_few_images_is_said() -> None:
    assert enough.of_split("test", {"normal": 20, "ill": 300}) == []
    (said,) = enough.of_split("test", {"normal": 2, "ill": 0})
    assert said.startswith("few images: test has 2 of normal, 0 of ill")
    assert "moves a percentage by 50 points" in said and "of ill nothing can be said" in said
    (said,) = enough.of_split("val", {"normal": 8, "ill": 8})
    assert "thresholds that are chosen on them are rough" in said
    assert enough.of_split("test", {"normal": 0, "ill": 0}) == []


def test_a_patient_with_much_of_a_split_is_said() -> None:
    assert enough.of_patients("test", [*["a"] * 30, *[f"p{i}" for i in range(30)]]) == [
        "one patient has 30 of the 60 images of test: its figures are much about that person"
    ]
    for none in ([""] * 60, [f"p{i}" for i in range(60)], ["only"], [*["a", "a"], *[f"p{i}" for i in range(60)]]):
        assert enough.of_patients("test", none) == []


def test_slices_are_of_one_decision_and_tiny_ones_have_no_figures() -> None:
    r = np.random.default_rng(0)
    probs, labels = told(200, 3, 1, r)
    val_probs, val_labels = told(200, 3, 1, r)
    sizes = {"large": 100, "small": 10, "tiny": 3}
    found = [Subgroup("source", name, np.arange(200) < n) for name, n in sizes.items()]
    for val, decision in (((val_probs, val_labels), "at the threshold"), ((None, None), "by the largest probability")):
        model = Predicted("m", probs, labels, *val)
        study = StudyDesign(("normal", "ill"), 1)
        table = subgroups_table(Group("g", "g", [model]), found, study, "n", "t")
        threshold = study.threshold(model).value
        said = probs.argmax(axis=1) if threshold is None else probs[:, 1] >= threshold
        rows = table.frame.set_index("subgroup")
        assert rows["accuracy"]["all"] == pytest.approx((said == labels).mean())
        assert np.isnan(rows["accuracy"]["source tiny †"]) and rows["accuracy"]["source small †"] >= 0
        titles = [column.title for column in table.columns]
        assert f"accuracy {decision}, %" in titles and f"F1 {decision}, %" in titles
        assert ("sensitivity at the threshold, %" in titles) == (threshold is not None)


def test_two_images_of_a_hospital_are_warned_of(cxr_root: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(cxr_root / "shenzhen.csv", dtype=str, keep_default_na=False)
    classes = sorted(frame["label"].unique())

    def notes(rows: pd.DataFrame) -> list[str]:
        rows.to_csv(tmp_path / "some.csv", index=False)
        source = {"kind": "manifest", "path": str(tmp_path / "some.csv"), "root": str(cxr_root)}
        kind = type(named_source("x.csv"))
        found = load_for_evaluation(kind.model_validate(source), classes).notes
        return [note for note in found if note.startswith((enough.PREFIX, "one patient"))]

    assert notes(frame.assign(split="test")) == []
    two = frame.groupby("label").head(1).assign(split="test")
    assert [n for n in notes(two) if "moves a percentage by 100 points" in n]
    one = frame.assign(split="test", patient_id=["one" if i % 2 else f"p{i}" for i in range(len(frame))])
    assert [n for n in notes(one) if n.startswith("one patient has")]
