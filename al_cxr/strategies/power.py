"""Stochastic batches: the largest scores after noise, so that a batch does not hold one kind of image only.

Kirsch et al. 2023, "Stochastic Batch Acquisition" (https://openreview.net/forum?id=vcHwQyNBjW): adding Gumbel noise of
scale 1 / beta to log scores and taking the largest draws images with probability proportional to score ** beta,
without replacement.
"""

from __future__ import annotations

import numpy as np

from al_cxr.strategies.basic import largest
from al_cxr.strategies.registry import Choice, strategy
from al_cxr.strategies.statistics import PoolStatistics

UNIT = "log nats + noise"


def power_noise(scores_N: np.ndarray, beta: float, rng: np.random.Generator) -> np.ndarray:
    """log score + Gumbel noise / beta, (N,), finite. Scores are >= 0; those of 0 come last, in any order."""
    return np.log(np.maximum(scores_N, np.finfo(np.float64).tiny)) + rng.gumbel(size=len(scores_N)) / beta


def _draw(scores_N: np.ndarray | None, n: int, rng: np.random.Generator) -> Choice:
    assert scores_N is not None
    return largest(power_noise(scores_N, 1.0, rng), n, rng, UNIT)


@strategy("power_bald", needs="mc")
def power_bald(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Drawn in proportion to the mutual information of label and weights (PowerBALD, beta 1)."""
    return _draw(statistics.mutual_information_N, n, rng)


@strategy("power_entropy", needs="mc")
def power_entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Choice:
    """Drawn in proportion to the entropy of the mean probability over the passes (beta 1)."""
    return _draw(statistics.predictive_entropy_N, n, rng)
