"""Intervals: exact ones against scipy and closed forms, bootstrapped ones by how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm, t, ttest_1samp

from al_cxr.evaluation.intervals import Estimate, Statistics, bootstrap, clopper_pearson, mean_interval, resamples
from al_cxr.evaluation.performance import auc


def mean_of(values_N: np.ndarray) -> Statistics:
    return lambda counts_BN: {"mean": counts_BN @ values_N / counts_BN.sum(axis=1)}


def of_mean(models: list[Statistics], n: int, clusters_N: np.ndarray | None = None, draws: int = 1000) -> Estimate:
    """A mean of values of any size."""
    return bootstrap(models, n, clusters_N, draws, unbounded=("mean",))["mean"]


def area_of(scores_N: np.ndarray, ill_N: np.ndarray) -> Statistics:
    return lambda counts_BN: {"auc": auc(scores_N, ill_N, counts_BN)}


def test_clopper_pearson() -> None:
    assert clopper_pearson(0, 20) == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))
    assert clopper_pearson(20, 20) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    low, high = clopper_pearson(45, 50)
    assert low == pytest.approx(beta.ppf(0.025, 45, 6)) and high == pytest.approx(beta.ppf(0.975, 46, 5))
    assert np.isnan(clopper_pearson(0, 0)).all()
    with pytest.raises(ValueError, match="no share"):
        clopper_pearson(3, 2)


def test_one_model_has_the_spread_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = of_mean([mean_of(values)], 400, draws=4000)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean()) and np.isnan(found.sd)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.06)


def test_where_seeds_alone_vary_it_is_students() -> None:
    values = np.array([0.3, 0.5, 0.45, 0.7])
    expected = ttest_1samp(values, 0).confidence_interval()
    assert mean_interval(values, np.full(100, values.mean())) == pytest.approx((expected.low, expected.high))
    gaps = np.array([0.3, np.nan, 0.5, 0.45, 0.7])
    assert mean_interval(gaps, np.full(100, 0.4)) == pytest.approx((expected.low, expected.high))


def test_models_add_their_own_spread_with_satterthwaites_degrees_of_freedom() -> None:
    r = np.random.default_rng(0)
    values = r.normal(size=(5, 400)) + 0.1 * np.arange(5)[:, None]
    found = of_mean([mean_of(v) for v in values], 400, draws=4000)
    assert found.value == pytest.approx(values.mean())
    assert found.sd == pytest.approx(values.mean(axis=1).std(ddof=1))
    images, seeds = values.mean(axis=0).var() / 400, found.sd**2 / 5
    freedom = (images + seeds) ** 2 / (seeds**2 / 4)
    assert 4 < freedom < 8
    expected = 2 * t.ppf(0.975, freedom) * np.sqrt(images + seeds)
    assert found.high - found.low == pytest.approx(expected, rel=0.03)


def test_an_interval_does_not_grow_with_the_number_of_samples() -> None:
    values = np.random.default_rng(0).normal(size=(3, 200)) + np.array([[0.0], [0.3], [0.1]])
    widths = [of_mean([mean_of(v) for v in values], 200, draws=draws) for draws in (500, 8000)]
    assert widths[0].high - widths[0].low == pytest.approx(widths[1].high - widths[1].low, rel=0.05)


def test_a_share_keeps_its_interval_inside_and_a_mean_is_where_it_was() -> None:
    low, high = mean_interval(np.array([0.99, 0.97, 0.995]), np.full(50, 0.985), share=True)
    assert 0 < low < 0.985 < high < 1 and 0.985 - low > high - 0.985
    middle = np.array([0.499, 0.5, 0.501])
    plain, share = (mean_interval(middle, np.full(50, 0.5), share=share) for share in (False, True))
    assert share == pytest.approx(plain, abs=1e-5)


def test_where_nothing_varies_there_is_no_interval() -> None:
    assert np.isnan(mean_interval(np.ones(3), np.ones(50), share=True)).all()
    assert np.isnan(mean_interval(np.array([0.7]), np.full(50, 0.7))).all()
    assert np.isnan(mean_interval(np.array([np.nan]), np.full(50, np.nan))).all()


def test_samples_hold_as_many_images_and_are_the_same_every_time() -> None:
    first = np.concatenate(list(resamples(50, 30)))
    assert first.shape == (30, 50) and (first.sum(axis=1) == 50).all()
    np.testing.assert_array_equal(first, np.concatenate(list(resamples(50, 30))))
    assert len(np.unique(first, axis=0)) == 30


def test_patients_are_drawn_whole_and_widen_the_interval() -> None:
    patients = np.repeat(np.arange(40), 10)
    for counts in resamples(400, 20, patients):
        assert (counts.reshape(20, 40, 10) == counts.reshape(20, 40, 10)[:, :, :1]).all()
    values = np.repeat(np.random.default_rng(0).normal(size=40), 10)
    alone, whole = of_mean([mean_of(values)], 400), of_mean([mean_of(values)], 400, patients)
    assert whole.high - whole.low == pytest.approx((alone.high - alone.low) * np.sqrt(10), rel=0.15)


def test_what_is_not_defined_has_no_interval() -> None:
    nothing = bootstrap([lambda c: {"x": np.full(len(c), np.nan)}], 5)["x"]
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()
    with pytest.raises(ValueError, match="no models"):
        bootstrap([], 5)


def test_the_interval_of_an_auc_holds_the_true_one() -> None:
    """Scores of two normals one standard deviation apart: the area is Phi(1 / sqrt 2)."""
    r, truth, held, trials = np.random.default_rng(0), norm.cdf(1 / np.sqrt(2)), 0, 150
    ill = np.arange(120) < 50
    for _ in range(trials):
        scores = r.normal(size=120) + ill
        found = bootstrap([area_of(scores, ill)], 120, draws=200)["auc"]
        held += found.low <= truth <= found.high
    assert 0.88 <= held / trials <= 0.99
