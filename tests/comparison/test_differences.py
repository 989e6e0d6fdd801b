"""Differences, effects and savings of a finished run against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from fake_run import ARMS, fake_images, fake_run

from al_cxr.comparison import comparisons
from al_cxr.comparison.compare import two_by_two
from al_cxr.comparison.finished import Finished, load
from al_cxr.comparison.inference import area_under_curve, holm, sign_flip

TB = "tuberculosis"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    root = fake_run(tmp_path_factory.mktemp("run"))
    fake_images(root)
    return load(root)


def f1(finished: Finished, arm: str, seed: int) -> np.ndarray:
    return np.array([r.test.of(TB).f1 for r in finished.rounds[arm, seed]])


def test_areas_and_their_differences_by_hand(finished: Finished) -> None:
    frame = comparisons.areas(finished).set_index("arm")
    labels = np.array([180.0, 220.0, 260.0, 300.0])
    area = {arm: [area_under_curve(labels, f1(finished, arm, s)[None])[0] for s in range(3)] for arm in ARMS}
    for arm, random in (("ce+mc_entropy", "ce+random"), ("focal+mc_entropy", "focal+random")):
        row, each = frame.loc[arm], np.subtract(area[arm], area[random])
        assert row["random_counterpart"] == random and row["area"] == pytest.approx(np.mean(area[arm]))
        assert [row[f"difference_seed_{s}"] for s in range(3)] == pytest.approx(each)
        assert row["difference"] == pytest.approx(each.mean()) and row["p"] == sign_flip(each)
        assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert frame.loc["ce+random", ["difference", "p", "p_holm"]].isna().all()
    two = frame["p"].dropna()
    np.testing.assert_allclose(frame["p_holm"].dropna(), holm(two.to_numpy()))


def test_rounds_against_random_and_the_baseline_by_hand(finished: Finished) -> None:
    random = comparisons.by_round(finished, "random").set_index(["arm", "round"])
    assert sorted(random.index) == sorted((a, r) for a in ("ce+mc_entropy", "focal+mc_entropy") for r in (1, 2, 3))
    each = [f1(finished, "ce+mc_entropy", s)[2] - f1(finished, "ce+random", s)[2] for s in range(3)]
    assert random.loc[("ce+mc_entropy", 2), "difference"] == pytest.approx(np.mean(each))
    np.testing.assert_allclose(random["p_holm"], holm(random["p"].to_numpy()))
    base = comparisons.by_round(finished, "baseline").set_index(["arm", "round"])
    assert len(base) == 16
    each = [f1(finished, "focal+random", s)[0] - finished.baselines[s].test.of(TB).f1 for s in range(3)]
    assert base.loc[("focal+random", 0), "difference"] == pytest.approx(np.mean(each))


def test_effects_are_those_of_the_two_by_two(finished: Finished) -> None:
    frame = comparisons.effects(finished).set_index("effect")
    (square,) = two_by_two(finished, TB)
    assert frame.loc["interaction", "difference"] == pytest.approx(square["difference"].iloc[2])
    assert frame.loc["strategy", "difference"] == pytest.approx(square["difference"].iloc[:2].mean())
    assert frame.loc["loss", "difference"] == pytest.approx(square[["random", "active"]].iloc[2].mean())
    assert set(frame["round"]) == {3}
    np.testing.assert_allclose(frame["p_holm"], holm(frame["p"].to_numpy()))


def test_savings_lie_in_the_budget_and_compare_like_with_like(finished: Finished) -> None:
    frame = comparisons.label_savings(finished)
    known = frame["arm_labels"][np.isfinite(frame["arm_labels"])]
    assert known.between(180, 300).all()
    both = frame[np.isfinite(frame["arm_labels"]) & np.isfinite(frame["random_labels"])]
    np.testing.assert_allclose(both["fewer"], both["random_labels"] / both["arm_labels"])
    last = frame[(frame["arm"] == "ce+mc_entropy") & frame["of"].str.startswith("random")].iloc[-1]
    curve = comparisons.curves(finished)
    top = curve[curve["arm"] == "ce+random"]["f1"]
    assert last["level"] >= top.iloc[-1] - 1e-12 and last["random_labels"] <= 300
    assert set(frame[frame["arm"] == "ce+random"]["of"]) == {"fully labelled"}
    level = np.mean([b.test.of(TB).f1 for b in finished.baselines.values()])
    assert set(frame[frame["of"] == "fully labelled"]["level"].round(9)) == {round(float(level), 9)}
