"""What a finished run supports, on a page: sections, tables, figures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_run import ARMS, fake_images, fake_run
from matplotlib.figure import Figure
from sklearn.metrics import f1_score

from al_cxr.comparison import comparisons
from al_cxr.comparison.compare import per_round
from al_cxr.comparison.finished import Finished, load
from al_cxr.report import evidence_figures
from al_cxr.report.evidence import add_evidence, support
from al_cxr.report.evidence_tables import cost_tables, savings_tables
from al_cxr.report.headline import headline
from al_cxr.report.kit.page import Page
from al_cxr.report.rounds import acquisition, each_seed, gains
from al_cxr.report.summary import summary
from al_cxr.report.trivial import by_source

TB = "tuberculosis"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    root = fake_run(tmp_path_factory.mktemp("run"))
    fake_images(root)
    return load(root)


def test_predict_the_source_by_hand(finished: Finished) -> None:
    """Source b: 50 + 50 + 100 images of train, so tuberculosis; source a: normal."""
    told, images = by_source(finished), finished.images
    assert told is not None and images is not None
    test = images[images["split"] == "test"]
    said = np.where(test["source"] == "b", TB, "normal")
    assert told.accuracy == pytest.approx((said == test["label"]).mean())
    assert told.of(TB).f1 == pytest.approx(f1_score(test["label"] == TB, said == TB))
    frame = per_round(finished, TB)
    rounds = [acquisition(finished, frame, arm) for arm in ARMS]
    for table in (summary(finished, frame), gains(finished, frame), *rounds, each_seed(finished)):
        assert "predict the source" in table.grid() and "always normal" in table.grid(), table.name


def test_cost_by_hand(finished: Finished) -> None:
    totals, rounds = cost_tables(finished)
    frame = totals.frame.set_index("arm")
    assert frame.loc["ce+mc_entropy", "score_s"] == pytest.approx(3 * 3.25) and frame.loc["ce+random", "score_s"] == 0
    times = [sum(finished.timings["ce+random", s, r].train for r in range(4)) for s in range(3)]
    assert frame.loc["ce+random", "train_s"] == pytest.approx(np.mean(times))
    assert "fully labelled" in frame.index and len(rounds.frame) == 16


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
    assert "2 paired seeds" in headline(run)[1] and "nan" not in support(run)


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
