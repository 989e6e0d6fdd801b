"""Labels as hours: the median of skewed times, with bounds that hold."""

from __future__ import annotations

import numpy as np
import pytest

from al_cxr.evaluation.effort import reading_hours


def test_hours_are_questions_by_the_median_and_a_long_pause_does_not_count() -> None:
    seconds = np.concatenate([np.full(99, 15.0), [86_400.0]])
    assert reading_hours(240, 240, 240, seconds).value == 1.0


def test_the_interval_of_the_median_holds_it() -> None:
    held = []
    for run in range(400):
        found = reading_hours(3600, 3600, 3600, np.random.default_rng(run).lognormal(np.log(12), 0.8, 60))
        held.append(found.low <= 12 <= found.high)
    assert 0.94 < np.mean(held) < 1


def test_an_open_end_stays_open_and_what_is_unknown_is_unknown() -> None:
    times = np.full(30, 10.0)
    assert np.isinf(reading_hours(100, 50, np.inf, times).high)
    assert "19 answers were timed" in reading_hours(100, 50, 200, times[:19]).why
    assert np.isnan(reading_hours(np.nan, np.nan, np.nan, times).value)
    assert reading_hours(100, 50, 200, times).low == pytest.approx(50 * 10 / 3600)
