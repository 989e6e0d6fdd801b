"""Uncertainty of a deep ensemble: separately trained networks instead of passes with dropout.

The members see the same labelled images and differ in their seed alone (Lakshminarayanan et al. 2017,
https://arxiv.org/abs/1612.01474). Beluch et al. 2018 ("The Power of Ensembles for Active Learning in Image
Classification", CVPR) found them better judges than dropout; `scoring.members` networks are trained a round.
"""

from __future__ import annotations

import numpy as np

from al_cxr.strategies.basic import largest
from al_cxr.strategies.registry import Choice, strategy
from al_cxr.strategies.statistics import PoolStatistics


@strategy("ensemble_entropy", needs="ensemble")
def ensemble_entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Entropy of the members' mean probability, 0..log C."""
    return largest(statistics.predictive_entropy_N, n, rng, "nats")


@strategy("ensemble_bald", needs="ensemble")
def ensemble_bald(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Disagreement of the members: entropy of their mean minus mean of their entropies, 0..log min(C, M)."""
    return largest(statistics.mutual_information_N, n, rng, "nats")
