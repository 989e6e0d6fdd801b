"""Temperature, calibration error and Brier score: closed forms and what must hold of any probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss

from al_cxr.evaluation.calibration import COLDEST, HOTTEST, apply_temperature, fit_temperature, ranking_change
from al_cxr.evaluation.calibration_error import calibration, calibration_estimates, reliability
from al_cxr.evaluation.intervals import bootstrap
from al_cxr.strategies.statistics import entropy


def truthful(n: int = 20_000, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, their softmax, and labels drawn from exactly that: perfectly calibrated."""
    r = np.random.default_rng(seed)
    logits = r.normal(size=(n, classes)) * 1.5
    probs = softmax(logits, axis=1)
    labels = (probs.cumsum(axis=1) > r.random((n, 1))).argmax(axis=1)
    return logits, probs, labels


def measured(probs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {k: float(v[0]) for k, v in calibration(probs, labels)(np.ones((1, len(labels)))).items()}


@pytest.mark.parametrize("scale", [1.0, 3.0, 0.4])
def test_logits_that_were_scaled_are_scaled_back(scale: float) -> None:
    logits, probs, labels = truthful()
    found = fit_temperature(softmax(scale * logits, axis=1), labels)
    assert found.value == pytest.approx(scale, rel=0.03) and not found.note
    np.testing.assert_allclose(apply_temperature(softmax(scale * logits, axis=1), scale), probs, atol=1e-12)
    assert fit_temperature(probs, labels).value * scale == pytest.approx(found.value, rel=1e-9)


def test_the_temperature_is_the_minimum_that_another_optimiser_finds() -> None:
    logits, _, labels = truthful(300, classes=4)
    probs = softmax(2 * logits, axis=1)
    best = minimize_scalar(
        lambda t: log_loss(labels, apply_temperature(probs, t)),
        bounds=(0.1, 10),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert fit_temperature(probs, labels).value == pytest.approx(best.x, rel=1e-6)


def test_temperatures_that_cannot_be_fitted_are_bounded_and_say_so() -> None:
    labels = np.tile([0, 1, 2, 0], 10)
    stated = 0.9 * np.eye(3)[labels] + 0.1 / 3
    wrong = fit_temperature(stated, (labels + 1) % 3)
    assert wrong.value == HOTTEST and "no more probable than the others" in wrong.note
    mixed = np.where(np.arange(40) % 4 == 3, (labels + 1) % 3, labels)  # one in four wrong
    extreme = fit_temperature(np.eye(3)[labels], mixed)  # probabilities of exactly 0 and 1
    assert extreme.value == HOTTEST and "far too near to 0 and 1" in extreme.note
    almost = fit_temperature(1 / 3 + 0.001 * np.eye(3)[labels], mixed)
    assert almost.value == COLDEST and "almost equal" in almost.note
    one = fit_temperature(np.tile([0.6, 0.3, 0.1], (30, 1)), np.zeros(30, int))
    assert one.value == 1 and "one class" in one.note
    flat = fit_temperature(np.full((40, 3), 1 / 3), labels)
    assert flat.value == 1 and "equally probable" in flat.note
    with pytest.raises(ValueError, match="0 labels"):
        fit_temperature(np.empty((0, 3)), np.empty(0, int))
    with pytest.raises(ValueError, match="positive"):
        apply_temperature(stated, 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_a_temperature_keeps_the_answer_and_its_order(seed: int, temperature: float) -> None:
    probs = np.random.default_rng(seed).dirichlet(np.full(4, 0.5), 20)
    warm = apply_temperature(probs, temperature)
    np.testing.assert_allclose(warm.sum(axis=1), 1)
    assert (np.argsort(warm, axis=1) == np.argsort(probs, axis=1)).all()
    np.testing.assert_allclose(apply_temperature(warm, 1 / temperature), probs, atol=1e-9)
    assert (entropy(warm) >= entropy(probs) - 1e-9).all() if temperature >= 1 else True


def test_calibration_error_by_hand() -> None:
    # Confidences 0.6 (1 of 2 right), 0.9 (2 of 2 right): |0.6 - 0.5| / 2 + |0.9 - 1| / 2 = 0.1 in both kinds of bins.
    probs = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.9, 0.1]])
    found = measured(probs, np.array([0, 1, 1, 0]))
    assert found["ece_mass"] == pytest.approx(0.1) and found["ece_width"] == pytest.approx(0.1)
    assert found["gap"] == pytest.approx(0.0) and found["brier"] == pytest.approx((0.32 + 0.72 + 0.02 + 0.02) / 4)
    bins = reliability(probs, np.array([0, 1, 1, 0]), bins=2)
    assert list(bins.count_B) == [2, 2] and list(bins.accuracy_B) == [0.5, 1.0]
    assert bins.confidence_B == pytest.approx([0.6, 0.9])


def test_scores_against_scikit_learn() -> None:
    _, probs, labels = truthful(500)
    found = measured(probs, labels)
    assert found["nll"] == pytest.approx(log_loss(labels, probs))
    assert found["brier"] == pytest.approx(brier_score_loss(labels, probs, scale_by_half=False))
    worst = measured(np.array([[1.0, 0.0]]), np.array([1]))
    assert worst["brier"] == 2 and worst["ece_mass"] == 1 and np.isfinite(worst["nll"])


def test_calibrated_probabilities_have_no_error_and_sharpened_ones_do() -> None:
    logits, probs, labels = truthful()
    assert measured(probs, labels)["ece_mass"] < 0.02
    sharp = measured(softmax(3 * logits, axis=1), labels)
    assert sharp["ece_mass"] > 0.1 and sharp["gap"] == pytest.approx(sharp["ece_mass"], abs=0.02)


def test_bins_hold_every_image_once_and_equal_confidences_together() -> None:
    _, probs, labels = truthful(1000)
    for equal_mass in (True, False):
        assert reliability(probs, labels, equal_mass=equal_mass).count_B.sum() == 1000
    assert np.ptp(reliability(probs, labels).count_B) <= 1
    same = np.tile([0.7, 0.3], (40, 1))
    assert sorted(reliability(same, np.zeros(40, int)).count_B)[-1] == 40
    order = np.random.default_rng(0).permutation(1000)
    assert measured(probs[order], labels[order])["ece_mass"] == pytest.approx(measured(probs, labels)["ece_mass"])


def test_a_count_is_as_good_as_a_copy() -> None:
    _, probs, labels = truthful(60)
    counts = np.random.default_rng(1).integers(0, 4, 60)
    weighted = calibration(probs, labels)(counts[None].astype(float))
    copies = np.repeat(np.arange(60), counts)
    for name in ("brier", "nll", "gap", "ece_width"):
        assert weighted[name][0] == pytest.approx(measured(probs[copies], labels[copies])[name])


def test_entropy_ranks_two_classes_alike_at_any_temperature_and_three_not() -> None:
    _, two, _ = truthful(400, classes=2)
    assert ranking_change(two, 3.0) == (pytest.approx(1.0), 1.0)
    _, three, _ = truthful(400)
    correlation, overlap = ranking_change(three, 3.0)
    assert 0.5 < correlation < 0.9999 and overlap < 1
    assert ranking_change(three, 1.0) == (pytest.approx(1.0), 1.0)
    # By hand: T = 2 takes square roots. (0.5, 0.5, 0) has less entropy than (0.6, 0.2, 0.2) before and after, but
    # (0.8, 0.1, 0.1) overtakes (0.5, 0.5, 0) once its small classes grow.
    probs = np.array([[0.5, 0.5, 0.0], [0.8, 0.1, 0.1]])
    assert entropy(probs)[0] > entropy(probs)[1]
    assert ranking_change(probs, 2.0) == (pytest.approx(-1.0), 0.0)
    assert np.isnan(ranking_change(np.full((5, 3), 1 / 3), 2.0)[0])


def test_the_interval_of_a_calibration_error_is_freed_of_what_resampling_adds() -> None:
    _, probs, labels = truthful(200)
    found = calibration_estimates([probs], labels)["ece_mass"]
    raw = bootstrap([calibration(probs, labels)], 200)["ece_mass"]
    assert 0 <= found.low < raw.low and found.high < raw.high
    assert found.value == raw.value and np.isnan(found.sd) and found.models == 1
