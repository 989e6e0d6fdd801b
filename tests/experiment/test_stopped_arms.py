"""Arms that ask for no more labels: their last model goes on to the budget, so that all seeds stay in every mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_run import fake_images, fake_run, write

from al_cxr.comparison import comparisons
from al_cxr.comparison.compare import per_round, per_seed
from al_cxr.comparison.finished import Finished, load
from al_cxr.comparison.inference import area_under_curve
from al_cxr.comparison.paired import paired
from al_cxr.core.records import StopRecord
from al_cxr.report.asking import stops
from al_cxr.report.last_models import last_models
from al_cxr.report.rounds import each_seed, gains
from al_cxr.report.summary import summary
from al_cxr.report.terminal import comparison_text

TB = "tuberculosis"
ARMS = {"r": ("random", "focal"), "e": ("entropy", "focal")}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Arm e stopped after round 1 of 3 with seed 1; the others went on."""
    root = fake_run(tmp_path_factory.mktemp("run"), ARMS)
    fake_images(root)
    folder = root / "arms/e/seed-1"
    for number in (2, 3):
        (folder / f"round-{number}.json").unlink()
    write(folder / "stopped.json", StopRecord(round=1, reason="no gain"))
    return load(root)


def f1(finished: Finished, arm: str, seed: int, number: int) -> float:
    return finished.rounds[arm, seed][number].test.of(TB).f1


def test_nothing_is_missing_and_means_are_over_all_seeds(stopped: Finished) -> None:
    assert stopped.gaps == ()
    frame = per_round(stopped, TB).set_index(["arm", "round"])
    row = frame.loc[("e", 3)]
    values = [f1(stopped, "e", 0, 3), f1(stopped, "e", 1, 1), f1(stopped, "e", 2, 3)]
    assert row["f1"] == pytest.approx(np.mean(values)) and (row["seeds"], row["carried"]) == (3, 1)
    gains = [value - f1(stopped, "r", seed, 3) for seed, value in enumerate(values)]
    assert row["gain_random"] == pytest.approx(np.mean(gains))
    assert frame.loc[("r", 3), "carried"] == 0


def test_labels_and_seconds_are_those_that_were_spent(stopped: Finished) -> None:
    frame = per_round(stopped, TB).set_index(["arm", "round"])
    assert frame.loc[("e", 3), "labels"] == pytest.approx((300 + 220 + 300) / 3)
    rows = per_seed(stopped, TB)
    carried = rows[rows["carried"] == 1]
    assert carried[["arm", "seed", "round", "labels", "train_s", "score_s"]].to_numpy().tolist() == [
        ["e", 1, 2, 220, 0.0, 0.0],
        ["e", 1, 3, 220, 0.0, 0.0],
    ]


def test_the_area_goes_on_to_the_budget_with_the_last_model(stopped: Finished) -> None:
    labels = np.array([180.0, 220.0, 260.0, 300.0])
    each = [f1(stopped, "e", 1, number) for number in (0, 1, 1, 1)]
    row = comparisons.areas(stopped).set_index("arm").loc["e"]
    random = [f1(stopped, "r", 1, number) for number in range(4)]
    expected = area_under_curve(labels, np.array([each]))[0] - area_under_curve(labels, np.array([random]))[0]
    assert (row["seeds"], row["pairs"]) == (3, 3) and row["difference_seed_1"] == pytest.approx(expected)
    p = paired(stopped)
    assert list(p.labels_A) == list(labels) and p.spent_MA[1, 3] == pytest.approx(820 / 3)


def test_savings_count_the_labels_that_were_spent(stopped: Finished) -> None:
    frame = comparisons.label_savings(stopped)
    known = frame.loc[frame["arm"] == "e", "arm_labels"]
    assert known[np.isfinite(known)].max() <= 820 / 3


def test_the_last_models_are_those_of_all_seeds(stopped: Finished) -> None:
    assert [record.round for record in stopped.last("e")] == [3, 1, 3]
    model = last_models(stopped)["e"]
    assert model.label == "e, round 3" and len(model.tests) == 3


def test_pages_mark_them_and_say_why(stopped: Finished) -> None:
    (said,) = stops(stopped)
    assert said.startswith("e stopped asking after round 1 (seed 1)") and "no gain" in said
    frame = per_round(stopped, TB)
    for table in (summary(stopped, frame), gains(stopped, frame), each_seed(stopped)):
        assert "‡" in table.grid() and any("Their last model" in note for note in table.notes), table.name
    assert "3, 1 stopped ‡" in summary(stopped, frame).grid()
    text = comparison_text(stopped)
    assert "warning   e stopped asking" in text and "nan" not in text


def test_an_arm_that_has_not_got_there_yet_is_not_carried(tmp_path: Path) -> None:
    root = fake_run(tmp_path, ARMS)
    (root / "arms/e/seed-1/round-3.json").unlink()
    frame = per_round(load(root), TB).set_index(["arm", "round"])
    assert (frame.loc[("e", 3), "seeds"], frame.loc[("e", 3), "carried"]) == (2, 0)
