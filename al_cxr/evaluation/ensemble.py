"""Several networks as one: deep ensembles (Lakshminarayanan et al. 2017), as a predictor and as passes over a pool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from al_cxr.strategies.statistics import PoolStatistics, entropy


def mean_probs(probs_KNC: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """The prediction of a deep ensemble: the mean of its members' probabilities, not of their logits.

    Parameters
    ----------
    probs_KNC : K arrays, shape (N, C)
        The members' probabilities of the same N images.

    Returns
    -------
    array, shape (N, C), float64
        The ensemble's probabilities.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell (2017): Simple and scalable predictive uncertainty estimation using deep
    ensembles. NeurIPS.

    Examples
    --------
    >>> mean_probs([np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])])
    array([[0.7, 0.3]])
    """
    mean_NC: np.ndarray = np.stack([np.asarray(probs, np.float64) for probs in probs_KNC]).mean(axis=0)
    return mean_NC


def member_statistics(index_N: np.ndarray, probs_KNC: Sequence[np.ndarray] | np.ndarray) -> PoolStatistics:
    """What an ensemble says of a pool, in the fields that Monte-Carlo passes fill, by the same formulas.

    Mutual information is here the disagreement of separately trained networks.

    Parameters
    ----------
    index_N : array of int, shape (N,)
        Absolute indices of the images.
    probs_KNC : K >= 2 arrays, shape (N, C)
        The members' probabilities of these images, in that order.

    Returns
    -------
    PoolStatistics
        Entropies and mutual information in nats.

    Raises
    ------
    ValueError
        There are fewer than two members, or their arrays do not fit the images.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell (2017): Simple and scalable predictive uncertainty estimation using deep
    ensembles. NeurIPS.
    Beluch, Genewein, Nürnberger, Köhler (2018): The power of ensembles for active learning in image classification.
    CVPR.

    Examples
    --------
    >>> sure, unsure = np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])
    >>> member_statistics(np.array([7]), [sure, unsure]).mutual_information_N.round(3)
    array([0.102])
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
