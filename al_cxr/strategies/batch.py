"""BatchBALD: the batch that tells most about the weights together, not one by one.

Kirsch et al. 2019 (https://arxiv.org/abs/1906.08158). Greedy: the next image is the one with the largest
I(label; weights | labels of the batch so far), an expectation over what these labels may be (a configuration). As long
as all C^m configurations of m images fit `configurations` they are enumerated, and the information is exact. After that
`configurations` of them are drawn and each is continued by drawing the next label given those it has.

The paper draws labels from single passes and weighs them by p(configuration, label) / q(configuration). That is the
same expectation; here the configurations come from q itself, so the weights are equal, and the entropy that is
subtracted is taken over the same configurations, so that an estimate is never negative and goes to 0 where it should.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from al_cxr.strategies.base import Choice, Count, Share, strategy, top_n
from al_cxr.strategies.statistics import PoolStatistics, entropy, sum_of_few

_CHUNK = 64
LARGE = 20_000
"""Images of a pool above which a block looks at `WINDOW` of them only, and computes in float32."""
WINDOW = 512

Joint = tuple[np.ndarray, np.ndarray]
"""What labels of a batch say of the weights: probabilities (M,) of the configurations, and the posterior over the
passes given each, (M, T), rows sum to 1."""


def prior(passes: int, dtype: DTypeLike = np.float64) -> Joint:
    """Before any label: one empty configuration, all passes alike."""
    return np.ones(1), np.full((1, passes), 1 / passes, dtype)


def gains(joint: Joint, probs_ATC: np.ndarray) -> np.ndarray:
    """I(label; weights | labels so far) in nats of each of A images with pass probabilities (A, T, C): (A,), >= 0."""
    weights_M, posterior_MT = joint
    images, passes, classes = probs_ATC.shape
    predicted_MAC = (posterior_MT @ probs_ATC.transpose(1, 0, 2).reshape(passes, -1)).reshape(-1, images, classes)
    expected_MA = posterior_MT @ _entropy(probs_ATC).T
    gains_A: np.ndarray = np.maximum(weights_M @ (_entropy(predicted_MAC) - expected_MA), 0)
    return gains_A


def _entropy(probs: np.ndarray) -> np.ndarray:
    """Entropy over the last axis in nats; of float32 in float32, by numpy's faster logarithm."""
    if probs.dtype != np.float32:
        return entropy(probs)
    return sum_of_few(-probs * np.log(np.maximum(probs, np.finfo(np.float32).tiny)))


def add(joint: Joint, probs_TC: np.ndarray, rng: np.random.Generator, most: int) -> Joint:
    """The joint after one more image: every label where these are at most `most` configurations, else one drawn."""
    weights_M, posterior_MT = joint
    passes, classes = probs_TC.shape
    predicted_MC = posterior_MT @ probs_TC
    if len(weights_M) * classes <= most:
        weights = (weights_M[:, None] * predicted_MC).ravel()
        posterior = (posterior_MT[:, None, :] * probs_TC.T).reshape(-1, passes)
    else:
        if len(weights_M) < most:  # the enumerated ones become equally likely draws of themselves
            steps = (np.arange(most) + rng.random()) / most
            drawn = np.searchsorted(np.cumsum(weights_M)[:-1], steps, side="right")
            posterior_MT, predicted_MC = posterior_MT[drawn], predicted_MC[drawn]
        weights = np.full(most, 1 / most)
        cumulative_MC = np.cumsum(predicted_MC, axis=1)
        thresholds_M = rng.random(most) * cumulative_MC[:, -1]
        labels_M = (cumulative_MC[:, :-1] <= thresholds_M[:, None]).sum(axis=1)
        posterior = posterior_MT * probs_TC.T[labels_M]
    possible = posterior.sum(axis=1) > 0
    weights, posterior = weights[possible], posterior[possible]
    return weights / weights.sum(), posterior / posterior.sum(axis=1, keepdims=True)


def block(probs_ATC: np.ndarray, n: int, rng: np.random.Generator, configurations: int, saturated: float) -> list[int]:
    """At most n positions, greedily, until the next would add less than a share `saturated` of what the first told.

    The first is BALD's.

    Images are looked at in the order of what they told at an earlier step, and only while that is more than the best
    seen: information only falls as labels come in (submodularity; Minoux 1978), so the rest cannot win.
    """
    joint = prior(probs_ATC.shape[1], probs_ATC.dtype)
    bound_A = gains(joint, probs_ATC)
    chosen: list[int] = []
    first = bound_A.max()
    while len(chosen) < n:
        best = -1.0
        order = np.argsort(-bound_A, kind="stable")[: len(bound_A) - len(chosen)]
        for start in range(0, len(order) if chosen else 0, _CHUNK):
            at = order[start : start + _CHUNK]
            if bound_A[at[0]] < best:
                break
            bound_A[at] = gains(joint, probs_ATC[at])
            best = max(best, bound_A[at].max())
        winner = int(bound_A.argmax())
        if chosen and bound_A[winner] <= saturated * first:
            break
        chosen.append(winner)
        bound_A[winner] = -np.inf
        joint = add(joint, probs_ATC[winner], rng, configurations)
    return chosen


@strategy("batch_bald", needs="votes")
def batch_bald(
    statistics: PoolStatistics,
    n: int,
    rng: np.random.Generator,
    *,
    configurations: Count = 512,
    saturated: Share = 0.05,
    candidates: Count = 5,
) -> Choice:
    """The greedy batch with the most joint mutual information of labels and weights, in blocks.

    T passes can tell at most log T nats, 3.0 for 20 passes; ten or twenty undecided images use that up, and to T passes
    every further one is then as good as any. Where that happens the batch goes on with a fresh block on the remaining
    images, blind to the blocks before: a large batch is BatchBALD inside a block and BALD from block to block. More
    passes make longer blocks.

    In a pool of more than 20,000 images a block looks only at the 512 remaining ones with the largest BALD.

    Parameters
    ----------
    configurations : int
        Most configurations of labels that are kept.
    saturated : float
        0..1; a block ends where its next image would add less than this share of what its first one told.
    candidates : int
        Only this many times n images, those with the largest BALD, are looked at.

    References
    ----------
    Kirsch, van Amersfoort and Gal, "BatchBALD" (2019), https://arxiv.org/abs/1906.08158.

    Examples
    --------
    The passes contradict each other on all images, but the first two are copies: the label of one tells that of the
    other.

    >>> from al_cxr.strategies import select
    >>> sick_NT = np.array([[0.9, 0.9, 0.1, 0.1], [0.9, 0.9, 0.1, 0.1], [0.8, 0.2, 0.8, 0.2]])
    >>> pool = PoolStatistics(np.arange(3), pass_probs_NTC=np.stack([sick_NT, 1 - sick_NT], axis=2))
    >>> 2 in select("batch_bald", pool, 2, np.random.default_rng(0)).indices
    True
    """
    assert statistics.pass_probs_NTC is not None
    large = len(statistics) > LARGE
    dtype, window = (np.float32, WINDOW) if large else (np.float64, len(statistics))
    probs_NTC = statistics.pass_probs_NTC.astype(dtype)
    # Sorted with ties in an order by chance; inside a block a tie goes to the first.
    remaining = top_n(gains(prior(probs_NTC.shape[1], dtype), probs_NTC), candidates * n, rng)
    chosen = np.empty(0, np.int64)
    while len(chosen) < n:
        positions = block(probs_NTC[remaining[:window]], n - len(chosen), rng, configurations, saturated)
        chosen = np.concatenate([chosen, remaining[positions]])
        remaining = np.delete(remaining, positions)
    return Choice(chosen, None, "")
