"""Estimates from chosen labels: unbiased by enumeration of all draws, and their intervals by how often they hold."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from al_cxr.evaluation.weighted import effective, lure, lure_weights, pooled_weights, weighted_rates


def chosen(scores_N: np.ndarray, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (M,) drawn one after another in proportion to their scores, and the q of each."""
    generator, left, picked, qs = np.random.default_rng(seed), list(range(len(scores_N))), [], []
    for _ in range(draws):
        q = scores_N[left] / scores_N[left].sum()
        at = generator.choice(len(left), p=q)
        qs.append(q[at])
        picked.append(left.pop(at))
    return np.array(picked), np.array(qs)


def test_over_all_possible_draws_the_estimate_is_the_mean_over_all_images() -> None:
    losses, scores = np.array([0.0, 1.0, 0.3, 2.0]), np.array([1.0, 3.0, 2.0, 5.0])
    for draws in (1, 2, 3, 4):
        expected = 0.0
        for order in itertools.permutations(range(4), draws):
            left, q = list(range(4)), []
            for image in order:
                q.append(scores[image] / scores[left].sum())
                left.remove(image)
            estimate = (lure_weights(np.array(q), 4) * losses[list(order)]).mean()
            expected += np.prod(q) * estimate
        assert expected == pytest.approx(losses.mean())


def test_uniform_draws_weigh_one_and_all_images_drawn_too() -> None:
    assert lure_weights(1 / np.arange(50.0, 40.0, -1), 50) == pytest.approx(np.ones(10))
    assert (lure_weights(np.array([0.9, 0.5, 1.0]), 3) == 1).all()


def test_chosen_images_are_harder_and_the_weights_repair_it_with_an_interval_that_holds() -> None:
    draw = np.random.default_rng(0)
    risk = draw.beta(0.5, 3, 800)
    wrong = (draw.random(800) < risk).astype(float)
    plain, held = [], []
    for run in range(100):
        picked, q = chosen(0.1 * risk.mean() + risk, 80, run)
        found = lure(wrong[picked], q, 800)
        plain.append(wrong[picked].mean())
        held.append(found.low <= wrong.mean() <= found.high)
    assert np.mean(plain) > 1.5 * wrong.mean()
    assert np.mean(held) > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 100)


def test_rates_of_weighted_images_are_ratios_of_weighted_sums() -> None:
    ill, said = np.arange(40) < 20, np.arange(40) % 2 == 0
    weights = np.where(said, 3.0, 1.0)
    found = weighted_rates(said, ill, weights)
    assert found["sensitivity"].value == pytest.approx(0.75) and found["specificity"].value == pytest.approx(0.25)
    assert found["sensitivity"].low < 0.75 < found["sensitivity"].high and not found["sensitivity"].anytime
    plain = weighted_rates(said, ill, np.ones(40))
    assert [plain[name].value for name in ("sensitivity", "specificity", "accuracy")] == [0.5, 0.5, 0.5]


def test_images_of_one_patient_widen_an_interval() -> None:
    draw = np.random.default_rng(1)
    said, ill = np.repeat(draw.random(40) < 0.7, 5), np.repeat(draw.random(40) < 0.5, 5)
    alone = weighted_rates(said, ill, np.ones(200))["accuracy"]
    together = weighted_rates(said, ill, np.ones(200), [f"p{i // 5}" for i in range(200)])["accuracy"]
    assert together.high - together.low > 1.7 * (alone.high - alone.low)


def test_a_rate_on_images_worth_fewer_than_five_is_withheld() -> None:
    ill = np.arange(40) < 20
    weights = np.where(np.arange(40) == 0, 500.0, 1.0)
    found = weighted_rates(ill, ill, weights)["sensitivity"]
    assert np.isnan(found.value) and "worth 1.1 images" in found.why


def test_streams_count_by_what_they_are_worth() -> None:
    even, uneven = np.ones(30), np.array([10.0] + [1.0] * 9)
    pooled = pooled_weights(even, uneven)
    assert pooled[:30].sum() == pytest.approx(30) and pooled[30:].sum() == pytest.approx(effective(uneven))
    assert effective(even) == 30 and effective(uneven) == pytest.approx(19**2 / 109)
    assert len(pooled_weights(np.empty(0), even)) == 30


def test_a_chooser_that_could_not_choose_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match="stands for none"):
        lure_weights(np.array([0.5, 0.0]), 10)
    with pytest.raises(ValueError, match="3 draws from 2"):
        lure_weights(np.array([0.5, 0.5, 0.5]), 2)
