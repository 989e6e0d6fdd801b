"""Uncertainty of a deep ensemble: separately trained networks instead of passes with dropout.

The members see the same labelled images and differ in their seed alone (Lakshminarayanan et al. 2017,
https://arxiv.org/abs/1612.01474). Beluch et al. 2018 ("The Power of Ensembles for Active Learning in Image
Classification", CVPR) found them better judges than dropout; `scoring.members` networks are trained a round.
"""

from __future__ import annotations

import numpy as np

from al_cxr.strategies.base import Choice, strategy
from al_cxr.strategies.basic import largest
from al_cxr.strategies.statistics import PoolStatistics


@strategy("ensemble_entropy", needs="ensemble")
def ensemble_entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Largest entropy of the members' mean probability, 0..log C nats.

    References
    ----------
    Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474; Beluch et al. 2018.

    Examples
    --------
    >>> from al_cxr.strategies import member_statistics, select
    >>> probs_KNC = np.array([[[0.9, 0.1], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.9]]])
    >>> select("ensemble_entropy", member_statistics(np.arange(2), probs_KNC), 1, np.random.default_rng(0)).indices
    array([1])
    """
    return largest(statistics.predictive_entropy_N, n, rng, "nats")


@strategy("ensemble_bald", needs="ensemble")
def ensemble_bald(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Disagreement of M members: entropy of their mean minus mean of their entropies, 0..log min(C, M) nats.

    References
    ----------
    Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474; Beluch et al. 2018; the formula is BALD's.

    Examples
    --------
    >>> from al_cxr.strategies import member_statistics, select
    >>> probs_KNC = np.array([[[0.5, 0.5], [0.9, 0.1]], [[0.5, 0.5], [0.1, 0.9]]])
    >>> select("ensemble_bald", member_statistics(np.arange(2), probs_KNC), 2, np.random.default_rng(0)).scores.round(3)
    array([0.368, 0.   ])
    """
    return largest(statistics.mutual_information_N, n, rng, "nats")
