"""The pool's invariants under any sequence of asking and telling, and of taking back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from al_cxr.strategies.pool import Pool


def first(candidates: np.ndarray, n: int) -> np.ndarray:
    return candidates[:n]


def make() -> Pool:
    return Pool(10, np.array([7, 1, 3, 5, 9]), classes=3)


class AskAndTell(RuleBasedStateMachine):
    """The pool beside a plain model of it: a set of what was asked for, and two dictionaries."""

    @initialize(size=st.integers(1, 25), seed=st.integers(0, 99))
    def start(self, size: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.train = np.sort(self.rng.choice(size, self.rng.integers(1, size + 1), replace=False))
        self.pool = Pool(size, self.rng.permutation(self.train), classes=4)
        self.asked: set[int] = set()
        self.truth: dict[int, int] = {}
        self.dropped: dict[int, str] = {}

    def free(self) -> list[int]:
        return [i for i in self.train.tolist() if i not in self.truth and i not in self.asked | set(self.dropped)]

    def pending(self) -> list[int]:
        return sorted(self.asked - set(self.truth) - set(self.dropped))

    def some(self, among: Iterable[int], n: int) -> np.ndarray:
        return self.rng.permutation(np.array(sorted(among), np.int64))[:n]

    @rule(n=st.integers(0, 12))
    def ask(self, n: int) -> None:
        got = self.pool.ask(n, lambda candidates, count: self.rng.permutation(candidates)[:count])
        assert len(got) == min(n, len(self.free()))
        assert set(got.tolist()) <= set(self.free()), "never asked for twice, nor when known"
        self.asked |= set(got.tolist())

    @rule(n=st.integers(0, 12))
    def ask_again(self, n: int) -> None:
        got = self.pool.ask(n, lambda candidates, count: self.rng.permutation(candidates)[:count], again=True)
        assert len(got) == min(n, len(self.truth)) and set(got.tolist()) <= set(self.truth)

    @rule(n=st.integers(0, 6))
    def tell_what_was_asked(self, n: int) -> None:
        self.tell(self.some(self.pending(), n))

    @rule(n=st.integers(0, 3))
    def tell_unasked(self, n: int) -> None:
        self.tell(self.some(self.free(), n))

    @rule(n=st.integers(0, 3))
    def unask(self, n: int) -> None:
        indices = self.some(self.pending(), n)
        self.pool.unask(indices)
        self.asked -= set(indices.tolist())

    @rule(n=st.integers(0, 3), correct=st.booleans())
    def untell(self, n: int, correct: bool) -> None:
        indices = self.some(self.truth, n)
        self.pool.untell(indices)
        for i in indices.tolist():
            del self.truth[i]
        if correct:
            self.tell(indices)

    @rule(n=st.integers(0, 2), reason=st.sampled_from(["unreadable", "lost"]))
    def drop(self, n: int, reason: str) -> None:
        indices = self.some(self.free() + self.pending(), n)
        self.pool.drop(indices, reason)
        self.dropped.update(dict.fromkeys(indices.tolist(), reason))

    @rule(n=st.integers(0, 2))
    def undrop(self, n: int) -> None:
        indices = self.some(self.dropped, n)
        self.pool.undrop(indices)
        for i in indices.tolist():
            del self.dropped[i]

    def tell(self, indices: np.ndarray) -> None:
        labels = self.rng.integers(0, 4, len(indices))
        self.pool.tell(indices, labels)
        self.truth.update(zip(indices.tolist(), labels.tolist(), strict=True))

    @invariant()
    def labelled_unlabelled_and_dropped_are_the_training_set(self) -> None:
        if not hasattr(self, "pool"):
            return
        labelled, unlabelled = self.pool.labelled.tolist(), self.pool.unlabelled.tolist()
        assert sorted([*labelled, *unlabelled, *self.pool.dropped]) == self.train.tolist(), "each is one of the three"
        assert labelled == sorted(self.truth)
        assert self.pool.labels.tolist() == [self.truth[i] for i in labelled]
        assert self.pool.dropped == self.dropped
        assert self.pool.asked.tolist() == self.pending() and self.pool.free.tolist() == self.free()


AskAndTell.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
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


def test_what_cannot_be_taken_back_changes_nothing() -> None:
    pool = make()
    pool.ask(2, first)
    pool.tell(np.array([1]), np.array([2]))
    pool.drop(np.array([9]), "unreadable")
    for refused, message in [
        (lambda: pool.unask(np.array([3, 5])), "image 5 was not asked for"),
        (lambda: pool.unask(np.array([3, 1])), "image 1 is labelled; untell it first"),
        (lambda: pool.untell(np.array([1, 3])), "image 3 is not labelled"),
        (lambda: pool.drop(np.array([3, 1]), "lost"), "image 1 is labelled; untell it first"),
        (lambda: pool.drop(np.array([3, 9]), "lost"), "image 9 is dropped already"),
        (lambda: pool.drop(np.array([3, 0]), "lost"), "image 0 is not in the training set"),
        (lambda: pool.drop(np.array([3]), ""), "for a reason"),
        (lambda: pool.undrop(np.array([9, 3])), "image 3 is not dropped"),
        (lambda: pool.tell(np.array([3, 9]), np.array([0, 0])), "image 9 is dropped; undrop it first"),
        (lambda: pool.ask(1, lambda candidates, n: np.array([3]), again=True), "not in the pool"),
    ]:
        with pytest.raises(ValueError, match=message):
            refused()
        assert pool.labelled.tolist() == [1] and pool.labels.tolist() == [2] and pool.asked.tolist() == [3]
        assert pool.unlabelled.tolist() == [3, 5, 7] and pool.dropped == {9: "unreadable"}


def test_what_is_taken_back_is_as_it_was_before() -> None:
    pool = make()
    pool.ask(2, first)
    pool.tell(np.array([1]), np.array([2]))
    pool.untell(np.array([1]))
    assert pool.asked.tolist() == [1, 3], "the reader still has it"
    pool.drop(np.array([1]), "lost")
    assert pool.ask(5, first).tolist() == [5, 7, 9]
    pool.undrop(np.array([1]))
    pool.unask(np.array([1, 7]))
    assert pool.ask(5, first).tolist() == [1, 7]


@pytest.mark.parametrize("train", [[1, 1], [10], [-1], [0.5]])
def test_a_training_set_that_is_none(train: list) -> None:
    with pytest.raises(ValueError):
        Pool(10, np.array(train))
