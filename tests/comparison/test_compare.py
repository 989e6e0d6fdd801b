"""Finished runs read back: what is complete, what may be compared, and paired differences against plain arithmetic."""

from __future__ import annotations

import math
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from fake_run import ARMS, edit, fake_run, shared_hashes

from al_cxr.comparison.compare import per_round, per_seed, two_by_two
from al_cxr.comparison.finished import Finished, load, load_baseline
from al_cxr.core.errors import UserError

TB = "tuberculosis"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return load(fake_run(tmp_path_factory.mktemp("run")))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Two arms of one loss, two seeds, one round."""
    return fake_run(tmp_path / "run", {n: ARMS[n] for n in ("ce+random", "ce+mc_entropy")}, seeds=(0, 1), rounds=1)


def f1(finished: Finished, arm: str, seed: int, r: int) -> float:
    return finished.rounds[arm, seed][r].test.of(TB).f1


def test_everything_is_read(finished: Finished) -> None:
    assert set(finished.rounds) == {(arm, seed) for arm in ARMS for seed in (0, 1, 2)}
    assert all([r.round for r in rounds] == [0, 1, 2, 3] for rounds in finished.rounds.values())
    assert all([q.round for q in queries] == [0, 1, 2] for queries in finished.queries.values())
    assert sorted(finished.baselines) == [0, 1, 2]
    assert finished.gaps == ()
    assert finished.train_size == 600


def test_seconds_are_those_that_made_the_round(finished: Finished) -> None:
    """Training of the round's own model; scoring by the query before it, so round 0 has none."""
    assert math.isnan(finished.timings["ce+mc_entropy", 1, 0].score)
    assert finished.timings["ce+mc_entropy", 1, 3].score == 3.25
    assert finished.timings["ce+random", 0, 1].train == 12.5 + 1 % 7


def test_means_and_paired_gains_by_hand(finished: Finished) -> None:
    frame = per_round(finished, TB).set_index(["arm", "round"])
    assert len(frame) == 16
    for arm, (strategy, loss) in ARMS.items():
        random = "ce+random" if loss == "cross_entropy" else "focal+random"
        for r in range(4):
            row = frame.loc[arm, r]
            values = [f1(finished, arm, s, r) for s in range(3)]
            gains = [v - finished.baselines[s].test.of(TB).f1 for s, v in enumerate(values)]
            assert row["f1"] == pytest.approx(statistics.mean(values))
            assert row["f1_sd"] == pytest.approx(statistics.stdev(values))
            assert row["gain_baseline"] == pytest.approx(statistics.mean(gains))
            assert row["gain_baseline_sd"] == pytest.approx(statistics.stdev(gains))
            assert [row[f"gain_baseline_seed_{s}"] for s in range(3)] == pytest.approx(gains)
            assert (row["seeds"], row["labels"]) == (3, 180 + 40 * r)
            if strategy == "random":
                assert math.isnan(row["gain_random"]) and row["gain_random_n"] == 0
            else:
                over = [v - f1(finished, random, s, r) for s, v in enumerate(values)]
                assert row["gain_random"] == pytest.approx(statistics.mean(over))
                assert row["gain_random_sd"] == pytest.approx(statistics.stdev(over))


def test_the_random_counterpart_of_an_arm_has_its_loss_and_a_random_arm_has_none(finished: Finished) -> None:
    counterparts = {arm: finished.random_counterpart(arm) for arm in ARMS}
    assert counterparts == {
        "ce+random": None,
        "ce+mc_entropy": "ce+random",
        "focal+random": None,
        "focal+mc_entropy": "focal+random",
    }


def test_arms_come_in_the_order_of_the_settings(finished: Finished) -> None:
    assert list(dict.fromkeys(per_round(finished, TB)["arm"])) == list(ARMS)


def test_interaction_by_hand(finished: Finished) -> None:
    (frame,) = two_by_two(finished, TB)
    assert list(frame["loss"]) == ["cross_entropy", "focal", "focal − cross_entropy"]
    assert set(frame["round"]) == {3} and set(frame["seeds"]) == {3}
    each = [
        (f1(finished, "focal+mc_entropy", s, 3) - f1(finished, "focal+random", s, 3))
        - (f1(finished, "ce+mc_entropy", s, 3) - f1(finished, "ce+random", s, 3))
        for s in range(3)
    ]
    corner = frame.iloc[2]
    assert corner["difference"] == pytest.approx(statistics.mean(each))
    assert corner["difference_sd"] == pytest.approx(statistics.stdev(each))
    assert [corner[f"difference_seed_{s}"] for s in range(3)] == pytest.approx(each)
    assert corner["difference"] == pytest.approx(corner["active"] - corner["random"])


def test_no_two_by_two_without_its_four_arms(small: Path) -> None:
    assert two_by_two(load(small), TB) == []


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    frame = per_round(load(fake_run(tmp_path, {"r": ("random", "focal")}, seeds=(4,), rounds=1)), TB)
    assert frame["f1_sd"].isna().all() and frame["gain_baseline_sd"].isna().all()
    assert frame["gain_baseline"].notna().all()


def test_an_unfinished_run_says_what_is_missing(small: Path) -> None:
    (small / "arms/ce+mc_entropy/seed-1/round-1.json").unlink()
    shutil.rmtree(small / "arms/ce+random/seed-0")
    (small / "baseline/seed-0.json").unlink()
    finished = load(small)
    assert finished.gaps == (
        "ce+random seed 0: no round is finished",
        "ce+mc_entropy seed 1: round 0 of 1",
        "baseline seed 0: not finished",
    )
    frame = per_round(finished, TB).set_index(["arm", "round"])
    assert frame.loc["ce+mc_entropy", 1]["seeds"] == 1
    assert frame.loc["ce+mc_entropy", 0]["gain_baseline_n"] == 1
    assert frame.loc["ce+mc_entropy", 0]["gain_random_n"] == 1
    assert math.isnan(frame.loc["ce+mc_entropy", 1]["gain_baseline"])  # seed 0 got there, without a baseline
    assert [r.seed for r in finished.last("ce+mc_entropy")] == [0]


def test_a_hole_ends_the_rounds(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "run")
    (tmp_path / "run/arms/ce+random/seed-0/round-1.json").unlink()
    holed = load(tmp_path / "run")
    assert len(holed.rounds["ce+random", 0]) == 1
    assert holed.gaps == ("ce+random seed 0: round 0 of 3",)


def test_an_emptied_pool_is_finished(small: Path) -> None:
    folder = small / "arms/ce+random/seed-0"
    (folder / "round-1.json").unlink()
    edit(folder / "round-0.json", n_labelled=600)
    assert load(small).gaps == ()


@pytest.mark.parametrize("key", ["seed_set", "initial_weights", "loader", "masks", "test_set", "data"])
def test_arms_that_did_not_start_alike_are_refused(small: Path, key: str) -> None:
    path = small / "arms/ce+mc_entropy/seed-1/round-1.json"
    hashes = shared_hashes(1) | {"seed_set": "s1", "masks": "m1"}
    edit(path, hashes=hashes | {key: "other"})
    with pytest.raises(UserError, match=rf"ce\+random and ce\+mc_entropy of seed 1 differ in {key} at round 1"):
        load(small)
    edit(path, hashes={k: v for k, v in hashes.items() if k != key})
    with pytest.raises(UserError, match=f"differ in {key}"):
        load(small)


@pytest.mark.parametrize("key", ["initial_weights", "loader", "test_set", "data"])
def test_a_baseline_that_did_not_start_like_the_arms_is_refused(small: Path, key: str) -> None:
    edit(small / "baseline/seed-1.json", hashes=shared_hashes(1) | {key: "other"})
    with pytest.raises(UserError, match=rf"the baseline and arm ce\+random of seed 1 differ in {key}"):
        load(small)


def test_seeds_may_differ_from_each_other(small: Path) -> None:
    load(small)  # seed_set and initial_weights are s0/w0 and s1/w1 there


def test_wrong_folders(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name, example in (("nowhere", "tb_entropy"), ("empty", "tb_entropy"), ("mine", "mine")):
        with pytest.raises(UserError, match=f"{name}: no such run folder; .* such as runs/{example}$"):
            load(Path(name))
    models = fake_run(tmp_path / "models", arms={}, seeds=(0,))
    with pytest.raises(UserError, match="no arms"):
        load(models)
    assert list(load_baseline(models).baselines) == [0]
    shutil.rmtree(small / "arms")
    with pytest.raises(UserError, match="no round is finished"):
        load(small)
    shutil.rmtree(small / "baseline")
    with pytest.raises(UserError, match="no baseline is finished"):
        load_baseline(small)


def test_wrong_records(small: Path) -> None:
    finished = load(small)
    with pytest.raises(UserError, match="no class 'covid'"):
        per_seed(finished, "covid")
    for key in ("../../other", "..", "a/b"):
        with pytest.raises(UserError, match="which cannot be one"):
            finished.fit_folder(key)
    settings = finished.experiment.settings
    edit(small / "experiment.json", settings=settings | {"budget": {"roundz": 3}})
    with pytest.raises(UserError, match=r"settings\.budget\.roundz"):
        load(small)
    edit(small / "experiment.json", settings=settings | {"data": settings["data"] | {"target": "covid"}})
    with pytest.raises(UserError, match="no class 'covid'; known: normal, pneumonia, tuberculosis"):
        load(small)


def test_reports_do_without_torch() -> None:
    code = "import sys, al_cxr.comparison.compare, al_cxr.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
