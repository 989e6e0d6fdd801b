"""The simulated projects of benchmarks/labelling_coverage.py: a part of the published tables, with fixed seeds."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def worlds() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        yield importlib.import_module("labelling_worlds")


@pytest.fixture(scope="module")
def one_look(worlds: ModuleType) -> ModuleType:
    return importlib.import_module("labelling_one_look")


def allowed(rate: float, runs: int) -> float:
    """A share of runs that an event of that rate exceeds once in 700 seeds."""
    return float(rate + 3 * np.sqrt(rate * (1 - rate) / runs))


@pytest.mark.parametrize(("share", "size"), [(0.1, 2000), (0.8, 20_000), (0.95, 2000)])
def test_sequences_hold_at_300_looks_and_the_fixed_interval_does_not(
    worlds: ModuleType, share: float, size: int
) -> None:
    found = worlds.shares(share, size, 100)
    for name in ("known", "unknown"):
        assert max(found.wrong[name]) <= allowed(0.05, 100)
    assert found.wrong["fixed"][-1] > 0.12
    assert found.width["fixed"] < found.width["known"] <= found.width["unknown"] < 1.9 * found.width["fixed"]


def test_the_area_by_blocks_holds_at_300_looks_and_delongs_interval_does_not(worlds: ModuleType) -> None:
    found = worlds.areas(1.812, 0.1, 80)
    assert max(found.wrong["blocks"]) <= allowed(0.05, 80) < 0.3 < found.wrong["fixed"][-1]


@pytest.mark.parametrize("kept", [0.0, 0.9])
def test_wrong_certificates_are_few_by_exams_alone(worlds: ModuleType, kept: float) -> None:
    found = worlds.wrong_certificates(0.9, 300, kept, 80)
    assert found["exams"] <= allowed(0.05, 80) < found["fixed"]
    assert found["each model's sequence"] > found["exams"]


def test_a_good_model_is_certified_by_exams_no_later_than_by_its_sequence(worlds: ModuleType) -> None:
    exam, images, sequence, later = worlds.right_certificates(0.8, 0.9, 1000, 60)
    assert exam > 0.95 and sequence > 0.9 and images < 1.1 * later


def test_several_images_a_patient_break_a_sequence_unless_one_counts(worlds: ModuleType) -> None:
    found = worlds.patients(4, 100)
    assert found["one a patient"] <= allowed(0.05, 100) < found["every image"]


@pytest.mark.parametrize(
    ("name", "least"),
    [("loss", 0.9), ("sensitivity", 0.9), ("prevalence", 0.9), ("active", 0.88), ("kappa", 0.9), ("ac1", 0.9)],
)
def test_intervals_for_one_look_hold_about_as_often_as_they_say(one_look: ModuleType, name: str, least: float) -> None:
    archive = one_look.Archive(0.2)
    project = {
        "loss": archive.loss,
        "sensitivity": partial(archive.rate, "sensitivity"),
        "prevalence": partial(archive.share, False),
        "active": partial(archive.share, True),
        "kappa": partial(one_look.readers, "kappa"),
        "ac1": partial(one_look.readers, "ac1"),
    }[name]
    told, held, width = one_look.at_one_look(project, 80)
    assert told == 1 and held >= least and width < 0.4


def test_and_are_wrong_far_more_often_if_looked_at_30_times(one_look: ModuleType) -> None:
    assert one_look.powered_looked_at(30, 60) > 0.12
