"""Selection from N images by every strategy, for `benchmarks/scale.py`.

Features are those of a network in miniature: 200 kinds of unequal size, K = 1280 directions whose spread falls as
1 / sqrt(k), as the principal components of real features do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from al_cxr.strategies import PoolStatistics, get, member_statistics, names, select
from al_cxr.strategies.base import OF_SEVERAL

CLASSES, FEATURES, PASSES = 3, 1280, 20
LIVE = 100
"""Images that are asked for at once in a project with a person."""

Call = Callable[[], object]
"""What is timed; the whole number that it returns, if any, is written beside its seconds."""
Case = Callable[[int, Path], dict[str, Call]]
"""(images, an empty folder) -> calls by what tells them apart."""


def features(images: int, seed: int = 0, count: int = FEATURES) -> np.ndarray:
    """Float32 (N, count)."""
    rng = np.random.default_rng(seed)
    spread_K = (1 / np.sqrt(1 + np.arange(count))).astype(np.float32)
    kinds = rng.standard_normal((200, count), np.float32)
    kind_N = rng.choice(200, images, p=rng.dirichlet(np.ones(200)))
    features_NK = np.empty((images, count), np.float32)
    for start in range(0, images, 4096):
        of = kind_N[start : start + 4096]
        features_NK[start : start + 4096] = kinds[of] + 0.7 * rng.standard_normal((len(of), count), np.float32)
    features_NK *= spread_K
    return features_NK


def statistics(images: int, needs: frozenset[str]) -> PoolStatistics:
    """What a strategy needs of a pool, and of a tenth as many labelled images, at most 1,000."""
    labelled = min(images // 10, 1000)
    count = FEATURES if "features" in needs else 64  # enough for probabilities
    rng, features_NK = np.random.default_rng(1), features(images, count=count)
    weights_KC = rng.standard_normal((count, CLASSES), np.float32)
    found: dict[str, object] = {}
    if needs & {"mc", "votes", "ensemble"}:
        dropped = [weights_KC * 2 * (rng.random((count, 1)) < 0.5) for _ in range(PASSES)]
        probs_NTC = np.stack([_softmax(features_NK @ w.astype(np.float32)) for w in dropped], axis=1)
        of_passes = member_statistics(np.arange(images), probs_NTC.transpose(1, 0, 2))
        found |= {name: getattr(of_passes, name) for name in OF_SEVERAL}
        found |= {"pass_probs_NTC": probs_NTC if "votes" in needs else None}
    if "probs" in needs:
        found["probs_NC"] = _softmax(features_NK @ weights_KC).astype(np.float64)
    if "features" in needs:
        found |= {"features_NK": features_NK, "labelled_features_MK": features(labelled, seed=2)}
    labels_M = rng.integers(CLASSES, size=labelled)
    return PoolStatistics(
        index_N=np.arange(images),
        labelled_labels_M=labels_M,
        target=2,
        round=1,
        rounds=5,
        **found,  # type: ignore[arg-type]
    )


def _softmax(logits_NC: np.ndarray) -> np.ndarray:
    exp_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    probs_NC: np.ndarray = exp_NC / exp_NC.sum(axis=1, keepdims=True)
    return probs_NC


def selection(images: int, folder: Path, strategy: str) -> dict[str, Call]:
    """A query of a live project, and one of a simulation."""
    pool = statistics(images, get(strategy).needs)

    def query(n: int) -> None:
        select(strategy, pool, n, np.random.default_rng(0))

    return {f"{LIVE}": functools.partial(query, LIVE), "10 %": functools.partial(query, images // 10)}


CASES: dict[str, Case] = {f"select {strategy}": functools.partial(selection, strategy=strategy) for strategy in names()}
