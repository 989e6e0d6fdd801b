"""Intervals: exact ones against scipy and closed forms, bootstrapped ones by how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, norm

from al_cxr.trust.intervals import Statistics, bootstrap, clopper_pearson, resamples
from al_cxr.trust.predicted import auc


def mean_of(values_N: np.ndarray) -> Statistics:
    return lambda counts_BN: {"mean": counts_BN @ values_N / counts_BN.sum(axis=1)}


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
    found = bootstrap([mean_of(values)], 400, draws=4000)["mean"]
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean()) and np.isnan(found.sd)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.06)


def test_models_add_their_own_spread() -> None:
    r = np.random.default_rng(0)
    values = r.normal(size=(5, 400)) + 3 * np.arange(5)[:, None]
    alone = bootstrap([mean_of(values[2])], 400)["mean"]
    five = bootstrap([mean_of(v) for v in values], 400)["mean"]
    assert five.value == pytest.approx(values.mean())
    assert five.sd == pytest.approx(values.mean(axis=1).std(ddof=1))
    # The mean of 5 draws of 5 models: variance (K - 1) / K of the models' own, over 5.
    assert five.high - five.low == pytest.approx(2 * 1.96 * five.sd * np.sqrt(0.8 / 5), rel=0.12)
    assert five.high - five.low > 5 * (alone.high - alone.low)


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
    alone = bootstrap([mean_of(values)], 400)["mean"]
    whole = bootstrap([mean_of(values)], 400, patients)["mean"]
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
