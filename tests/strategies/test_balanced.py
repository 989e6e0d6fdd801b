"""What the stochastic strategies and those that balance classes choose."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import of_probs, pick, some

from al_cxr.strategies import PoolStatistics, select
from al_cxr.strategies.balanced import in_turn
from al_cxr.strategies.power import power_noise


def test_power_draws_in_proportion() -> None:
    rng, scores = np.random.default_rng(0), np.array([0.0, 0.1, 0.3, 0.6])
    for beta in (1.0, 2.0):
        first = np.bincount([power_noise(scores, beta, rng).argmax() for _ in range(4000)], minlength=4) / 4000
        want = scores**beta / (scores**beta).sum()
        assert np.abs(first - want).max() < 5 * np.sqrt(0.25 / 4000)
    assert first[0] == 0, "an image without uncertainty comes last"
    assert np.isfinite(power_noise(np.zeros(5), 1.0, rng)).all()


@pytest.mark.parametrize(
    ("name", "field"), [("power_bald", "mutual_information_N"), ("power_entropy", "predictive_entropy_N")]
)
def test_power_strategies_use_their_score(name: str, field: str) -> None:
    statistics = some()
    scores = getattr(statistics, field)
    scores[:] = 0
    scores[[3, 11, 30]] = [0.2, 0.01, 1.0]
    chosen = {tuple(pick(name, statistics, 3, seed).indices) for seed in range(20)}
    assert {tuple(sorted(batch)) for batch in chosen} == {tuple(statistics.index_N[[3, 11, 30]])}
    assert len(chosen) > 1, "the order is noisy"


@given(st.data())
def test_in_turn_is_the_plain_greedy(data: st.DataObject) -> None:
    groups = np.array(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=20)))
    before = np.array(data.draw(st.permutations(range(len(groups)))))
    held = np.array(data.draw(st.lists(st.integers(0, 5), min_size=4, max_size=4)))
    left, counts, want = set(range(len(groups))), held.copy(), []
    while left:
        i = min(left, key=lambda j: (counts[groups[j]], before[j]))
        want.append(i)
        left.remove(i)
        counts[groups[i]] += 1
    assert in_turn(groups, before, held).tolist() == want


def test_stratified_random_is_even_and_spills_over() -> None:
    classes = np.array([0] * 30 + [1] * 6 + [2] * 4)
    statistics = of_probs(np.eye(3)[classes])
    for n, want in ((9, [3, 3, 3]), (12, [4, 4, 4]), (20, [10, 6, 4]), (40, [30, 6, 4])):
        got = pick("stratified_random", statistics, n).indices
        assert np.bincount(classes[got], minlength=3).tolist() == want
    often = np.bincount(np.concatenate([pick("stratified_random", statistics, 3, s).indices for s in range(1500)]))
    assert np.abs(often[:30] - 50).max() < 5 * np.sqrt(50), "uniform inside a class"


def skewed(**fields: object) -> PoolStatistics:
    """80 images predicted as class 0, the more undecided the higher the position; 10 of class 1, 10 of class 2."""
    top = np.concatenate([np.linspace(0.95, 0.4, 80), np.linspace(0.99, 0.97, 20)])
    classes = np.array([0] * 80 + [1] * 10 + [2] * 10)
    probs = np.repeat((1 - top)[:, None] / 2, 3, axis=1)
    probs[np.arange(100), classes] = top
    return of_probs(probs, rounds=5, **fields)


def test_class_balanced_fills_the_rarest_labelled_class_first() -> None:
    labels = np.array([0] * 20 + [1] * 8)  # none of class 2
    chosen = pick("class_balanced", skewed(labelled_labels_M=labels, round=4), 12).indices
    assert (chosen >= 90).sum() == 8, "two thirds by class, all of them from class 2"
    assert (chosen[chosen < 90] >= 65).all(), "a third by entropy alone, which is highest there"
    even = pick("class_balanced", skewed(round=4), 12).indices
    assert np.bincount(np.repeat([0, 1, 2], [80, 10, 10])[even]).min() >= 2


def test_the_noise_of_class_balanced_decays() -> None:
    def agreement(round: int) -> float:
        batches = [set(pick("class_balanced", skewed(round=round), 20, seed).indices.tolist()) for seed in range(10)]
        return float(np.mean([len(a & b) / 20 for a, b in itertools.combinations(batches, 2)]))

    overlaps = [agreement(round) for round in range(5)]
    assert overlaps[0] < 0.5 and overlaps[2] > overlaps[0] + 0.2 and overlaps[4] > 0.9
    assert pick("class_balanced", dataclasses.replace(skewed(), rounds=1), 5).indices.size == 5


@pytest.mark.parametrize(("beta", "least", "most"), [(0.01, 0, 40), (10_000.0, 95, 100)])
def test_beta_is_how_much_a_score_counts(beta: float, least: int, most: int) -> None:
    statistics = some(10)
    assert statistics.predictive_entropy_N is not None
    best = statistics.index_N[statistics.predictive_entropy_N.argmax()]
    drawn = [
        select("power_entropy", statistics, 1, np.random.default_rng(seed), beta=beta).indices[0] for seed in range(100)
    ]
    assert least <= sum(drawn == best) <= most


def test_options_of_class_balanced() -> None:
    labels = np.array([0] * 20 + [1] * 8)  # none of class 2
    for share, from_rarest in ((0.0, 0), (0.5, 6)):
        late = skewed(labelled_labels_M=labels, round=4)
        chosen = select("class_balanced", late, 12, np.random.default_rng(0), share=share).indices
        assert (chosen >= 90).sum() == from_rarest

    def first_query(seed: int) -> set[int]:
        early, rng = skewed(round=0), np.random.default_rng(seed)
        return set(select("class_balanced", early, 20, rng, first_beta=1000).indices.tolist())

    assert len(first_query(0) & first_query(1)) > 18, "no noise from the first query on"
