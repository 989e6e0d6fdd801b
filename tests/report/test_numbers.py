"""Estimates as they are printed, where a budget leaves bounds."""

from __future__ import annotations

import math

import numpy as np

from al_cxr.comparison.savings import times_fewer
from al_cxr.report.kit.numbers import bounds, interval, number, up_to

NAN, INF = math.nan, math.inf


def test_savings_as_printed() -> None:
    def printed(random: float, arm: float, low: float, high: float) -> str:
        least, most = (float(bound[0]) for bound in times_fewer(np.array([random]), np.array([arm]), 400))
        return bounds({"x_least": least, "x_most": most, "x_low": low, "x_high": high}, "x", "times")

    assert printed(300, 200, 1.0, 1.75) == "1.50 (1.00 to 1.75)"
    assert printed(INF, 200, 1.25, INF) == "at least 2.00 (1.25 or more)"
    assert printed(300, INF, 0.0, 1.6) == "at most 0.75 (1.60 or less)"
    assert printed(300, 200, 0.0, INF) == "1.50 (not bounded)"
    assert printed(INF, INF, 0.0, INF) == printed(NAN, 200, NAN, NAN) == "—"
    row = {"arm_labels": 200.0, "budget": 400.0}
    ends = {"arm_labels_low": 180.0, "arm_labels_high": INF}
    assert interval(row | ends, "arm_labels", "labels", "budget") == "200 (180 to > 400)"
    assert number(300.2, "labels") == "301" and up_to(row | ends, "arm_labels_high", "labels", "budget") == "> 400"
    assert [number(p, "p") for p in (0.0625, 1.0, 1e-6, NAN)] == ["0.0625", "1", "< 0.0001", "—"]
