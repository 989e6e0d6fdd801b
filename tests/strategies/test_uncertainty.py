"""What chance, the plain uncertainties and those about the target class choose."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import of_probs, pick, positions, some

from al_cxr.strategies import PoolStatistics
from al_cxr.strategies.statistics import entropy


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("target_margin", lambda s: 1 - np.abs(s.probs_NC[:, 2] - s.probs_NC[:, :2].max(axis=1))),
        ("target_entropy", lambda s: entropy(np.stack([s.probs_NC[:, 2], 1 - s.probs_NC[:, 2]], 1))),
        ("mc_target_entropy", lambda s: entropy(np.stack([s.mean_probs_NC[:, 2], 1 - s.mean_probs_NC[:, 2]], 1))),
        ("entropy", lambda s: entropy(s.probs_NC)),
        ("margin", lambda s: 1 - np.diff(np.sort(s.probs_NC, axis=1)[:, -2:], axis=1)[:, 0]),
        ("least_confident", lambda s: 1 - s.probs_NC.max(axis=1)),
        ("mc_entropy", lambda s: s.predictive_entropy_N),
        ("bald", lambda s: s.mutual_information_N),
        ("variation_ratio", lambda s: s.variation_ratio_N),
        ("mean_std", lambda s: s.mean_std_N),
        ("ensemble_entropy", lambda s: s.predictive_entropy_N),
        ("ensemble_bald", lambda s: s.mutual_information_N),
    ],
)
def test_the_largest_scores_are_taken(name: str, score: Callable[[PoolStatistics], np.ndarray]) -> None:
    statistics = some(200)
    want = np.sort(score(statistics))[::-1][:20]
    got = pick(name, statistics, 20)
    np.testing.assert_allclose(got.scores, want)
    at = np.searchsorted(statistics.index_N, got.indices)
    np.testing.assert_allclose(score(statistics)[at], got.scores)


def test_margin_prefers_the_undecided() -> None:
    probs = np.array([[0.9, 0.1, 0.0], [0.5, 0.49, 0.01], [0.4, 0.35, 0.25]])
    statistics = PoolStatistics(index_N=np.array([10, 20, 30]), probs_NC=probs)
    assert pick("margin", statistics, 2).indices.tolist() == [20, 30]
    assert pick("entropy", statistics, 2).indices.tolist() == [30, 20]


def test_random_is_uniform() -> None:
    statistics = PoolStatistics(index_N=np.arange(10))
    counts = np.bincount(np.concatenate([pick("random", statistics, 3, s).indices for s in range(2000)]), minlength=10)
    assert np.abs(counts - 600).max() < 5 * np.sqrt(2000 * 0.3 * 0.7)


def test_target_margin_looks_at_the_target_only() -> None:
    probs = np.array([[0.50, 0.49, 0.01], [0.40, 0.20, 0.40], [0.05, 0.35, 0.60], [0.1, 0.1, 0.8]])
    statistics = of_probs(probs, target=2)
    got = pick("target_margin", statistics, 4)
    assert got.indices.tolist() == [1, 2, 0, 3]
    np.testing.assert_allclose(got.scores, [1.0, 0.75, 0.51, 0.3])
    assert pick("margin", statistics, 2).indices.tolist() == [1, 0], "the plain margin asks about the other two"


def test_target_entropy_is_largest_at_a_half() -> None:
    probs = np.array([[0.34, 0.33, 0.33], [0.25, 0.25, 0.5], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    got = pick("target_entropy", of_probs(probs, target=2), 4)
    assert got.indices[:2].tolist() == [1, 0]
    np.testing.assert_allclose(got.scores, [np.log(2), entropy(np.array([0.33, 0.67])), 0, 0], atol=1e-12)


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize(
    ("targeted", "plain"),
    [
        ("target_margin", "margin"),
        ("target_entropy", "entropy"),
        ("mc_target_entropy", "mc_entropy"),
        ("mc_target_bald", "bald"),
    ],
)
def test_with_two_classes_a_targeted_strategy_is_its_plain_one(targeted: str, plain: str, target: int) -> None:
    statistics = dataclasses.replace(some(classes=2), target=target)
    mine, other = pick(targeted, statistics, 10), pick(plain, statistics, 10)
    assert mine.indices.tolist() == other.indices.tolist()
    np.testing.assert_allclose(mine.scores, other.scores, atol=1e-6)


@given(st.integers(0, 2**32), st.integers(0, 3))
def test_the_question_about_the_target_tells_no_more_than_the_label(seed: int, target: int) -> None:
    statistics = dataclasses.replace(some(classes=4, seed=seed), target=target)
    got = pick("mc_target_bald", statistics, 40)
    assert statistics.mutual_information_N is not None and got.scores is not None
    assert (got.scores <= statistics.mutual_information_N[positions(statistics, got.indices)] + 1e-6).all()
    assert (got.scores >= 0).all()


@pytest.mark.parametrize("target", [None, 3, -1])
@pytest.mark.parametrize(
    "name", ["target_margin", "target_entropy", "mc_target_entropy", "mc_target_bald", "target_diverse"]
)
def test_a_target_has_to_be_known(name: str, target: int | None) -> None:
    with pytest.raises(ValueError, match="target"):
        pick(name, dataclasses.replace(some(), target=target), 3)
