"""Pools for the tests of strategies."""

from __future__ import annotations

import dataclasses

import numpy as np

from al_cxr.strategies import PoolStatistics, Selection, select
from al_cxr.strategies.statistics import entropy


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


def positions(statistics: PoolStatistics, indices: np.ndarray) -> np.ndarray:
    return np.searchsorted(statistics.index_N, indices)


def of_probs(probs_NC: np.ndarray, **fields: object) -> PoolStatistics:
    return PoolStatistics(index_N=np.arange(len(probs_NC)), probs_NC=probs_NC, **fields)  # type: ignore[arg-type]
