"""The random arm: no model is measured on what it learned, and its interval holds what choosing was worth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from al_cxr.evaluation.random_arm import gain, random_sets


def test_sets_share_no_image_and_no_patient_with_what_they_are_measured_on() -> None:
    patients = [f"p{i // 2}" if i % 5 else "" for i in range(130)]
    sets = random_sets(patients, 30)
    assert len(sets) == 4 and np.concatenate([one.train for one in sets]).tolist() == list(range(120))
    for one in sets:
        known = {patients[i] for i in one.train} - {""}
        assert not set(one.train) & set(one.test) and not known & {patients[i] for i in one.test}
        assert len(one.test) >= 130 - 30 - 2


def test_what_does_not_fit_is_not_made() -> None:
    assert random_sets([""] * 49, 30) == [] and len(random_sets([""] * 50, 30)) == 1
    found = gain(np.ones(49), np.empty((0, 49)))
    assert np.isnan(found.value) and "too few audit labels" in found.why


def data(images: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = draw.normal(size=(images, 6))
    return x, draw.random(images) < 1 / (1 + np.exp(-2 * x[:, 0] - x[:, 1]))


def test_the_interval_holds_the_difference_to_models_of_other_random_labels() -> None:
    draw = np.random.default_rng(0)
    x_test, y_test = data(20_000, draw)
    fits = [LogisticRegression().fit(*data(40, draw)) for _ in range(100)]
    random_truth = np.mean([(fit.predict(x_test) == y_test).mean() for fit in fits])
    held, widths = [], []
    for _ in range(60):
        chosen = LogisticRegression().fit(*data(40, draw))
        truth = (chosen.predict(x_test) == y_test).mean() - random_truth
        x, y = data(200, draw)
        rows = []
        for one in random_sets([""] * 200, 40):
            row = np.full(200, np.nan)
            row[one.test] = LogisticRegression().fit(x[one.train], y[one.train]).predict(x[one.test]) == y[one.test]
            rows.append(row)
        found = gain(chosen.predict(x) == y, np.array(rows))
        held.append(found.low <= truth <= found.high)
        widths.append(found.high - found.low)
    assert np.mean(held) > 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / 60) and 0.03 < np.mean(widths) < 0.15


def test_one_random_model_says_what_its_interval_leaves_out() -> None:
    draw = np.random.default_rng(1)
    found = gain(draw.random(100) < 0.9, (draw.random((1, 100)) < 0.7).astype(float))
    assert found.low < found.value < found.high and "not of other labels" in found.why
    with pytest.raises(ValueError, match="one audit"):
        gain(np.ones(5), np.ones((2, 6)))
