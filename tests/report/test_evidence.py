"""What a finished run supports: differences, savings and effects against plain arithmetic, in words, on a page."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_run import ARMS, CLASSES, edit, fake_images, fake_run
from matplotlib.figure import Figure
from safetensors.numpy import load_file, save_file
from scipy.stats import ttest_1samp
from sklearn.metrics import f1_score

from al_cxr.comparison import comparisons
from al_cxr.comparison.acquired import acquired
from al_cxr.comparison.compare import two_by_two
from al_cxr.comparison.finished import Finished, load
from al_cxr.comparison.inference import area_under_curve, holm, image_samples, sign_flip
from al_cxr.comparison.paired import paired
from al_cxr.comparison.savings import times_fewer
from al_cxr.core.errors import UserError
from al_cxr.core.seeds import digest, rng
from al_cxr.report import evidence_figures
from al_cxr.report.evidence import add_evidence, headline, support
from al_cxr.report.evidence_tables import acquired_tables, cost_tables, savings_tables
from al_cxr.report.kit.numbers import bounds, interval, number, up_to
from al_cxr.report.kit.page import Page
from al_cxr.report.rounds import experiment_tables
from al_cxr.report.trivial import by_source
from al_cxr.strategies.pool import seed_set

TB = "tuberculosis"
NAN, INF = math.nan, math.inf


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    root = fake_run(tmp_path_factory.mktemp("run"))
    fake_images(root)
    return load(root)


def f1(finished: Finished, arm: str, seed: int) -> np.ndarray:
    return np.array([r.test.of(TB).f1 for r in finished.rounds[arm, seed]])


def test_the_first_sample_is_what_was_recorded(finished: Finished) -> None:
    p = paired(finished)
    assert p.f1_RMAS.shape == (2001, 4, 4, 3) and p.units == 60 and "test patients (60)" in p.resampled
    for m, arm in enumerate(p.arms):
        for seed in range(3):
            np.testing.assert_allclose(p.f1_RMAS[0, m, :, seed], f1(finished, arm, seed))
    assert list(p.labels_A) == [180, 220, 260, 300]


def test_a_replicate_draws_patients_once_for_all_models(finished: Finished) -> None:
    """Computed again from the files: the same images for every fit, both of a patient together."""
    p, images = paired(finished), finished.images
    assert images is not None
    test = images[images["split"] == "test"]
    units = np.unique(test["patient_id"], return_inverse=True)[1]
    times = image_samples(60)[7, units].astype(int)
    for arm, seed, r in (("ce+random", 0, 1), ("focal+mc_entropy", 2, 3)):
        fit = finished.rounds[arm, seed][r].fit
        said = load_file(finished.fit_folder(fit) / "predictions.safetensors")["test_probs"].argmax(axis=1) == 2
        expected = f1_score(np.repeat(test["label"] == TB, times), np.repeat(said, times))
        assert p.f1_RAS(arm)[7, r, seed] == pytest.approx(expected)


def test_without_images_csv_seeds_alone_are_drawn(finished: Finished, tmp_path: Path) -> None:
    bare = load(fake_run(tmp_path))
    assert bare.images is None
    p = paired(bare)
    assert p.units == 1 and "no images.csv" in p.resampled
    np.testing.assert_allclose(p.f1_RMAS[1], p.f1_RMAS[0])
    whole = comparisons.areas(finished)
    np.testing.assert_allclose(comparisons.areas(bare)["difference"], whole["difference"])
    row = comparisons.areas(bare).set_index("arm").loc["ce+mc_entropy"]
    expected = ttest_1samp([row[f"difference_seed_{s}"] for s in range(3)], 0).confidence_interval()
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((expected.low, expected.high))


def test_predictions_must_be_those_of_the_record(tmp_path: Path) -> None:
    root = fake_run(tmp_path, {"r": ("random", "focal")}, seeds=(0,), rounds=1)
    fake_images(root)
    path = root / "fits/focal-0-0/predictions.safetensors"
    arrays = load_file(path)
    for changed, said in (
        ({"test_probs": arrays["test_probs"][::-1].copy()}, "do not give the F1"),
        ({"test_index": arrays["test_index"] + 1}, "other test images"),
    ):
        save_file(arrays | changed, path)
        with pytest.raises(UserError, match=said):
            paired(load(root))
    path.write_bytes(b"no tensors")
    with pytest.raises(UserError, match="predictions cannot be read"):
        paired(load(root))
    path.unlink()
    with pytest.raises(UserError, match="predictions are missing"):
        paired(load(root))


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


def test_savings_as_printed() -> None:
    def printed(random: float, arm: float, low: float, high: float) -> str:
        least, most = (float(bound[0]) for bound in times_fewer(np.array([random]), np.array([arm]), 400))
        return bounds({"x_least": least, "x_most": most, "x_low": low, "x_high": high}, "x", "times")

    assert printed(300, 200, 1.0, 1.75) == "1.50 (1.00 to 1.75)"
    assert printed(INF, 200, 1.25, INF) == "at least 2.00 (1.25 or more)"
    assert printed(300, INF, 0.0, 1.6) == "at most 0.75 (1.60 or less)"
    assert printed(300, 200, 0.0, INF) == "1.50 (not bounded)"
    assert printed(INF, INF, 0.0, INF) == printed(NAN, 200, NAN, NAN) == "—"
    row = {"arm_labels": 200.0, "budget": 400.0}
    ends = {"arm_labels_low": 180.0, "arm_labels_high": INF}
    assert interval(row | ends, "arm_labels", "labels", "budget") == "200 (180 to > 400)"
    assert number(300.2, "labels") == "301" and up_to(row | ends, "arm_labels_high", "labels", "budget") == "> 400"
    assert [number(p, "p") for p in (0.0625, 1.0, 1e-6, NAN)] == ["0.0625", "1", "< 0.0001", "—"]


def test_predict_the_source_by_hand(finished: Finished) -> None:
    """Source b: 50 + 50 + 100 images of train, so tuberculosis; source a: normal."""
    told, images = by_source(finished), finished.images
    assert told is not None and images is not None
    test = images[images["split"] == "test"]
    said = np.where(test["source"] == "b", TB, "normal")
    assert told.accuracy == pytest.approx((said == test["label"]).mean())
    assert told.of(TB).f1 == pytest.approx(f1_score(test["label"] == TB, said == TB))
    tables = experiment_tables(finished)
    for table in (*tables["summary"], *tables["gain"], *tables["rounds"], *tables["each_seed"]):
        assert "predict the source" in table.grid() and "always normal" in table.grid(), table.name


def test_what_was_acquired_by_hand(tmp_path: Path) -> None:
    root = fake_run(tmp_path, {"r": ("random", "focal"), "e": ("entropy", "focal")}, seeds=(0,), rounds=2)
    images = fake_images(root)
    start = seed_set(np.arange(600), 180, rng(0, "seed_set"))
    hashes = load(root).rounds["r", 0][0].hashes
    for path in root.glob("arms/*/seed-0/round-*.json"):
        edit(path, hashes=hashes | {"seed_set": digest(start)})
    left = np.setdiff1d(np.arange(600), [*start, 0, 1])
    # Image 1 of patient 0 comes with its copy 0; in round 2 the next images have patients of their own.
    edit(
        root / "arms/r/seed-0/query-0.json", indices=[0, 1] if 0 not in start and 1 not in start else left[:2].tolist()
    )
    edit(root / "arms/r/seed-0/query-1.json", indices=left[5:9].tolist())
    frame = acquired(load(root)).set_index(["arm", "round"])
    taken = np.array(load(root).queries["r", 0][1].indices)
    row = frame.loc[("r", 2)]
    assert row["images"] == 4 and row["patients"] == images["patient_id"][taken].nunique()
    before = set(images["patient_id"][[*start, *load(root).queries["r", 0][0].indices]])
    assert row["new_patients"] == len(set(images["patient_id"][taken]) - before)
    assert sum(row[f"class {c}"] for c in CLASSES) == 4 == row["source a"] + row["source b"]
    assert frame.loc[("r", 0), "copies_inside"] == pytest.approx(2 * {0, 1}.issubset(start) / 180)
    both = acquired_tables(load(root))
    assert both is not None and len(both[0].frame) == 2


def test_an_unknown_seed_set_leaves_what_follows_from_it_open(finished: Finished) -> None:
    frame = acquired(finished)  # its hash is s0
    assert set(frame["round"]) == {1, 2, 3} and frame["new_patients"].isna().all()
    assert frame["patients"].notna().all() and frame["copies_labelled"].isna().all()


def test_cost_by_hand(finished: Finished) -> None:
    totals, rounds = cost_tables(finished)
    frame = totals.frame.set_index("arm")
    assert frame.loc["ce+mc_entropy", "score_s"] == pytest.approx(3 * 3.25) and frame.loc["ce+random", "score_s"] == 0
    times = [sum(finished.timings["ce+random", s, r].train for r in range(4)) for s in range(3)]
    assert frame.loc["ce+random", "train_s"] == pytest.approx(np.mean(times))
    assert "fully labelled" in frame.index and len(rounds.frame) == 16


def test_the_headline_has_the_same_sentences_for_good_and_bad_news(tmp_path: Path) -> None:
    arms = {"r": ("random", "focal"), "e": ("entropy", "focal")}
    few = load(fake_run(tmp_path / "few", arms, seeds=(0, 1, 2)))
    text = " ".join(headline(few))
    assert "3 paired seeds" in text and "No arm is shown to differ from random" in text
    assert "3 seeds cannot reach p < 0.05: the smallest possible is 0.25" in text
    many = load(fake_run(tmp_path / "many", arms, seeds=tuple(range(8)), rounds=5))
    better, support_of_n, *_ = headline(many)
    assert re.fullmatch(r"Better than random \(.*8 paired seeds; .* at most 0\.0\d+\): e \+.*\.", better)
    assert support_of_n.startswith("8 seeds can reach")
    swapped = {"e": ("random", "focal"), "r": ("entropy", "focal")}
    root = tmp_path / "worse"
    shutil.copytree(tmp_path / "many", root)
    settings = many.experiment.settings
    named = {name: {"strategy": s, "loss": loss} for name, (s, loss) in swapped.items()}
    edit(root / "experiment.json", settings=settings | {"arms": named})
    assert re.match(r"Worse than random \(.*\): r −", headline(load(root))[0])


@pytest.mark.parametrize(
    ("arms", "seeds", "rounds", "baseline"),
    [
        ({"r": ("random", "focal")}, (0, 1), 2, True),
        ({"r": ("random", "focal"), "e": ("entropy", "focal")}, (0,), 1, False),
        ({"r": ("random", "focal"), "e": ("entropy", "cross_entropy")}, (0, 1), 1, True),
        ({"r": ("random", "focal"), "e": ("entropy", "focal")}, (0, 1), 0, True),
    ],
)
def test_whatever_is_there_has_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arms: dict, seeds: tuple, rounds: int, baseline: bool
) -> None:
    monkeypatch.setattr(Page, "figure", lambda *args, **kwargs: None)
    run = load(fake_run(tmp_path / "run", arms, seeds, rounds, baseline=baseline))
    page = Page(tmp_path / "page", "t")
    add_evidence(page, run)
    text = page.write().read_text()
    assert "## Cost" in text and ("## Against the fully labelled baseline" in text) == baseline
    assert "nan" not in text and "inf" not in text


def test_an_unfinished_run_has_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Page, "figure", lambda *args, **kwargs: None)
    root = fake_run(tmp_path / "run")
    (root / "arms/ce+mc_entropy/seed-1/round-3.json").unlink()
    shutil.rmtree(root / "arms/focal+mc_entropy/seed-0")
    run = load(root)
    page = Page(tmp_path / "page", "t")
    add_evidence(page, run)
    frame = comparisons.areas(run).set_index("arm")
    assert frame.loc["ce+mc_entropy", "pairs"] == 2 and frame.loc["focal+mc_entropy", "pairs"] == 2
    assert "2 paired seeds" in headline(run)[0] and "nan" not in support(run)


def test_the_page_has_its_sections_tables_and_figures_to_the_byte(finished: Finished, tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        page = Page(tmp_path / name, "t")
        add_evidence(page, finished)
        page.write()
        written.append({p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")})
    assert written[0] == written[1]
    text = (tmp_path / "a/README.md").read_text()
    sections = ["What the seeds can support", "Against random", "Against the fully labelled baseline", "Label savings"]
    sections += ["Loss or strategy?", "What was acquired", "Cost"]
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == sections
    names = {p.stem for p in (tmp_path / "a/tables").glob("*.csv")}
    assert {"against-random", "rounds-against-random", "rounds-against-baseline", "label-savings", "effects"} <= names
    assert {"labels-to-baseline", "acquired", "cost", "cost-by-round"} <= names
    figures = {p.stem for p in (tmp_path / "a/figures").glob("*.png")}
    assert {"against-random", "curve-intervals", "differences", "label-savings"} <= figures
    csv = pd.read_csv(tmp_path / "a/tables/labels-to-baseline.csv")
    assert set(csv["validation_labels"]) == {60}
    assert "60 validation labels" in text


def test_figures_draw_what_the_frames_say(finished: Finished) -> None:
    figure = evidence_figures.round_differences(finished, "t")
    assert isinstance(figure, Figure)
    panel = next(a for a in figure.axes if a.get_title("left") == "focal+mc_entropy")
    rows = comparisons.by_round(finished, "random")
    rows = rows[rows["arm"] == "focal+mc_entropy"]
    np.testing.assert_allclose(panel.lines[-1].get_ydata(), 100 * rows["difference"])
    matrices = evidence_figures.confusion_rounds(finished, "ce+random", "t")
    shown = [float(t.get_text()) for t in matrices.axes[0].texts]
    tests = [np.array(finished.rounds["ce+random", s][0].test.confusion) for s in range(3)]
    np.testing.assert_allclose(
        shown, np.mean([100 * t / t.sum(1, keepdims=True) for t in tests], axis=0).ravel(), atol=0.5
    )
    assert len(savings_tables(finished)[0].frame) > 2
