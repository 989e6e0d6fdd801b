"""What the strategies choose that spread a batch over the features: all distances, and scikit-activeml."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from pools import pick, positions, some
from scipy.spatial.distance import cdist
from skactiveml.pool import TypiClust, k_greedy_center

from al_cxr import strategies
from al_cxr.strategies import PoolStatistics, select
from al_cxr.strategies.diverse import gradients
from al_cxr.strategies.points import Points, centred, nearest
from al_cxr.strategies.spread import k_centre, k_means_seeds


def test_coreset_agrees_with_scikit_activeml_and_with_all_distances() -> None:
    statistics = some(60, labelled=9, features=8)
    assert statistics.features_NK is not None and statistics.labelled_features_MK is not None
    got = pick("coreset", statistics, 15)
    features = np.concatenate([statistics.features_NK, statistics.labelled_features_MK]).astype(np.float64)
    known = np.array([np.nan] * 60 + [0.0] * 9)
    theirs, _ = k_greedy_center(features, known, batch_size=15, random_state=0)
    mine = positions(statistics, got.indices)
    assert mine.tolist() == theirs.tolist()
    for k, i in enumerate(mine):
        covered = np.concatenate([features[60:], features[mine[:k]]])
        distances = cdist(features[:60], covered).min(axis=1)
        assert distances[i] == pytest.approx(distances.max()) == pytest.approx(got.scores[k], rel=1e-4)


def test_coreset_from_nothing_starts_anywhere() -> None:
    statistics = some()
    starts = {int(pick("coreset", statistics, 3, seed).indices[0]) for seed in range(30)}
    assert len(starts) > 10
    assert statistics.features_NK is not None
    got = pick("coreset", statistics, 40)
    assert got.scores is not None and got.scores[0] == got.scores[1]
    apart = cdist(statistics.features_NK, statistics.features_NK)[~np.eye(40, dtype=bool)]
    assert got.scores[-1] == pytest.approx(apart.min(), rel=1e-3), "the two nearest are parted last"


def test_distances_and_copies() -> None:
    raw = np.random.default_rng(0).normal(3, 1, size=(50, 6)).astype(np.float32)
    raw[10] = raw[40]
    want = cdist(raw.astype(np.float64), raw.astype(np.float64)) ** 2
    points, some = centred(raw, raw[:20])
    assert some is not None
    np.testing.assert_allclose([points.to(i) for i in range(50)], want, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(points.between(some), want[:, :20], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        points.take(slice(20)).beside(some.take(slice(None, None, -1))),
        np.diag(want[:20, 19::-1]),
        rtol=1e-3,
        atol=1e-4,
    )
    assert points.to(10)[40] == 0 and points.to(7)[7] == 0
    np.testing.assert_allclose(nearest(points, some), want[:, :20].min(axis=1), rtol=1e-3, atol=1e-4)
    many = np.random.default_rng(1).normal(3, 1, size=(600, 6)).astype(np.float32)
    np.testing.assert_allclose(nearest(*centred(raw, many)), cdist(raw, many).min(axis=1) ** 2, rtol=1e-3, atol=1e-4)
    assert centred(raw)[1] is None and centred(raw, raw[:0])[1] is None and np.isinf(nearest(points, None)).all()
    last = k_centre(points, None, 50, np.random.default_rng(0))[0][-1]
    assert last in (10, 40), "a copy comes last"


def test_k_means_seeds_are_drawn_by_weight_and_squared_distance() -> None:
    points = Points((np.array([[0.0], [1.0], [2.0], [3.0]]),))
    weights = np.array([5.0, 4.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    second = [k_means_seeds(points, 0, 2, rng, weights)[1] for _ in range(3000)]
    want = weights * [0, 1, 4, 9]
    assert np.abs(np.bincount(second, minlength=4) / 3000 - want / want.sum()).max() < 5 * np.sqrt(0.25 / 3000)


def test_badge_works_in_the_space_of_gradients() -> None:
    statistics = some(50, features=5)
    probs, features = statistics.probs_NC, statistics.features_NK
    assert probs is not None and features is not None
    embedding = ((probs - np.eye(3)[probs.argmax(axis=1)])[:, :, None] * features[:, None, :]).reshape(50, -1)
    points = gradients(probs, features)
    norms = points.norms_N
    want = cdist(embedding, embedding) ** 2
    np.testing.assert_allclose(norms, (embedding**2).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose([points.to(i) for i in range(50)], want, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(points.between(points.take(slice(9))), want[:, :9], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        points.beside(points.take(slice(None, None, -1))), np.diag(want[:, ::-1]), rtol=1e-3, atol=1e-4
    )
    for seed in range(5):
        assert positions(statistics, pick("badge", statistics, 4, seed).indices)[0] == norms.argmax()
    assert len({tuple(pick("badge", statistics, 4, seed).indices) for seed in range(5)}) > 1


@pytest.mark.parametrize(("name", "plain"), [("margin_diverse", "margin"), ("target_diverse", "target_margin")])
def test_diverse_strategies_choose_among_the_uncertain(name: str, plain: str) -> None:
    statistics = some(100)
    uncertain = set(pick(plain, statistics, strategies.get(name).defaults["candidates"] * 10).indices.tolist())
    batches = [pick(name, statistics, 10, seed).indices.tolist() for seed in range(10)]
    assert all(set(batch) <= uncertain for batch in batches)
    best = pick(plain, statistics, 1).indices[0]
    assert all(batch[0] == best for batch in batches)

    # Equally uncertain, four kinds of ten copies: one of each kind.
    statistics = some(40, equal=True)
    kinds = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    copies = dataclasses.replace(statistics, features_NK=kinds)
    for seed in range(5):
        chosen = positions(copies, pick(name, dataclasses.replace(copies), 10, seed).indices)
        assert sorted(set(chosen // 10)) == [0, 1, 2, 3]


def blobs(sizes: list[int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [c + rng.normal(0, 0.03, (size, len(sizes))) for c, size in zip(np.eye(len(sizes)), sizes, strict=True)]
    points = np.concatenate(parts)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def test_typiclust_agrees_with_scikit_activeml() -> None:
    points = blobs([40, 35, 30, 25])
    labelled, pool = points[:1], points[1:]
    statistics = PoolStatistics(index_N=np.arange(129), features_NK=pool, labelled_features_MK=labelled)
    known = np.array([np.nan] * 129 + [0.0])
    theirs = TypiClust(random_state=0, k=20).query(np.concatenate([pool, labelled]), known, batch_size=3)
    assert pick("typiclust", statistics, 3).indices.tolist() == theirs.tolist()
    assert (theirs >= 39).all(), "none from the cluster that has a label"


def test_typiclust_leaves_outliers_for_last_and_goes_round() -> None:
    points = blobs([30, 20, 10, 2])
    kinds = np.repeat([0, 1, 2, 3], [30, 20, 10, 2])
    statistics = PoolStatistics(index_N=np.arange(62), features_NK=points)
    assert kinds[pick("typiclust", statistics, 4).indices].tolist() == [0, 1, 2, 0], "two outliers are no cluster"
    chosen = kinds[pick("typiclust", statistics, 62).indices]
    assert sorted(chosen) == sorted(kinds)


def test_one_candidate_a_place_is_the_plain_margin() -> None:
    statistics = some(100)
    chosen = select("margin_diverse", statistics, 10, np.random.default_rng(0), candidates=1).indices
    assert sorted(chosen) == sorted(pick("margin", statistics, 10).indices)


def test_options_of_typiclust() -> None:
    statistics = PoolStatistics(index_N=np.arange(62), features_NK=blobs([30, 20, 10, 2]))
    kinds = np.repeat([0, 1, 2, 3], [30, 20, 10, 2])
    small = select("typiclust", statistics, 4, np.random.default_rng(0), smallest=1).indices
    assert sorted(kinds[small]) == [0, 1, 2, 3], "two images are a cluster now"
    lone = select("typiclust", statistics, 62, np.random.default_rng(0), clusters=1, neighbours=61).indices
    points = statistics.features_NK
    assert points is not None
    assert lone[0] == cdist(points, points).sum(axis=1).argmin(), "of one cluster the most typical of all"
