"""What BatchBALD chooses: brute force and scikit-activeml."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pools import from_passes, pick
from skactiveml.pool import batch_bald

from al_cxr import strategies
from al_cxr.strategies.batch import Joint, add, block, gains, prior
from al_cxr.strategies.statistics import entropy

OPTIONS = strategies.get("batch_bald").defaults
CONFIGURATIONS, SATURATED = OPTIONS["configurations"], OPTIONS["saturated"]


def greedy(probs: np.ndarray, n: int) -> list[int]:
    return block(probs, n, np.random.default_rng(0), CONFIGURATIONS, SATURATED)


def added(joint: Joint, probs: np.ndarray) -> Joint:
    return add(joint, probs, np.random.default_rng(0), CONFIGURATIONS)


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
    got = greedy(probs, 4)
    want: list[int] = []
    while len(want) < len(got):
        rest = [i for i in range(7) if i not in want]
        want.append(max(rest, key=lambda i: joint_information(probs[[*want, i]])))
    assert got == want and len(got) >= 3

    joint, told = prior(5), 0.0
    for i in got:
        told += gains(joint, probs[[i]])[0]
        joint = added(joint, probs[i])
    assert told == pytest.approx(joint_information(probs[got]))


def test_images_of_a_low_bound_are_looked_at_where_they_may_win() -> None:
    best = sharp(40, 6, 3)[[int(gains(prior(6), sharp(40, 6, 3)).argmax())]]
    probs = np.concatenate([np.repeat(best, 150, axis=0), 0.5 * sharp(60, 6, 3, 1) + 0.5 / 3])
    joint, want = prior(6), []
    for _ in range(5):
        told = gains(joint, probs)
        told[want] = -1
        want.append(int(told.argmax()))
        joint = added(joint, probs[want[-1]])
    got = greedy(probs, 5)
    kinds = [[0 if i < 150 else i for i in batch] for batch in (got, want)]
    assert kinds[0] == kinds[1] and max(got) >= 150, "not only copies of the first"


def test_batch_bald_agrees_with_scikit_activeml() -> None:
    probs = sharp(30, 8, 3, 5)
    utilities = batch_bald(probs.transpose(1, 0, 2), batch_size=4, n_MC_samples=10_000, random_state=0, eps=1e-12)
    joint, told = prior(8), 0.0
    for step, chosen in enumerate(greedy(probs, 4)):
        mine = told + gains(joint, probs)
        free = ~np.isnan(utilities[step])
        np.testing.assert_allclose(mine[free], utilities[step][free], atol=1e-8)
        assert chosen == np.nanargmax(utilities[step])
        told = mine[chosen]
        joint = added(joint, probs[chosen])


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
    assert sorted(i % 2 for i in greedy(probs, 10)) == [0, 1]
    chosen = pick("batch_bald", from_passes(probs, np.arange(10), np.zeros((10, 1))), 6).indices
    assert [sorted(pair % 2) for pair in chosen.reshape(3, 2)] == [[0, 1]] * 3


def test_batch_bald_of_hundreds() -> None:
    logits = np.random.default_rng(0).normal(size=(600, 1, 3)) + np.random.default_rng(1).normal(size=(600, 10, 3))
    probs = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    statistics = from_passes(probs, np.arange(600), np.zeros((600, 1)))
    chosen = pick("batch_bald", statistics, 120).indices
    assert len(set(chosen.tolist())) == 120
    assert 3 ** len(greedy(probs, 120)) > CONFIGURATIONS, "most of it by drawn configurations"
    assert statistics.mutual_information_N is not None
    assert chosen[0] == statistics.mutual_information_N.argmax(), "the first is BALD's"


def test_options_of_batch_bald() -> None:
    probs = sharp(40, 6, 3)
    statistics = from_passes(probs, np.arange(40), np.zeros((40, 1)))

    def chosen(**options: float) -> list[int]:
        return strategies.select("batch_bald", statistics, 6, np.random.default_rng(0), **options).indices.tolist()

    assert sorted(chosen(candidates=1)) == sorted(pick("bald", statistics, 6).indices.tolist())
    assert chosen(saturated=1) == pick("bald", statistics, 6).indices.tolist(), "blocks of one image each"
    assert chosen(saturated=0) == greedy(probs, 6)
    assert chosen(configurations=2, saturated=0) != chosen(saturated=0), "two drawn configurations are a guess"
