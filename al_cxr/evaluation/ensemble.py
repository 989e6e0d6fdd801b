"""Several networks as one: deep ensembles (Lakshminarayanan et al. 2017), as a predictor and as passes over a pool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from al_cxr.strategies.statistics import PoolStatistics, entropy


def mean_probs(probs_KNC: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """The ensemble's prediction: mean of the K members' probabilities (not of their logits), (N, C), float64."""
    stacked = np.stack([np.asarray(probs, np.float64) for probs in probs_KNC])
    return stacked.mean(axis=0)


def member_statistics(index_N: np.ndarray, probs_KNC: Sequence[np.ndarray] | np.ndarray) -> PoolStatistics:
    """What K >= 2 members say of a pool, in the fields that Monte-Carlo passes fill, by the same formulas.

    `probs_KNC` are the members' probabilities of the images `index_N`, in that order. Mutual information is here the
    disagreement of separately trained networks. Raises ValueError for fewer than two members or other shapes.
    """
    p_KNC = np.stack([np.asarray(probs, np.float64) for probs in probs_KNC])
    if p_KNC.ndim != 3 or len(p_KNC) < 2 or p_KNC.shape[1] != len(index_N):
        raise ValueError(f"probabilities {p_KNC.shape} of {len(index_N)} images; (at least 2 members, images, classes)")
    members, _, classes = p_KNC.shape
    mean_NC = p_KNC.mean(axis=0)
    predictive_N, expected_N = entropy(mean_NC), entropy(p_KNC).mean(axis=0)
    votes_NC = (p_KNC.argmax(axis=2)[..., None] == np.arange(classes)).sum(axis=0)
    return PoolStatistics(
        index_N=np.asarray(index_N, np.int64),
        mean_probs_NC=mean_NC,
        predictive_entropy_N=predictive_N,
        expected_entropy_N=expected_N,
        mutual_information_N=np.maximum(predictive_N - expected_N, 0.0),
        variation_ratio_N=1 - votes_NC.max(axis=1) / members,
        mean_std_N=p_KNC.std(axis=0).mean(axis=1),
        passes=members,
    )
