"""Figures of the audit: what each counts, one image a patient, and how often their intervals are ever wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from al_cxr.evaluation.audit import FIGURES, area, audit_figures, block_areas, one_each
from al_cxr.evaluation.sequences import log_wealth, proportion_sequence


def made(images: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities whose AUC is that of two normals one and a half apart."""
    draw = np.random.default_rng(seed)
    labels = (draw.random(images) < share).astype(int)
    score = norm.cdf(draw.normal(1.5 * labels - 0.75))
    return labels, np.stack([1 - score, score], axis=1)


def test_each_figure_counts_its_own_images() -> None:
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    score = np.array([0.9, 0.8, 0.2, 0.6, 0.1, 0.2, 0.3, 0.4])
    found = audit_figures(labels, np.stack([1 - score, score], axis=1), target=1, archive=100)
    values = {name: (found[name].value, found[name].n) for name in FIGURES if name != "auc"}
    assert values == {
        "prevalence": (3 / 8, 8),
        "accuracy": (6 / 8, 8),
        "sensitivity": (pytest.approx(2 / 3), 3),
        "specificity": (4 / 5, 5),
        "elusion": (1 / 5, 5),
    }
    assert found["auc"].value == pytest.approx(roc_auc_score(labels, score))
    assert all(figure.anytime and figure.low < figure.value < figure.high for figure in found.values())
    expected = proportion_sequence(labels == 1, 100)
    assert (found["prevalence"].low, found["prevalence"].high) == (expected.low, expected.high)


def test_a_threshold_and_more_classes_are_answered_as_anywhere_else() -> None:
    probs = np.array([[0.5, 0.2, 0.3], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    found = audit_figures(np.array([2, 1, 1]), probs, target=2, threshold=0.25)
    assert found["sensitivity"].value == 1 and found["accuracy"].value == pytest.approx(2 / 3)
    assert audit_figures(np.array([2, 1, 1]), probs, target=2)["sensitivity"].value == 0


def test_only_the_first_image_of_a_patient_counts() -> None:
    assert one_each(["a", "", "a", "b", "", "b"]).tolist() == [True, True, False, True, True, False]
    labels, probs = made(50, 0.4, 0)
    twice = audit_figures(
        np.repeat(labels, 3), np.repeat(probs, 3, axis=0), 1, patients=[f"p{i // 3}" for i in range(150)]
    )
    assert twice == audit_figures(labels, probs, 1)


def test_what_was_not_seen_has_no_value_and_says_why() -> None:
    labels, probs = np.zeros(20, int), made(20, 0.0, 0)[1]
    found = audit_figures(labels, probs, 1)
    assert np.isnan(found["sensitivity"].value) and (found["sensitivity"].low, found["sensitivity"].high) == (0, 1)
    assert found["sensitivity"].why == "no such image" and "one of two kinds" in found["auc"].why
    assert found["prevalence"].high < 0.25


def test_blocks_hold_both_kinds_and_average_to_the_area() -> None:
    ill = np.array([0, 0, 1, 1, 0, 0, 1, 1, 1], bool)
    scores = np.array([0.1, 0.5, 0.5, 0.7, 0.8, 0.2, 0.3, 0.9, 0.9])
    assert block_areas(scores, ill).tolist() == [0.75, 0.0, 1.0]
    labels, probs = made(20_000, 0.3, 1)
    assert block_areas(probs[:, 1], labels == 1).mean() == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.01)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_interval_of_the_area_is_ever_wrong_in_at_most_5_percent_of_projects(share: float) -> None:
    truth, wrong, widths = norm.cdf(1.5 / np.sqrt(2)), [], []
    for run in range(200):
        labels, probs = made(400, share, run)
        blocks = block_areas(probs[:, 1], labels == 1)
        wrong.append(max(log_wealth(blocks, truth).max(), log_wealth(1 - blocks, 1 - truth).max()) >= np.log(40))
        if run < 10:
            figure = area(probs[:, 1], labels == 1)
            widths.append(figure.high - figure.low)
    assert np.mean(wrong) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert np.mean(widths) < (0.4 if share == 0.1 else 0.2)


def test_arrays_of_different_audits_are_refused() -> None:
    labels, probs = made(20, 0.5, 0)
    with pytest.raises(ValueError, match="not of one audit"):
        audit_figures(labels[:10], probs, 1)
    with pytest.raises(ValueError, match="not of one audit"):
        audit_figures(labels, probs, 1, patients=["a"])
