"""Metrics against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import classification_report, f1_score, log_loss, roc_auc_score

from al_cxr.core.metrics import macro_f1, measure

CLASSES = ("normal", "pneumonia", "tuberculosis")


def fake(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(seed)
    labels = r.integers(0, 3, n)
    logits = r.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), labels


def test_equal_to_scikit_learn() -> None:
    probs, labels = fake()
    ours = measure(probs, labels, CLASSES)
    theirs = classification_report(labels, probs.argmax(1), target_names=CLASSES, output_dict=True)
    for name in CLASSES:
        assert ours.of(name).f1 == pytest.approx(theirs[name]["f1-score"])
        assert ours.of(name).precision == pytest.approx(theirs[name]["precision"])
        assert ours.of(name).recall == pytest.approx(theirs[name]["recall"])
        assert ours.of(name).support == theirs[name]["support"]
    assert ours.macro.f1 == pytest.approx(theirs["macro avg"]["f1-score"])
    assert ours.weighted.f1 == pytest.approx(theirs["weighted avg"]["f1-score"])
    assert ours.accuracy == pytest.approx(theirs["accuracy"])
    assert ours.log_loss == pytest.approx(log_loss(labels, probs))
    assert ours.roc_auc == pytest.approx(roc_auc_score(labels, probs, multi_class="ovr"))
    assert np.sum(ours.confusion) == 200 and np.trace(ours.confusion) == round(200 * ours.accuracy)


def test_by_hand() -> None:
    probs = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.1, 0.2, 0.7]])
    m = measure(probs, np.array([0, 0, 1, 2]), CLASSES)
    assert m.confusion == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert (m.of("normal").precision, m.of("normal").recall, m.of("tuberculosis").f1) == (0.5, 0.5, 1.0)
    assert m.of("pneumonia").f1 == 0 and m.accuracy == 0.5


def test_a_class_without_images_is_in_no_average() -> None:
    probs, labels = fake()
    two = labels != 1
    m = measure(probs[two], labels[two], CLASSES)
    assert m.of("pneumonia").support == 0 and m.of("pneumonia").roc_auc is None
    assert m.macro.f1 == pytest.approx((m.of("normal").f1 + m.of("tuberculosis").f1) / 2)


def test_wrong_shapes_and_no_images() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        measure(np.ones((3, 2)) / 2, np.array([0, 1, 1]), CLASSES)
    with pytest.raises(ValueError, match="no images"):
        measure(np.ones((0, 3)), np.array([], int), CLASSES)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_the_quick_macro_f1_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    truth, said = np.array(pairs).T
    assert macro_f1(truth, said) == pytest.approx(f1_score(truth, said, average="macro", zero_division=0))
