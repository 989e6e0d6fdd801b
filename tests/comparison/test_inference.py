"""Tests, corrections and intervals against closed forms, scipy, scikit-learn and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, permutation_test
from sklearn.metrics import f1_score

from al_cxr.comparison import inference
from al_cxr.comparison.inference import (
    area_under_curve,
    f1_samples,
    holm,
    image_samples,
    mean_over_seeds,
    percentiles,
    seed_noise,
    seeds_needed,
    sign_flip,
    smallest_p,
    supports,
)

FINITE = st.floats(-1, 1).filter(lambda x: x == 0 or abs(x) > 1e-6)


@pytest.mark.parametrize("n", [2, 3, 5, 8, 11])
def test_sign_flip_is_scipys_permutation_test(n: int) -> None:
    values = np.random.default_rng(n).normal(0.4, 1, n)
    reference = permutation_test(
        (values,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert sign_flip(values) == pytest.approx(reference.pvalue)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 8, 20])
def test_the_smallest_p_is_reached_where_all_seeds_agree(n: int) -> None:
    assert sign_flip(np.full(n, 0.01)) == sign_flip(-np.arange(1.0, n + 1)) == smallest_p(n) == 2.0 ** (1 - n)


def test_zeros_and_gaps_say_nothing() -> None:
    assert sign_flip(np.array([0.0, 0.0])) == 1
    assert sign_flip(np.array([0.1, 0.2, 0.3, 0.0, 0.0])) == 0.25
    assert sign_flip(np.array([0.1, np.nan, 0.2, 0.3])) == 0.25
    assert math.isnan(sign_flip(np.array([np.nan]))) and math.isnan(sign_flip(np.zeros(0)))


def test_sums_that_are_zero_but_for_rounding_are_zero() -> None:
    assert sign_flip(np.array([0.1, 0.1, 0.1, -0.3])) == 1
    assert sign_flip(np.array([0.1, 0.2, -0.3, 1e-9])) == sign_flip(np.array([1.0, 2.0, -3.0, 1e-8]))


def test_many_seeds_are_flipped_at_random_and_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(0.5, 1, 14)
    exact = sign_flip(values)
    monkeypatch.setattr(inference, "EXACT", 10)
    drawn = sign_flip(values)
    assert drawn == sign_flip(values) != exact
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact / inference.FLIPS))
    assert sign_flip(np.ones(40)) == 1 / (inference.FLIPS + 1)


def test_type_one_error_is_nominal() -> None:
    """Where the sign of each difference is a coin, p is at most k / 2^(n - 1) just as often as that."""
    size = np.array([0.3, 0.7, 1.1, 1.9, 3.1, 0.05, 2.3])
    n = len(size)
    signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    found = np.array([sign_flip(sign * size) for sign in signs])
    for k in (1, 2, 3, 6, 20):
        assert np.mean(found <= k / 2 ** (n - 1) + 1e-12) == pytest.approx(k / 2 ** (n - 1))


@given(st.lists(FINITE, min_size=1, max_size=9))
def test_a_p_does_not_depend_on_sign_order_or_unit(values: list[float]) -> None:
    x = np.array(values)
    p = sign_flip(x)
    assert 2.0 ** (1 - len(x)) <= p <= 1
    assert p == sign_flip(-x) == sign_flip(100 * x)
    assert p == pytest.approx(sign_flip(x[::-1]))


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9, 0.01])), [1, 1, 0.03])
    np.testing.assert_allclose(holm(np.array([np.nan, 0.02, np.nan, 0.03])), [np.nan, 0.04, np.nan, 0.04])
    assert holm(np.zeros(0)).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_starts_as_bonferroni(values: list[float]) -> None:
    p = np.array(values)
    adjusted = holm(p)
    assert (adjusted >= p).all() and (adjusted <= 1).all() and adjusted.max() <= max(1e-300, len(p) * p.max())
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    # The smallest is corrected as by Bonferroni.
    assert adjusted[p.argmin()] == pytest.approx(min(1, len(p) * p.min()))


@pytest.mark.parametrize(("comparisons", "seeds"), [(1, 6), (2, 7), (5, 8), (10, 9)])
def test_seeds_needed_are_the_fewest_that_can_reach_it(comparisons: int, seeds: int) -> None:
    assert seeds_needed(comparisons) == seeds
    assert smallest_p(seeds, comparisons) <= 0.05 < smallest_p(seeds - 1, comparisons)


def test_a_claim_that_n_cannot_support_is_refused_in_words() -> None:
    assert supports(5).startswith("5 seeds cannot reach p < 0.05: the smallest possible is 0.0625, and it takes 6")
    assert supports(1).startswith("1 seed cannot reach p < 0.05: the smallest possible is 1")
    assert supports(8, 5) == "8 seeds can reach p < 0.05 among 5 comparisons (Holm): the smallest possible is 0.039"
    assert "8 seeds cannot reach p < 0.05 among 30 comparisons" in supports(8, 30)
    assert supports(8, 30).endswith("it takes 11 seeds; one comparison alone could reach 0.0078")
    assert "one comparison alone" not in supports(5, 30)


def test_f1_of_a_sample_is_scikit_learns_of_the_repeated_images() -> None:
    draw = np.random.default_rng(0)
    true, said = draw.random(60) < 0.3, draw.random((4, 60)) < 0.4
    drawn = image_samples(60, 5)
    found = f1_samples(said & true, said & ~true, true, drawn)
    for r, f in np.ndindex(*found.shape):
        times = drawn[r].astype(int)
        assert found[r, f] == pytest.approx(f1_score(np.repeat(true, times), np.repeat(said[f], times)))


def test_f1_of_nothing_is_zero() -> None:
    nothing = np.zeros((1, 3))
    assert f1_samples(nothing, nothing, np.zeros(3), np.ones((1, 3))) == 0


def test_samples_draw_as_many_as_there_are_and_repeat() -> None:
    drawn = image_samples(37, 50)
    assert drawn.shape == (51, 37) and (drawn[0] == 1).all() and (drawn.sum(axis=1) == 37).all()
    assert drawn[1:].std() > 0.5
    np.testing.assert_array_equal(drawn, image_samples(37, 50))
    assert not np.array_equal(drawn, image_samples(37, 50, seed=1))


def test_means_are_of_the_seeds_that_are_there_and_the_first_is_the_observed() -> None:
    values = np.tile([1.0, 2.0, np.nan, 6.0], (4, 1))
    found = mean_over_seeds(values, seed_noise(4, 3))
    assert found[0] == 3 and len(set(found)) == 4
    assert np.isnan(mean_over_seeds(np.full((4, 2), np.nan), seed_noise(2, 3))).all()
    one = np.tile([1.0, np.nan], (4, 1))
    np.testing.assert_array_equal(mean_over_seeds(one, seed_noise(2, 3)), 1)  # nothing is known of its spread
    stacked = np.stack([values, 10 * values], axis=1)
    np.testing.assert_allclose(mean_over_seeds(stacked, seed_noise(4, 3)), found[:, None] * [1, 10])


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_means_move_as_students_t(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(0.3, 1, seeds)
    moved = mean_over_seeds(np.tile(values, (20_001, 1)), seed_noise(seeds, 20_000))[1:]
    unit = (moved - values.mean()) / (values.std(ddof=1) / np.sqrt(seeds))
    assert kstest(unit, "t", (seeds - 1,)).pvalue > 0.001


def test_percentiles_may_end_in_infinity() -> None:
    values = np.array([*range(100), *[np.inf] * 100, np.nan], dtype=float)
    assert percentiles(values)[1] == np.inf and percentiles(values)[0] == 5
    assert percentiles(np.arange(1000.0)) == (25, 974)
    assert all(math.isnan(x) for x in percentiles(np.array([np.nan])))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_the_area_of_a_curve_is_a_mean_of_it(values: list[float]) -> None:
    labels = np.cumsum(np.arange(1, len(values) + 1)) * 10.0
    area = area_under_curve(labels, np.array([values]))[0]
    assert min(values) - 1e-12 <= area <= max(values) + 1e-12


def test_areas_in_closed_form() -> None:
    labels = np.array([100.0, 120.0, 200.0])
    assert area_under_curve(labels, 0.001 * labels[None])[0] == pytest.approx(0.15)  # a line: the middle
    assert area_under_curve(labels, np.array([[0.5, 0.7, 0.7]]))[0] == pytest.approx((20 * 0.6 + 80 * 0.7) / 100)
    assert np.isnan(area_under_curve(labels, np.array([[0.5, np.nan, 0.7]]))).all()
    assert np.isnan(area_under_curve(labels[:1], np.array([[0.5]]))).all()
