"""The counts of a budget: at the start, in each round, and what a training set cannot give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_cxr.config import Budget
from al_cxr.core.errors import UserError
from al_cxr.strategies.budget import query_size, seed_set, seed_size, shortfalls


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
