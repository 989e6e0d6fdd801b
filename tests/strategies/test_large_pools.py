"""In large pools fewer distances are computed, and the same is chosen: the plain way and the other on one pool."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from pools import from_passes, pick, positions, some

from al_cxr.strategies import PoolStatistics, batch, lazy_spread, select, spread
from al_cxr.strategies.points import Points, centred, nearest
from al_cxr.strategies.statistics import sum_of_few


def clustered(n: int, features: int, seed: int = 0) -> np.ndarray:
    """Points of thirty kinds whose directions differ in spread, as features of a network do, float32."""
    rng = np.random.default_rng(seed)
    spread_K = 1 / np.sqrt(1 + np.arange(features))
    kinds = rng.normal(size=(30, features))[rng.integers(30, size=n)]
    return ((kinds + 0.7 * rng.normal(size=(n, features))) * spread_K).astype(np.float32)


@pytest.fixture
def all_pools_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "LARGE", 0)
    monkeypatch.setattr(batch, "LARGE", 0)


@pytest.mark.parametrize("labelled", [0, 40, 700])
@pytest.mark.parametrize("features", [3, 200])
def test_k_centre_chooses_the_same_images_at_the_same_distances(labelled: int, features: int) -> None:
    of = [clustered(count, features, seed).astype(np.float64) for seed, count in enumerate((1500, labelled))]
    points, covered = centred(*of)
    plain = spread.k_centre(points, covered, 400, np.random.default_rng(0))
    lazy = lazy_spread.k_centre(points, covered, 400, np.random.default_rng(0))
    assert lazy[0].tolist() == plain[0].tolist()
    np.testing.assert_allclose(lazy[1], plain[1], rtol=1e-4)


def test_k_centre_computes_a_part_of_the_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    points, _ = centred(clustered(3000, 200))
    computed, between = [0], Points.between

    def counted(mine: Points, others: Points) -> np.ndarray:
        computed[0] += len(mine) * len(others) if mine.factors[0].shape[1] == 200 else 0
        return between(mine, others)

    monkeypatch.setattr(Points, "between", counted)
    lazy_spread.k_centre(points, None, 300, np.random.default_rng(0))
    assert 0 < computed[0] < 0.5 * 3000 * 300


def test_k_centre_takes_a_whole_pool_and_copies_last() -> None:
    points, _ = centred(np.repeat(clustered(300, 8), 4, axis=0))
    chosen, radii = lazy_spread.k_centre(points, None, 1200, np.random.default_rng(0))
    assert sorted(chosen) == list(range(1200)) and (np.diff(radii) <= 1e-6).all()
    assert len(set(chosen[:300] // 4)) == 300 and (radii[300:] == 0).all()


def test_k_centre_starts_anywhere_where_all_is_equal() -> None:
    points = Points((np.ones((900, 5), np.float32),))
    starts = [lazy_spread.k_centre(points, None, 3, np.random.default_rng(seed))[0] for seed in range(20)]
    assert len({tuple(chosen.tolist()) for chosen in starts}) == 20


def test_k_means_seeds_are_drawn_by_weight_and_squared_distance_here_too() -> None:
    points = Points((np.array([[0.0], [1.0], [2.0], [3.0]]),))
    weights = np.array([5.0, 4.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    drawn = np.array([lazy_spread.k_means_seeds(points, 0, 3, rng, weights)[1:] for _ in range(3000)])
    second = weights * [0, 1, 4, 9] / 17
    want = np.zeros((4, 4))
    for i, distances in {1: [0, 0, 1, 4], 2: [0, 1, 0, 1], 3: [0, 1, 1, 0]}.items():
        third = weights * distances
        want[i] = second[i] * third / third.sum()
    seen = np.zeros((4, 4))
    np.add.at(seen, (drawn[:, 0], drawn[:, 1]), 1 / 3000)
    assert np.abs(seen - want).max() < 5 * np.sqrt(0.25 / 3000)


def test_k_means_seeds_cover_as_well_as_the_plain_ones() -> None:
    points, _ = centred(clustered(2000, 100))
    ways = (spread.k_means_seeds, lazy_spread.k_means_seeds)
    left = np.array(
        [
            [nearest(points, points.take(seeds(points, 0, 200, np.random.default_rng(s)))).sum() for s in range(12)]
            for seeds in ways
        ]
    )
    error = np.sqrt(left.var(axis=1, ddof=1).sum() / 12)
    assert abs(left[0].mean() - left[1].mean()) < 5 * error
    assert left.max() < nearest(points, points.take(np.arange(100))).sum()


def test_k_means_seeds_of_copies_are_a_whole_pool() -> None:
    points = Points((np.repeat(np.eye(3), 200, axis=0),))
    chosen = lazy_spread.k_means_seeds(points, 0, 600, np.random.default_rng(0))
    assert sorted(chosen) == list(range(600)) and sorted(chosen[:3] // 200) == [0, 1, 2]


@pytest.mark.usefixtures("all_pools_are_large")
@pytest.mark.parametrize("name", ["coreset", "badge", "margin_diverse", "target_diverse", "batch_bald"])
def test_strategies_keep_their_contract_in_large_pools(name: str) -> None:
    statistics = some(400, labelled=7)
    got = pick(name, statistics, 60)
    assert len(set(got.indices.tolist())) == 60
    shuffled = statistics.take(np.random.default_rng(5).permutation(400))
    assert pick(name, shuffled, 60).indices.tolist() == got.indices.tolist(), "whatever the order of the pool"
    assert sorted(pick(name, statistics, 400).indices) == sorted(statistics.index_N)


@pytest.mark.usefixtures("all_pools_are_large")
def test_badge_begins_with_the_longest_gradient_and_covers_copies_once() -> None:
    statistics = some(40, equal=True)
    kinds = dataclasses.replace(statistics, features_NK=np.repeat(np.eye(4, dtype=np.float32), 10, axis=0))
    for seed in range(5):
        assert sorted(positions(kinds, pick("badge", kinds, 4, seed).indices) // 10) == [0, 1, 2, 3]


def votes(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    probs = np.exp(2 * rng.normal(size=(n, 1, 3)) + rng.normal(size=(n, 20, 3)))
    return probs / probs.sum(axis=2, keepdims=True)


def test_a_block_of_batch_bald_is_the_same_in_float32() -> None:
    probs = votes(300)
    exact, fast = (batch.block(probs.astype(dtype), 6, np.random.default_rng(0), 729, 0) for dtype in (float, "f4"))
    assert exact == fast
    joint = batch.prior(20, np.float32)
    np.testing.assert_allclose(batch.gains(joint, probs.astype("f4")), batch.gains(batch.prior(20), probs), atol=1e-5)


def test_batch_bald_of_a_window_tells_nearly_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    probs = votes(2000)
    statistics = from_passes(probs, np.arange(2000), np.zeros((2000, 1)))

    def told(batch_: np.ndarray) -> float:
        """Joint information of the first twelve, nats."""
        joint, total = batch.prior(20), 0.0
        for i in batch_[:12]:
            total += batch.gains(joint, probs[[i]])[0]
            joint = batch.add(joint, probs[i], np.random.default_rng(1), 20_000)
        return total

    def chosen(name: str) -> np.ndarray:
        return select(name, statistics, 300, np.random.default_rng(0)).indices

    plain, bald = told(chosen("batch_bald")), told(chosen("bald"))
    monkeypatch.setattr(batch, "LARGE", 1999)
    assert bald < told(chosen("batch_bald")) > 0.995 * plain


def test_a_sorted_pool_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = some(30)
    monkeypatch.setattr(PoolStatistics, "take", None)
    assert len(pick("entropy", statistics, 3).indices) == 3


@pytest.mark.parametrize("classes", [1, 2, 3, 7, 8, 14])
def test_sums_over_few_classes_are_those_of_numpy_to_the_last_bit(classes: int) -> None:
    values = np.random.default_rng(0).random((50, 20, classes))
    assert np.array_equal(sum_of_few(values), values.sum(axis=-1))
    assert np.array_equal(sum_of_few(values.transpose(1, 0, 2)), values.transpose(1, 0, 2).sum(axis=-1))
