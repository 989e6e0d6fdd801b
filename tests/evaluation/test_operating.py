"""Thresholds by hand and by brute force, and what they mean for a thousand people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from al_cxr.core.enough import FEW, LEAST
from al_cxr.evaluation.operating import BEST, GOALS, Goal, choose_threshold, decide, doubts, goal_from, per_thousand

SCORES = np.tile([0.9, 0.8, 0.7, 0.2, 0.75, 0.5, 0.3, 0.1, 0.05], 2)
ILL = np.tile([True] * 4 + [False] * 5, 2)


def test_thresholds_by_hand() -> None:
    found = choose_threshold(SCORES, ILL, Goal("sensitivity", 0.75))
    assert (found.value, found.sensitivity, found.specificity) == (0.7, 0.75, 0.8)
    every = choose_threshold(SCORES, ILL, Goal("sensitivity", 1.0))
    assert (every.value, every.sensitivity, every.specificity) == (0.2, 1.0, 0.4)
    specific = choose_threshold(SCORES, ILL, Goal("specificity", 0.8))
    assert 0.5 < (specific.value or 0) <= 0.7 and (specific.sensitivity, specific.specificity) == (0.75, 0.8)


@given(st.sampled_from(GOALS), st.integers(1, 1000))
def test_a_goal_is_known_by_its_words(goal: Goal, thousandths: int) -> None:
    goal = replace(goal, value=thousandths / 1000 if goal.kind not in BEST else goal.value)
    assert goal_from(str(goal)) == goal


@pytest.mark.parametrize("words", ["", "sensitivity 0 %", "sensitivity 900 %", "luck 90 %", "f1", "sensitivity nan %"])
def test_other_words_are_no_goal(words: str) -> None:
    assert goal_from(words) is None


@given(st.integers(0, 2**32 - 1), st.sampled_from(["sensitivity", "specificity"]), st.floats(0.05, 1.0))
def test_the_goal_is_reached_and_nothing_more_is_given_away(seed: int, kind: str, value: float) -> None:
    r = np.random.default_rng(seed)
    ill = np.arange(30) < 12
    scores = np.round(r.random(30) + 0.4 * ill, 1)  # with ties
    found = choose_threshold(scores, ill, Goal(kind, value))  # type: ignore[arg-type]
    points = [((scores[ill] >= t).mean(), (scores[~ill] < t).mean()) for t in [*np.unique(scores), np.inf]]
    if kind == "sensitivity":
        best = max(b for a, b in points if a >= value - 1e-9)
        assert found.value is None if best == 0 else (found.sensitivity >= value - 1e-9 and found.specificity == best)
    else:
        best = max(a for a, b in points if b >= value - 1e-9)
        assert found.value is None if best == 0 else (found.specificity >= value - 1e-9 and found.sensitivity == best)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["f1", "accuracy"]))
def test_the_best_threshold_is_the_best_of_all(seed: int, kind: str) -> None:
    r = np.random.default_rng(seed)
    ill = np.arange(30) < r.integers(LEAST, 31 - LEAST)
    scores = np.round(r.random(30) + r.uniform(-0.2, 0.4) * ill, 1)  # with ties, and of models that know nothing

    def worth(threshold: float) -> float:
        flagged = scores >= threshold
        return f1_score(ill, flagged, zero_division=0.0) if kind == "f1" else accuracy_score(ill, flagged)

    found = choose_threshold(scores, ill, Goal(kind))  # type: ignore[arg-type]
    best = max(worth(t) for t in [*np.unique(scores), np.inf])
    if found.value is None:
        assert best == max(worth(-np.inf), worth(np.inf))
    else:
        assert worth(found.value) == pytest.approx(best)


def test_the_best_threshold_stands_between_two_scores() -> None:
    assert choose_threshold(SCORES, ILL, Goal("f1")).value == pytest.approx(
        (0.7 + 0.5) / 2
    )  # one false alarm, one missed
    assert choose_threshold(SCORES, ILL, Goal("accuracy")).value == pytest.approx(
        (0.8 + 0.75) / 2
    )  # as good as at 0.7: 7 of 9
    rare = choose_threshold(np.repeat([0.1, 0.9, 0.8], LEAST), np.repeat([True, False, False], LEAST), Goal("accuracy"))
    assert rare.value is None and rare.note == "the best accuracy on validation takes finding nobody"


def test_a_share_that_is_whole_in_the_head_is_whole_in_the_computer() -> None:
    scores = np.arange(60) / 60
    ill = np.arange(60) >= 10
    assert choose_threshold(scores, ill, Goal("sensitivity", 0.9)).sensitivity == pytest.approx(45 / 50)
    assert choose_threshold(scores, np.arange(60) >= 30, Goal("sensitivity", 0.7)).sensitivity == pytest.approx(21 / 30)


def test_goals_that_cannot_be_reached_say_why() -> None:
    few = choose_threshold(SCORES, np.arange(18) < LEAST - 1, Goal())
    assert few.value is None and few.note.startswith("4 validation images of the target and 14 others are too few")
    worst = choose_threshold(np.where(ILL, 0.0, 1.0), ILL, Goal("sensitivity", 0.9))
    assert worst.value is None and "flagging everybody" in worst.note and np.isnan(worst.sensitivity)
    none = choose_threshold(np.where(ILL, 0.0, 1.0), ILL, Goal("specificity", 0.9))
    assert none.value is None and "finding nobody" in none.note
    for value in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"lies in 0\.\.1"):
            Goal("sensitivity", value)


def test_a_threshold_of_few_images_says_what_it_can_be_worth() -> None:
    ill, well = doubts("pneumonia", 8, 4, 1.0, 0.75)
    assert "on 8 images of pneumonia: sensitivity 100 % there could be 63 to 100 % elsewhere" in ill
    assert "on 4 images without pneumonia: specificity 75 % there could be 19 to 99 % elsewhere" in well
    assert doubts("pneumonia", FEW, FEW, 0.9, 0.9) == [] == doubts("pneumonia", 0, 3, np.nan, np.nan)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_there_is_one_decision_an_image(seed: int, threshold: float) -> None:
    probs_NC = np.random.default_rng(seed).dirichlet([1, 1, 1], 20)
    said_N = decide(probs_NC, 1, threshold)
    assert ((said_N == 1) == (probs_NC[:, 1] >= threshold)).all()
    others_N = said_N != 1
    assert (said_N[others_N] == np.where(probs_NC[:, 0] >= probs_NC[:, 2], 0, 2)[others_N]).all()
    assert (decide(probs_NC, 1, None) == probs_NC.argmax(axis=1)).all()


def test_a_thousand_people() -> None:
    found = per_thousand(0.9, 0.75, 0.02)
    assert (found.found, found.missed) == (pytest.approx(18), pytest.approx(2))
    assert found.false_alarms == pytest.approx(245) and found.per_found == pytest.approx(263 / 18)
    assert per_thousand(0.0, 1.0, 0.1).per_found == np.inf
    with pytest.raises(ValueError, match="prevalence"):
        per_thousand(0.9, 0.9, 0.0)


@given(st.floats(0.01, 1), st.floats(0, 1), st.floats(0.001, 0.999))
def test_people_are_neither_made_nor_lost(sensitivity: float, specificity: float, prevalence: float) -> None:
    s = per_thousand(sensitivity, specificity, prevalence)
    assert s.found + s.missed == pytest.approx(1000 * prevalence)
    assert s.false_alarms <= 1000 * (1 - prevalence) + 1e-9
    ppv = sensitivity * prevalence / (sensitivity * prevalence + (1 - specificity) * (1 - prevalence))
    assert 1 / s.per_found == pytest.approx(ppv)
