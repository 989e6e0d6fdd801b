"""The ceiling of readers' errors: against a simulation of them."""

from __future__ import annotations

import numpy as np
import pytest

from al_cxr.evaluation.agreement import agreement
from al_cxr.evaluation.audit import Figure
from al_cxr.evaluation.ceiling import against_reader, ceiling, reader_error


def erring(truth: np.ndarray, error: float, classes: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    other = (truth + draw.integers(1, classes, len(truth))) % classes
    answers: np.ndarray = np.where(draw.random(len(truth)) < error, other, truth)
    return answers


@pytest.mark.parametrize("classes", [2, 4])
def test_two_readers_agreement_gives_their_error_and_what_a_model_seems_to_reach(classes: int) -> None:
    truth = np.random.default_rng(0).integers(0, classes, 100_000)
    first, second = erring(truth, 0.1, classes, 1), erring(truth, 0.1, classes, 2)
    found = ceiling(agreement(first[:5000], second[:5000], classes, 0)["observed"], classes)
    assert found.low < 0.9 < found.high and found.high - found.low < 0.03
    assert reader_error(float((first == second).mean()), classes) == pytest.approx(0.1, abs=0.004)
    model = erring(truth, 0.2, classes, 3)
    assert (model == first).mean() == pytest.approx(against_reader(0.8, 0.1, classes), abs=0.005)
    assert (truth == first).mean() == pytest.approx(against_reader(1.0, 0.1, classes), abs=0.005)


def test_readers_who_agree_by_guessing_alone_set_no_ceiling() -> None:
    assert np.isnan(reader_error(0.45)) and reader_error(1.0) == 0
    found = ceiling(Figure(0.45, 0.4, 0.6, 100, anytime=False))
    assert np.isnan(found.value) and "guessing" in found.why
