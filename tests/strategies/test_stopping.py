"""Stopping rules: when each of them fires, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from al_cxr.core.errors import UserError
from al_cxr.strategies import stopping
from al_cxr.strategies.statistics import PoolStatistics
from al_cxr.strategies.stopping import History, agreement, check, decide, pool_uncertainty


def history(
    f1: list[float], uncertainty: list[float | None] | None = None, predictions: list[list[int]] | None = None
) -> History:
    return History(
        tuple(f1),
        tuple(uncertainty or [None] * len(f1)),
        tuple(np.array(p) for p in predictions or [[0, 1, 2]] * len(f1)),
    )


def stops_at(rule: str, whole: History, **options: object) -> int | None:
    """First round at which a rule stops when it is asked after every round."""
    for r in range(1, len(whole.f1) + 1):
        if decide(rule, History(whole.f1[:r], whole.uncertainty[:r], whole.predictions[:r]), **options):
            return r - 1
    return None


@pytest.mark.parametrize("rule", stopping.names())
def test_every_rule(rule: str) -> None:
    options = {"low_uncertainty": {"below": 0.1}}.get(rule, {})
    assert decide(rule, history([]), **options) is None, "nothing seen, no reason"
    assert decide(rule, history([0.5]), **options) is None
    stalled = history([0.5] * 6, [0.01] * 6)
    reason = decide(rule, stalled, **options)
    assert reason is None if rule == "budget" else isinstance(reason, str) and len(reason) > 20
    with pytest.raises(UserError, match=r"stop\.options\.nonsense"):
        decide(rule, stalled, **options, nonsense=1)


def test_no_gain_waits_for_its_rounds() -> None:
    f1 = [0.5, 0.6, 0.7, 0.69, 0.7, 0.68]
    assert stops_at("no_gain", history(f1)) == 5
    assert stops_at("no_gain", history(f1), rounds=1) == 3
    assert stops_at("no_gain", history([0.5, 0.52, 0.54, 0.56]), rounds=1, delta=0.02 + 1e-9) == 1
    assert stops_at("no_gain", history([0.5, 0.52, 0.54, 0.56]), rounds=2, delta=0.02 + 1e-9) is None
    assert stops_at("no_gain", history(list(np.linspace(0.1, 0.9, 9)))) is None
    assert "0.7000 before" in (decide("no_gain", history(f1)) or "")


def test_low_uncertainty_needs_a_level_and_an_uncertainty() -> None:
    assert stops_at("low_uncertainty", history([0.5] * 4, [0.9, 0.4, 0.2, 0.1]), below=0.2) == 3
    assert stops_at("low_uncertainty", history([0.5] * 4, [None] * 4), below=5) is None
    with pytest.raises(UserError, match=r"stop\.options\.below: missing; add this key"):
        check("low_uncertainty", {})


def test_pool_uncertainty_prefers_the_passes() -> None:
    index, probs = np.arange(2), np.array([[0.5, 0.5], [1.0, 0.0]])
    assert pool_uncertainty(PoolStatistics(index)) is None
    assert pool_uncertainty(PoolStatistics(index, probs_NC=probs)) == pytest.approx(np.log(2) / 2)
    both = PoolStatistics(index, probs_NC=probs, predictive_entropy_N=np.array([0.2, 0.4]))
    assert pool_uncertainty(both) == pytest.approx(0.3)


def test_stable_predictions() -> None:
    a, b = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0], [0, 1, 2, 0, 1, 2, 0, 1, 2, 1]
    whole = history([0.5] * 7, predictions=[a, b, a, a, a, a, a])
    assert stops_at("stable_predictions", whole) == 5, "three agreements in a row: 2-3, 3-4, 4-5"
    assert stops_at("stable_predictions", whole, rounds=1) == 3
    assert stops_at("stable_predictions", whole, rounds=2, kappa=0.8) == 2
    assert stops_at("stable_predictions", history([0.5] * 4, predictions=[a, b, a, b])) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=40))
def test_agreement_is_cohens_kappa(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs).T
    if len(set(first) | set(second)) == 1:
        assert agreement(first, second) == 1
    else:
        assert agreement(first, second) == pytest.approx(cohen_kappa_score(first, second))
        assert agreement(first, second) == pytest.approx(agreement(second, first))


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ("no_gains", {}, r"stop\.rule: no rule 'no_gains'; did you mean 'no_gain'"),
        ("budget", {"rounds": 3}, r"stop\.options\.rounds: budget has no such option; it has none"),
        ("no_gain", {"round": 3}, r"stop\.options\.round: no_gain has no such option; did you mean 'rounds'"),
        ("no_gain", {"rounds": 0}, r"stop\.options\.rounds: must be 1 or more \(got 0\)"),
        ("no_gain", {"rounds": 2.0}, r"stop\.options\.rounds: must be a whole number \(got 2\.0\)"),
        ("no_gain", {"rounds": True}, r"stop\.options\.rounds: must be a whole number \(got true\)"),
        ("no_gain", {"delta": "0.1"}, r"stop\.options\.delta: must be a number \(got '0\.1'\)"),
        ("no_gain", {"delta": -0.1}, r"stop\.options\.delta: must be 0 or more \(got -0\.1\)"),
        (
            "low_uncertainty",
            {"below": float("nan")},
            r"stop\.options\.below: must be a finite number \(got nan\)",
        ),
        (
            "low_uncertainty",
            {"below": float("inf")},
            r"stop\.options\.below: must be a finite number \(got inf\)",
        ),
        ("stable_predictions", {"kappa": 1.5}, r"stop\.options\.kappa: must be 1 or less \(got 1\.5\)"),
    ],
)
def test_options_are_strict(rule: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(rule, options)
    with pytest.raises(UserError, match=message):
        decide(rule, history([0.5]), **options)


def test_a_rule_is_named_with_the_section_it_stands_in() -> None:
    assert check("no_gain", {"rounds": 2}) == {"rounds": 2, "delta": 0.0}
    with pytest.raises(UserError, match=r"^x\.yaml: stop\.rule: no rule 'no_gains'"):
        check("no_gains", {}, "x.yaml: stop")


def test_a_rule_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="rule 'new': the first parameters must be history"):
        stopping.rule("new")(lambda rounds: None)
    with pytest.raises(ValueError, match="rule 'budget' is defined in"):
        stopping.rule("budget")(lambda history: None)
    assert "new" not in stopping.names()


def test_a_history_is_of_one_piece() -> None:
    with pytest.raises(ValueError, match="one entry a round"):
        History((0.5,), (), (np.zeros(3),))
    with pytest.raises(ValueError, match="different numbers"):
        history([0.5, 0.5], predictions=[[0, 1], [0, 1, 2]])
    with pytest.raises(ValueError, match="NaN"):
        history([float("nan")])
    with pytest.raises(ValueError, match="not of the same images"):
        agreement(np.array([0]), np.array([0, 1]))
