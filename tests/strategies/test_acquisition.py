"""What the batch, diverse, balanced and targeted strategies choose: closed forms, brute force and scikit-activeml."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from skactiveml.pool import TypiClust, batch_bald, k_greedy_center
from test_strategies import from_passes, pick, some

from al_cxr.strategies.balanced import in_turn
from al_cxr.strategies.batch import CONFIGURATIONS, add, block, gains, prior
from al_cxr.strategies.diverse import CANDIDATES, gradients
from al_cxr.strategies.power import power_noise
from al_cxr.strategies.spread import euclidean, k_centre, k_means_seeds, nearest
from al_cxr.strategies.statistics import PoolStatistics, entropy


def positions(statistics: PoolStatistics, indices: np.ndarray) -> np.ndarray:
    return np.searchsorted(statistics.index_N, indices)


def of_probs(probs_NC: np.ndarray, **fields: object) -> PoolStatistics:
    return PoolStatistics(index_N=np.arange(len(probs_NC)), probs_NC=probs_NC, **fields)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------- targeted
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


# ---------------------------------------------------------------------------------------------------------------- power
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


# ----------------------------------------------------------------------------------------------------------- batch_bald
def joint_information(probs_mTC: np.ndarray) -> float:
    """I(labels; pass) in nats by counting every configuration."""
    count, passes, classes = probs_mTC.shape
    configurations = list(itertools.product(range(classes), repeat=count))
    joint = np.array([[np.prod(probs_mTC[range(count), t, c]) for c in configurations] for t in range(passes)])
    return float(entropy(joint.mean(axis=0)) - entropy(joint).mean())


def sharp(n: int, passes: int, classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.4), size=(n, passes))


@pytest.mark.parametrize("seed", range(4))
def test_batch_bald_is_the_greedy_by_brute_force(seed: int) -> None:
    probs = sharp(7, 5, 3, seed)
    got = block(probs, 4, np.random.default_rng(0))
    want: list[int] = []
    while len(want) < len(got):
        rest = [i for i in range(7) if i not in want]
        want.append(max(rest, key=lambda i: joint_information(probs[[*want, i]])))
    assert got == want and len(got) >= 3

    joint, told = prior(5), 0.0
    for i in got:
        told += gains(joint, probs[[i]])[0]
        joint = add(joint, probs[i], np.random.default_rng(0))
    assert told == pytest.approx(joint_information(probs[got]))


def test_images_of_a_low_bound_are_looked_at_where_they_may_win() -> None:
    best = sharp(40, 6, 3)[[int(gains(prior(6), sharp(40, 6, 3)).argmax())]]
    probs = np.concatenate([np.repeat(best, 150, axis=0), 0.5 * sharp(60, 6, 3, 1) + 0.5 / 3])
    joint, want = prior(6), []
    for _ in range(5):
        told = gains(joint, probs)
        told[want] = -1
        want.append(int(told.argmax()))
        joint = add(joint, probs[want[-1]], np.random.default_rng(0))
    got = block(probs, 5, np.random.default_rng(0))
    kinds = [[0 if i < 150 else i for i in batch] for batch in (got, want)]
    assert kinds[0] == kinds[1] and max(got) >= 150, "not only copies of the first"


def test_batch_bald_agrees_with_scikit_activeml() -> None:
    probs = sharp(30, 8, 3, 5)
    utilities = batch_bald(probs.transpose(1, 0, 2), batch_size=4, n_MC_samples=10_000, random_state=0, eps=1e-12)
    joint, told = prior(8), 0.0
    for step, chosen in enumerate(block(probs, 4, np.random.default_rng(0))):
        mine = told + gains(joint, probs)
        free = ~np.isnan(utilities[step])
        np.testing.assert_allclose(mine[free], utilities[step][free], atol=1e-8)
        assert chosen == np.nanargmax(utilities[step])
        told = mine[chosen]
        joint = add(joint, probs[chosen], np.random.default_rng(0))


def test_drawn_configurations_estimate_the_exact_information() -> None:
    probs, batch = sharp(12, 6, 3, 2), [0, 1, 2, 3]
    estimates = []
    for seed in range(40):
        rng, joint = np.random.default_rng(seed), prior(6)
        for i in batch:
            joint = add(joint, probs[i], rng, most=50)  # enumerated for 3 images, drawn from the 4th on
        assert len(joint[0]) <= 50
        estimates.append(gains(joint, probs[4:]))
    exact = [joint_information(probs[[*batch, i]]) - joint_information(probs[batch]) for i in range(4, 12)]
    error = np.std(estimates, axis=0, ddof=1) / np.sqrt(len(estimates))
    assert (np.abs(np.mean(estimates, axis=0) - exact) < 5 * error + 1e-9).all()
    assert (error < 0.1 * np.array(exact)).all()


def test_batch_bald_takes_no_copies_where_bald_does() -> None:
    rng = np.random.default_rng(0)
    best, other = np.array([0.99, 0.01] * 4), rng.permutation([0.9] * 4 + [0.1] * 4)
    yes_NT = np.array([best] * 6 + [other] * 6)
    statistics = from_passes(np.stack([yes_NT, 1 - yes_NT], axis=2), np.arange(12), np.zeros((12, 1)))
    assert (pick("bald", statistics, 2).indices < 6).all()
    assert sorted(pick("batch_bald", statistics, 2).indices // 6) == [0, 1]


def test_a_saturated_block_ends_and_another_begins() -> None:
    # Four passes, each sure of itself; two of these images tell the passes apart, and nothing is left to learn.
    yes_NT = np.array([[1, 1, 0, 0], [1, 0, 1, 0]] * 5, np.float64)
    probs = np.stack([yes_NT, 1 - yes_NT], axis=2)
    assert sorted(i % 2 for i in block(probs, 10, np.random.default_rng(0))) == [0, 1]
    chosen = pick("batch_bald", from_passes(probs, np.arange(10), np.zeros((10, 1))), 6).indices
    assert [sorted(pair % 2) for pair in chosen.reshape(3, 2)] == [[0, 1]] * 3


def test_batch_bald_of_hundreds() -> None:
    logits = np.random.default_rng(0).normal(size=(600, 1, 3)) + np.random.default_rng(1).normal(size=(600, 10, 3))
    probs = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    statistics = from_passes(probs, np.arange(600), np.zeros((600, 1)))
    chosen = pick("batch_bald", statistics, 120).indices
    assert len(set(chosen.tolist())) == 120
    assert 3 ** len(block(probs, 120, np.random.default_rng(0))) > CONFIGURATIONS, "most of it by drawn configurations"
    assert statistics.mutual_information_N is not None
    assert chosen[0] == statistics.mutual_information_N.argmax(), "the first is BALD's"


# ------------------------------------------------------------------------------------------------------------- balanced
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


# --------------------------------------------------------------------------------------------------------------- spread
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
    points = np.random.default_rng(0).normal(3, 1, size=(50, 6)).astype(np.float32)
    points[10] = points[40]
    want = cdist(points.astype(np.float64), points.astype(np.float64)) ** 2
    distance = euclidean(points)
    np.testing.assert_allclose([distance(i) for i in range(50)], want, rtol=1e-3, atol=1e-4)
    assert distance(10)[40] == 0 and distance(7)[7] == 0
    np.testing.assert_allclose(nearest(points, points[:20]), want[:, :20].min(axis=1), rtol=1e-3, atol=1e-4)
    many = np.random.default_rng(1).normal(3, 1, size=(600, 6)).astype(np.float32)
    np.testing.assert_allclose(nearest(points, many), cdist(points, many).min(axis=1) ** 2, rtol=1e-3, atol=1e-4)
    assert np.isinf(nearest(points, None)).all() and np.isinf(nearest(points, points[:0])).all()
    last = k_centre(distance, np.full(50, np.inf), 50, np.random.default_rng(0))[0][-1]
    assert last in (10, 40), "a copy comes last"


def test_k_means_seeds_are_drawn_by_weight_and_squared_distance() -> None:
    points = np.array([[0.0], [1.0], [2.0], [3.0]])
    weights = np.array([5.0, 4.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    second = [k_means_seeds(euclidean(points), 0, 2, rng, weights)[1] for _ in range(3000)]
    want = weights * [0, 1, 4, 9]
    assert np.abs(np.bincount(second, minlength=4) / 3000 - want / want.sum()).max() < 5 * np.sqrt(0.25 / 3000)


def test_badge_works_in_the_space_of_gradients() -> None:
    statistics = some(50, features=5)
    probs, features = statistics.probs_NC, statistics.features_NK
    assert probs is not None and features is not None
    embedding = ((probs - np.eye(3)[probs.argmax(axis=1)])[:, :, None] * features[:, None, :]).reshape(50, -1)
    distance, norms = gradients(probs, features)
    np.testing.assert_allclose(norms, (embedding**2).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose([distance(i) for i in range(50)], cdist(embedding, embedding) ** 2, rtol=1e-3, atol=1e-4)
    for seed in range(5):
        assert positions(statistics, pick("badge", statistics, 4, seed).indices)[0] == norms.argmax()
    assert len({tuple(pick("badge", statistics, 4, seed).indices) for seed in range(5)}) > 1


@pytest.mark.parametrize(("name", "plain"), [("margin_diverse", "margin"), ("target_diverse", "target_margin")])
def test_diverse_strategies_choose_among_the_uncertain(name: str, plain: str) -> None:
    statistics = some(100)
    uncertain = set(pick(plain, statistics, CANDIDATES * 10).indices.tolist())
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


# ------------------------------------------------------------------------------------------------------------ typiclust
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
