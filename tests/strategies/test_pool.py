"""The pool's invariants under any sequence of asking and telling, and the counts of the budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from al_cxr.config import Budget
from al_cxr.core.errors import UserError
from al_cxr.strategies.pool import Pool, query_size, seed_set, seed_size, shortfalls


def first(candidates: np.ndarray, n: int) -> np.ndarray:
    return candidates[:n]


def make() -> Pool:
    return Pool(10, np.array([7, 1, 3, 5, 9]), classes=3)


class AskAndTell(RuleBasedStateMachine):
    @initialize(size=st.integers(1, 25), seed=st.integers(0, 99))
    def start(self, size: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.train = np.sort(self.rng.choice(size, self.rng.integers(1, size + 1), replace=False))
        self.pool = Pool(size, self.rng.permutation(self.train), classes=4)
        self.asked: list[int] = []
        self.pending: list[int] = []
        self.truth: dict[int, int] = {}

    @rule(n=st.integers(0, 12))
    def ask(self, n: int) -> None:
        got = self.pool.ask(n, lambda candidates, count: self.rng.permutation(candidates)[:count])
        told_unasked = len(set(self.truth) - set(self.asked))
        assert len(got) == min(n, len(self.train) - len(self.asked) - told_unasked)
        assert not set(got.tolist()) & (set(self.asked) | set(self.truth)), "never asked for twice, nor when known"
        self.asked += got.tolist()
        self.pending += got.tolist()

    @rule(n=st.integers(0, 6))
    def tell_what_was_asked(self, n: int) -> None:
        self.tell(self.pending[:n])

    @rule(n=st.integers(0, 3))
    def tell_unasked(self, n: int) -> None:
        free = [i for i in self.train.tolist() if i not in self.truth and i not in self.asked]
        self.tell(free[:n])

    def tell(self, indices: list[int]) -> None:
        labels = self.rng.integers(0, 4, len(indices))
        self.pool.tell(np.array(indices, np.int64), labels)
        self.truth.update(zip(indices, labels.tolist(), strict=True))
        self.pending = [i for i in self.pending if i not in indices]

    @invariant()
    def labelled_and_unlabelled_are_the_training_set(self) -> None:
        if not hasattr(self, "pool"):
            return
        labelled, unlabelled = self.pool.labelled.tolist(), self.pool.unlabelled.tolist()
        assert not set(labelled) & set(unlabelled)
        assert sorted(labelled + unlabelled) == self.train.tolist()
        assert labelled == sorted(self.truth)
        assert self.pool.labels.tolist() == [self.truth[i] for i in labelled]


AskAndTell.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
test_ask_and_tell = AskAndTell.TestCase


def test_a_round() -> None:
    pool = make()
    assert pool.unlabelled.tolist() == [1, 3, 5, 7, 9] and pool.labelled.tolist() == []
    asked = pool.ask(2, lambda candidates, n: candidates[::-1][:n])
    assert asked.tolist() == [9, 7], "in the chooser's order"
    assert pool.unlabelled.tolist() == [1, 3, 5, 7, 9], "asked for is not yet labelled"
    pool.tell(asked, np.array([2, 0]))
    assert pool.labelled.tolist() == [7, 9] and pool.labels.tolist() == [0, 2]
    assert pool.ask(10, first).tolist() == [1, 3, 5]
    assert pool.ask(1, first).tolist() == []


@pytest.mark.parametrize(
    ("indices", "labels", "message"),
    [
        ([0], [1], "image 0 is not in the training set"),
        ([9], [1], "image 9 is labelled already"),
        ([1, 1], [1, 1], "twice"),
        ([10], [1], "outside the data set"),
        ([-1], [1], "outside the data set"),
        ([1], [3], "outside 0..2"),
        ([1], [-1], "outside 0..2"),
        ([1], [1.0], "not integers"),
        ([1.0], [1], "not a row of integers"),
        ([1, 3], [1], "labels for"),
        ([[1]], [[1]], "not a row"),
        ([1, 9], [0, 0], "image 9 is labelled already"),
    ],
)
def test_tell_takes_all_or_nothing(indices: list, labels: list, message: str) -> None:
    pool = make()
    pool.tell(np.array([9]), np.array([0]))
    with pytest.raises(ValueError, match=message):
        pool.tell(np.array(indices), np.array(labels))
    assert pool.labelled.tolist() == [9] and pool.labels.tolist() == [0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([1], "1 images were chosen, 2 were asked for"),
        ([1, 1], "twice"),
        ([1, 0], "not in the pool"),
        ([1, 9], "not in the pool"),
        ([1, 10], "outside the data set"),
        ([1.0, 3.0], "not a row of integers"),
    ],
)
def test_ask_checks_the_chooser(answer: list, message: str) -> None:
    pool = make()
    pool.tell(np.array([9]), np.array([0]))
    with pytest.raises(ValueError, match=message):
        pool.ask(2, lambda candidates, n: np.array(answer))
    assert pool.ask(2, first).tolist() == [1, 3], "what was refused was not asked for"
    with pytest.raises(ValueError, match="cannot ask"):
        pool.ask(-1, first)


def test_the_chooser_cannot_spoil_the_pool() -> None:
    pool = make()

    def spoil(candidates: np.ndarray, n: int) -> np.ndarray:
        candidates += 1
        return candidates[:n] - 1

    assert pool.ask(2, spoil).tolist() == [1, 3]
    pool.labels[:] = 5
    pool.labelled[:] = 0
    assert pool.unlabelled.tolist() == [1, 3, 5, 7, 9]


@pytest.mark.parametrize("train", [[1, 1], [10], [-1], [0.5]])
def test_a_training_set_that_is_none(train: list) -> None:
    with pytest.raises(ValueError):
        Pool(10, np.array(train))


# --------------------------------------------------------------------------------------------------------------- budget
def test_the_counts_of_the_source_report() -> None:
    budget, train = Budget(seed=0.30, query=0.10, query_of="remaining", rounds=4), 20450
    counts = [seed_size(budget, train)]
    for _ in range(budget.rounds):
        counts.append(counts[-1] + query_size(budget, train, train - counts[-1]))
    assert counts == [6135, 7566, 8854, 10013, 11056]


def test_units_of_a_query() -> None:
    assert query_size(Budget(query=0.1, query_of="train"), 1000, 500) == 100
    assert query_size(Budget(query=0.1, query_of="train"), 1000, 30) == 30
    assert query_size(Budget(query=0.1, query_of="remaining"), 1000, 500) == 50
    assert query_size(Budget(query=64, query_of="number"), 1000, 500) == 64
    assert query_size(Budget(query=64, query_of="number"), 1000, 5) == 5
    assert query_size(Budget(query=0.001), 1000, 5) == 1
    assert query_size(Budget(query=0.1), 1000, 0) == 0
    assert query_size(Budget(query=0.29), 100, 100) == 29, "0.29 as written; its binary value is below"


def test_units_of_a_seed() -> None:
    assert seed_size(Budget(seed=0.0001), 100) == 1
    assert seed_size(Budget(seed=1), 100) == 100
    assert seed_size(Budget(seed=40), 100) == 40
    assert seed_size(Budget(seed=400), 100) == 100
    with pytest.raises(UserError, match=r"budget\.seed: .*\(got 40\.5\)"):
        seed_size(Budget(seed=40.5), 100)


@given(st.floats(1e-6, 1), st.integers(1, 10**6), st.floats(0, 1))
def test_a_query_is_at_least_one_and_fits(query: float, train: int, share: float) -> None:
    remaining = round(share * train)
    for unit in ("remaining", "train"):
        n = query_size(Budget(query=query, query_of=unit), train, remaining)
        assert min(1, remaining) <= n <= remaining
        assert n <= max(1, query * train)


def test_seed_set() -> None:
    train = np.array([8, 2, 4, 6])
    got = seed_set(train, 2, np.random.default_rng(0))
    assert got.tolist() == seed_set(np.sort(train), 2, np.random.default_rng(0)).tolist(), "free of the order"
    assert set(got.tolist()) <= {2, 4, 6, 8} and (np.diff(got) > 0).all()
    assert seed_set(train, 9, np.random.default_rng(0)).tolist() == [2, 4, 6, 8]
    counts = np.bincount(np.concatenate([seed_set(train, 1, np.random.default_rng(s)) for s in range(1000)]))
    assert np.abs(counts[[2, 4, 6, 8]] - 250).max() < 5 * np.sqrt(1000 * 0.25 * 0.75)


def test_what_a_training_set_cannot_give_is_said() -> None:
    def said(**budget: object) -> list[str]:
        return shortfalls(Budget.model_validate(budget), 100)

    assert said(seed=0.3, query=0.1, rounds=5) == said(seed=10, query=10, query_of="number", rounds=9) == []
    assert said(seed=10, query=40, query_of="number", rounds=9) == [
        "the budget is larger than the training set of 100 images: round 3 of 9 asks for the last 10, and the arms end "
        "there"
    ]
    assert "round 2 of 2 asks for the last 30" in said(seed=10, query=60, query_of="number", rounds=2)[0]
    assert "less than one image" in said(seed=10, query=0.001, query_of="train", rounds=2)[0]
    assert "budget.seed asks for 500 labels" in said(seed=500, query=0.1, rounds=0)[0]
    with pytest.raises(UserError, match=r"budget\.seed 500: the start takes all 100 training images"):
        said(seed=500, query=0.1, rounds=1)
