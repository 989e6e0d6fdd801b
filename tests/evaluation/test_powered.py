"""The prevalence by predictions: right with any model, narrower with a good one, held as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from al_cxr.evaluation.powered import prediction_powered
from al_cxr.evaluation.weighted import lure_weights


def archive(sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    ill = draw.random(3000) < 0.2
    return ill, expit(sharpness * (draw.normal(2.0 * ill - 1.0)) - 1)


def widths_and_held(sharpness: float) -> tuple[float, float]:
    found, held = [], []
    for run in range(200):
        ill, said = archive(sharpness, run)
        asked = np.random.default_rng([5, run]).permutation(3000)[:150]
        figure = prediction_powered(said, said[asked], ill[asked])
        found.append(figure.high - figure.low)
        held.append(figure.low <= 0.2 <= figure.high)
    return float(np.mean(found)), float(np.mean(held))


def test_predictions_narrow_the_interval_and_useless_ones_do_not_widen_it() -> None:
    plain = 2 * 1.96 * np.sqrt(0.2 * 0.8 / 150)
    good, good_held = widths_and_held(2.0)
    useless, useless_held = widths_and_held(0.0)
    assert good < 0.85 * plain and useless == pytest.approx(plain, rel=0.03)
    assert min(good_held, useless_held) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)


def test_with_nothing_predicted_it_is_the_plain_share() -> None:
    ill = np.arange(100) < 30
    found = prediction_powered(np.full(1000, 0.4), np.full(100, 0.4), ill)
    assert found.value == pytest.approx(0.3)


def test_wrong_predictions_do_not_bias_it_nor_do_chosen_images_with_their_weights() -> None:
    values = []
    for run in range(100):
        ill, said = archive(2.0, 0)
        said = np.clip(said + 0.3, 0, 1)
        generator, scores = np.random.default_rng([6, run]), 0.05 + said
        # Gumbel's keys draw one image after another in proportion to the scores.
        order = np.argsort(-(np.log(scores) + generator.gumbel(size=3000)))[:200]
        left = scores.sum() - np.concatenate([[0.0], np.cumsum(scores[order])[:-1]])
        weights = lure_weights(scores[order] / left, 3000)
        values.append(prediction_powered(said, said[order], ill[order], weights).value)
    assert np.mean(values) == pytest.approx(ill.mean(), abs=4 * np.std(values) / 10 + 0.003)
    assert ill[order].mean() > 1.3 * ill.mean()


def test_few_images_of_a_kind_have_no_estimate() -> None:
    found = prediction_powered(np.full(100, 0.1), np.full(50, 0.1), np.arange(50) < 4)
    assert np.isnan(found.value) and "4 images of the target and 46 others are too few" in found.why
    with pytest.raises(ValueError, match="belong together"):
        prediction_powered(np.full(100, 0.1), np.full(50, 0.1), np.ones(49, bool))
