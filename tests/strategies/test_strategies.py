"""One template that every registered strategy must pass, and what each of them means."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from al_cxr import strategies
from al_cxr.core.errors import UserError
from al_cxr.strategies import Choice, Selection, Strategy, select, top_n
from al_cxr.strategies.registry import NEEDS
from al_cxr.strategies.statistics import PoolStatistics, entropy

MODAL = [
    "modAL.uncertainty.uncertainty_sampling",
    "modAL.uncertainty.margin_sampling",
    "modAL.uncertainty.entropy_sampling",
    "modAL.uncertainty.classifier_entropy",
    "modAL.uncertainty.classifier_margin",
    "modAL.batch.uncertainty_batch_sampling",
    "modAL.disagreement.vote_entropy_sampling",
    "modAL.disagreement.consensus_entropy_sampling",
    "modAL.disagreement.max_disagreement_sampling",
    "modAL.density.information_density",
    "modAL.uncertainty.classifier_entropy * modAL.density.information_density",
]
EVERY = [*strategies.names(), *MODAL]


def from_passes(probs_NTC: np.ndarray, index_N: np.ndarray, features_NK: np.ndarray) -> PoolStatistics:
    """All statistics, the plain way."""
    mean = probs_NTC.mean(axis=1)
    votes = (probs_NTC.argmax(axis=2)[:, :, None] == np.arange(probs_NTC.shape[2])).sum(axis=1)
    return PoolStatistics(
        index_N=index_N,
        probs_NC=probs_NTC[:, 0],
        mean_probs_NC=mean,
        predictive_entropy_N=entropy(mean),
        expected_entropy_N=entropy(probs_NTC).mean(axis=1),
        mutual_information_N=entropy(mean) - entropy(probs_NTC).mean(axis=1),
        variation_ratio_N=1 - votes.max(axis=1) / probs_NTC.shape[1],
        mean_std_N=probs_NTC.std(axis=1).mean(axis=1),
        pass_probs_NTC=probs_NTC.astype(np.float32),
        features_NK=features_NK.astype(np.float32),
        passes=probs_NTC.shape[1],
    )


def some(
    n: int = 40, classes: int = 3, seed: int = 0, equal: bool = False, labelled: int = 0, features: int = 4
) -> PoolStatistics:
    """Statistics of a pool in the middle of an experiment whose target is the last class."""
    rng = np.random.default_rng(seed)
    probs_NTC = rng.dirichlet(np.ones(classes), size=(n, 5))
    features_NK = rng.normal(size=(n, features))
    if equal:
        probs_NTC[:], features_NK[:] = probs_NTC[:1], features_NK[:1]
    statistics = from_passes(probs_NTC, np.sort(rng.choice(10 * n, n, replace=False)), features_NK)
    return dataclasses.replace(
        statistics,
        labelled_features_MK=rng.normal(size=(labelled, features)).astype(np.float32) if labelled else None,
        labelled_labels_M=rng.integers(classes, size=labelled) if labelled else None,
        target=classes - 1,
        round=1,
        rounds=5,
    )


def pick(name: str, statistics: PoolStatistics, n: int, seed: int = 0) -> Selection:
    return select(name, statistics, n, np.random.default_rng(seed))


# ------------------------------------------------------------------------------------------------------------- template
# Each of these runs over whatever is registered, so a new strategy is tested by being there.
@pytest.mark.parametrize("labelled", [0, 7])
@pytest.mark.parametrize("name", EVERY)
def test_template(name: str, labelled: int) -> None:
    statistics = some(labelled=labelled)
    got = pick(name, statistics, 10)
    assert got.indices.shape == (10,) and got.indices.dtype == np.int64
    assert len(set(got.indices.tolist())) == 10
    assert set(got.indices.tolist()) <= set(statistics.index_N.tolist())
    if got.scores is not None:
        assert np.isfinite(got.scores).all() and got.scores.shape == (10,)
        assert name.startswith("modAL.batch.") or (np.diff(got.scores) <= 0).all()
        assert got.unit

    again = pick(name, statistics, 10)
    assert again.indices.tolist() == got.indices.tolist(), "seeded"

    shuffled = statistics.take(np.random.default_rng(3).permutation(len(statistics)))
    assert pick(name, shuffled, 10).indices.tolist() == got.indices.tolist(), "free of the pool's order"

    everything = pick(name, statistics, 1000)
    assert sorted(everything.indices.tolist()) == statistics.index_N.tolist(), "n larger than the pool"
    assert len(pick(name, statistics, 1).indices) == 1
    assert len(pick(name, statistics, 0).indices) == 0
    assert pick(name, statistics.take(np.array([7])), 3).indices.tolist() == [statistics.index_N[7]]


@pytest.mark.parametrize("name", EVERY)
def test_template_all_chance_is_from_the_generator(name: str) -> None:
    statistics, np_state = some(labelled=7), np.random.get_state()[1].tolist()
    arrays_before = {field: array.copy() for field, array in statistics.per_image().items()}
    pick(name, statistics, 10)
    assert np.random.get_state()[1].tolist() == np_state, "not from numpy's global state"
    for field, array in statistics.per_image().items():
        np.testing.assert_array_equal(array, arrays_before[field], f"{field} was written to")


@pytest.mark.parametrize("labelled", [0, 7])
@pytest.mark.parametrize("name", EVERY)
def test_template_ties_are_broken_by_the_seed(name: str, labelled: int) -> None:
    statistics = some(equal=True, labelled=labelled)
    chosen = [tuple(sorted(pick(name, statistics, 5, seed).indices.tolist())) for seed in range(12)]
    assert len(set(chosen)) > 6
    assert chosen[0] == tuple(sorted(pick(name, statistics, 5, 0).indices.tolist()))
    assert len({i for batch in chosen for i in batch}) > 20, "no part of the pool is favoured"


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("name", EVERY)
def test_template_few_classes(name: str, classes: int) -> None:
    for statistics in (some(classes=classes), some(classes=classes, labelled=7)):
        got = pick(name, statistics, 6)
        assert len(set(got.indices.tolist())) == 6
        assert got.scores is None or np.isfinite(got.scores).all()


@pytest.mark.parametrize("name", EVERY)
def test_template_certain_images_and_features_without_spread(name: str) -> None:
    statistics = some(labelled=7)
    assert statistics.features_NK is not None
    sure = from_passes(np.tile(np.eye(3)[0], (40, 5, 1)), statistics.index_N, np.zeros((40, 4)))
    sure = dataclasses.replace(sure, target=0, labelled_features_MK=np.zeros((7, 4), np.float32), rounds=5)
    flat = dataclasses.replace(statistics, features_NK=np.ones_like(statistics.features_NK))
    for odd in (sure, flat):
        got = pick(name, odd, 12)
        assert len(set(got.indices.tolist())) == 12
        assert got.scores is None or np.isfinite(got.scores).all()


@pytest.mark.parametrize("name", EVERY)
def test_template_rejects_nan_and_what_is_missing(name: str) -> None:
    needs = strategies.get(name).needs
    assert needs <= NEEDS.keys()
    for field in [f for need in needs for f in NEEDS[need]]:
        statistics = some()
        getattr(statistics, field)[3] = np.nan
        with pytest.raises(UserError, match=rf"1 of 40 images have a {field} that is no finite number"):
            pick(name, statistics, 5)
    bare = PoolStatistics(index_N=np.arange(5))
    if needs:
        with pytest.raises(ValueError, match="was not computed"):
            pick(name, bare, 2)
    else:
        assert len(pick(name, bare, 2).indices) == 2, "touches no pixel"


# ------------------------------------------------------------------------------------------------------- what they mean
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


# ----------------------------------------------------------------------------------------------------- top_n and select
@given(
    arrays(np.float64, st.integers(0, 30), elements=st.sampled_from([-np.inf, -1.0, 0.0, -0.0, 0.5, 1.0])),
    st.integers(0, 35),
    st.integers(0, 2**32),
)
def test_top_n_is_a_sort(scores_N: np.ndarray, n: int, seed: int) -> None:
    got = top_n(scores_N, n, np.random.default_rng(seed))
    assert len(set(got.tolist())) == len(got) == min(n, len(scores_N))
    np.testing.assert_array_equal(scores_N[got], np.sort(scores_N)[::-1][:n])


def test_top_n_breaks_ties_evenly_and_refuses_nan() -> None:
    scores = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    second = np.bincount([top_n(scores, 2, np.random.default_rng(s))[1] for s in range(2000)], minlength=5)
    assert second[0] == 0 and np.abs(second[1:] - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        top_n(np.array([0.0, np.nan]), 1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(np.array([0, 0]), None, ""), "an image twice"),
        (Choice(np.array([0]), None, ""), "not 2 positions"),
        (Choice(np.array([0, 40]), None, ""), "outside the pool"),
        (Choice(np.array([-1, 0]), None, ""), "outside the pool"),
        (Choice(np.array([0.0, 1.0]), None, ""), "not 2 positions"),
        (Choice(np.array([0, 1]), np.array([1.0, np.nan]), ""), "not 2 finite numbers"),
        (Choice(np.array([0, 1]), np.array([1.0]), ""), "not 2 finite numbers"),
    ],
)
def test_a_strategy_that_breaks_its_contract(choice: Choice, message: str) -> None:
    broken = Strategy("broken", lambda statistics, n, rng: choice, frozenset())
    with pytest.raises(ValueError, match=message):
        select(broken, some(), 2, np.random.default_rng(0))


def test_select_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="cannot select -1"):
        pick("random", some(), -1)
    with pytest.raises(ValueError, match="twice in the pool"):
        pick("random", PoolStatistics(index_N=np.array([3, 4, 3])), 1)


def test_names() -> None:
    with pytest.raises(UserError, match="did you mean 'mc_entropy'"):
        strategies.get("mc_entropie")
    with pytest.raises(UserError, match=r"known: \w+, .*\bbald, .*modAL\.uncertainty"):
        strategies.get("")
    with pytest.raises(ValueError, match="registered already"):
        strategies.strategy("random")
    with pytest.raises(ValueError, match="needs"):
        strategies.strategy("new", needs={"probs", "pixels"})
    with pytest.raises(ValueError, match=r"an ensemble and \['mc'\]"):
        strategies.strategy("new", needs={"ensemble", "mc"})


def test_strategies_know_no_torch_and_modal_only_when_named() -> None:
    code = (
        "import sys, al_cxr.strategies as s\n"
        "assert not {'torch', 'modAL'} & sys.modules.keys()\n"
        "s.get('modAL.uncertainty.margin_sampling')\n"
        "assert 'modAL' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
