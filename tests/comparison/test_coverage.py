"""Intervals and words in the simulated world of benchmarks/coverage.py: a part of its tables, with fixed seeds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("simulated_coverage", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("seeds", "ratio"), [(3, 0.25), (3, 4.0), (8, 1.0)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(coverage: ModuleType, seeds: int, ratio: float) -> None:
    found = coverage.simulate(coverage.World(seeds, 200, ratio), 150)
    assert 0.9 <= found.difference <= 0.995 and 0.88 <= found.f1 <= 0.995
    assert found.width < 1.6


def test_percentiles_are_too_narrow_for_few_seeds_and_moved_outwards_too_wide(coverage: ModuleType) -> None:
    """So the simulation can tell a bad interval from a good one."""
    varied = coverage.simulate(coverage.World(3, 200, 4.0), 150)
    assert varied.plain < 0.92 < varied.difference
    alike = coverage.simulate(coverage.World(5, 200, 0.25), 150)
    assert alike.outwards == 1 and alike.width_outwards > 1.4 * alike.width


def test_the_word_better_is_wrong_less_often_than_p_alone(coverage: ModuleType) -> None:
    equal = coverage.simulate(coverage.World(8, 600, 0.25, gain=0.0), 250)
    assert equal.p_alone > 0.08 and equal.word <= 0.05


def test_bounds_of_labels_saved_hold_the_true_ratio_where_random_does_not_get_there(coverage: ModuleType) -> None:
    found = coverage.savings(10, 200, 1.5, 1.0, 60, "own last")
    assert found["moved by t"][0] >= 0.95 and found["drawn, older bounds"][0] < 0.7
    known = coverage.savings(3, 200, 1.5, 4.0, 60, "random's last")
    assert known["moved by t"][0] >= 0.93
