"""Labels saved: rising curves against scikit-learn, labels by hand, and no extrapolation."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from al_cxr.comparison.savings import isotonic, labels_needed, times_fewer

LABELS = np.array([100.0, 200.0, 400.0])
NAN, INF = np.nan, np.inf


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_rising_curves_are_scikit_learns(values: list[float]) -> None:
    reference = IsotonicRegression().fit_transform(np.arange(len(values)), values)
    np.testing.assert_allclose(isotonic(np.array([values, values[::-1]]))[0], reference, atol=1e-9)


def test_a_rising_curve_stays_and_a_dip_is_levelled() -> None:
    np.testing.assert_allclose(
        isotonic(np.array([[0.1, 0.2, 0.4], [0.5, 0.3, 0.6]])), [[0.1, 0.2, 0.4], [0.4, 0.4, 0.6]]
    )


def needed(curve: list[float], level: float) -> float:
    return float(labels_needed(LABELS, np.array([curve]), np.array([level]))[0])


def test_labels_by_hand() -> None:
    curve = [0.5, 0.6, 0.8]
    assert needed(curve, 0.6) == 200 and needed(curve, 0.8) == 400
    assert np.isclose(needed(curve, 0.55), 150) and np.isclose(needed(curve, 0.7), 300)
    assert needed(curve, 0.5) == 100 and needed(curve, 0.3) == 100  # there from the start
    assert needed([0.5, 0.7, 0.7], 0.7) == 200  # of a plateau, its first


def test_nothing_is_extrapolated() -> None:
    assert needed([0.5, 0.6, 0.8], 0.81) == INF
    assert np.isnan(needed([0.5, NAN, 0.8], 0.6)) and np.isnan(needed([0.5, 0.6, 0.8], NAN))


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0, 1))
def test_more_f1_never_needs_fewer_labels(values: list[float], level: float) -> None:
    rising = isotonic(np.array([values]))
    at = [labels_needed(LABELS, rising, np.array([x]))[0] for x in (level, level + 0.05)]
    assert 100 <= at[0] <= at[1]


def test_ratios_are_bounded_only_where_the_budget_bounds_them() -> None:
    random = np.array([400.0, INF, 300.0, INF, NAN, INF])
    arm = np.array([200.0, 200.0, INF, INF, 100.0, 351.0])
    low, high = times_fewer(random, arm, 468)
    np.testing.assert_allclose(low, [2, 468 / 200, 0, 0, NAN, 468 / 351])
    np.testing.assert_allclose(high, [2, INF, 300 / 468, INF, NAN, INF])


@given(st.floats(50, 900), st.floats(50, 900), st.floats(100, 500))
def test_the_true_ratio_lies_in_its_bounds_whoever_gets_there_within_the_budget(
    random: float, arm: float, budget: float
) -> None:
    seen = [np.array([labels if labels <= budget else INF]) for labels in (random, arm)]
    low, high = times_fewer(*seen, budget)
    assert low[0] <= random / arm + 1e-9 and random / arm <= high[0] + 1e-9
