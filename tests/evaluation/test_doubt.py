"""Answers to read again: wrong ones come first, by both scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from al_cxr.evaluation.doubt import active_lab, confident_errors, self_confidence


def world(images: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Truth, of which a fifth is ill, and a fairly good model's probabilities."""
    draw = np.random.default_rng(seed)
    truth = (draw.random(images) < 0.2).astype(int)
    score = 1 / (1 + np.exp(-(draw.normal(3.0 * truth - 1.5) - 1)))
    return truth, np.stack([1 - score, score], axis=1), draw


def test_wrong_answers_are_doubted_most_and_a_rare_class_is_not_doubted_as_a_whole() -> None:
    truth, probs, draw = world(4000, 0)
    answers = np.where(draw.random(4000) < 0.1, 1 - truth, truth)
    scores = self_confidence(probs, answers)
    assert roc_auc_score(answers != truth, -scores) > 0.9
    assert scores[answers == 1].mean() == pytest.approx(0.5) and scores[answers == 0].mean() == pytest.approx(0.5)
    assert scores.min() >= 0 and scores.max() <= 1


def test_most_of_what_is_taken_for_wrong_is_wrong_and_a_class_that_nobody_answered_is_never_expected() -> None:
    truth, probs, draw = world(4000, 3)
    answers = np.where(draw.random(4000) < 0.1, 1 - truth, truth)
    found = confident_errors(probs, answers)
    assert (answers != truth)[found].mean() > 0.6 and found[answers != truth].mean() > 0.7
    with_third = np.concatenate([probs * 0.4, np.full((4000, 1), 0.6)], axis=1)
    assert np.array_equal(confident_errors(with_third, answers), found)


def test_with_one_answer_each_it_is_the_formula_of_the_paper() -> None:
    probs = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    found = active_lab(probs, np.array([[1, -1], [-1, -1]]))
    assert found == pytest.approx([(2 * 0.2 + 1 / 3) / 3, (0.4 + 1 / 3) / 2])


def test_an_image_that_readers_disagree_on_comes_before_one_that_they_agree_on() -> None:
    truth, probs, draw = world(600, 1)
    answers = np.stack([np.where(draw.random(600) < error, 1 - truth, truth) for error in (0.02, 0.04, 0.08)], axis=1)
    answers[draw.random((600, 3)) < 0.4] = -1
    scores, given = active_lab(probs, answers), (answers >= 0).sum(axis=1)
    split = np.array([len({a for a in row if a >= 0}) > 1 for row in answers])
    assert scores[split].mean() < scores[~split & (given > 1)].mean() - 0.1
    assert scores[~split & (given == 3)].mean() > scores[given == 1].mean()
    assert scores.min() >= 0 and scores.max() <= 1


def test_a_careless_reader_settles_less_than_a_careful_one() -> None:
    truth, probs, draw = world(1000, 2)
    answers = np.stack([np.where(draw.random(1000) < error, 1 - truth, truth) for error in (0.02, 0.02, 0.19)], axis=1)
    alone = np.full((2, 3), -1)
    alone[0, 0] = alone[1, 2] = 0
    scores = active_lab(np.concatenate([probs, [[0.6, 0.4]] * 2]), np.concatenate([answers, alone]))
    assert scores[-2] > scores[-1] + 0.05
