"""Stochastic batches: the largest scores after noise, so that a batch does not hold one kind of image only."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from al_cxr.strategies.base import Choice, strategy
from al_cxr.strategies.basic import largest
from al_cxr.strategies.statistics import PoolStatistics

UNIT = "log nats + noise"

Beta = Annotated[float, Field(gt=0, description="power of the score that an image is drawn in proportion to")]


def power_noise(scores_N: np.ndarray, beta: float, rng: np.random.Generator) -> np.ndarray:
    """log score + Gumbel noise / beta, (N,), finite. Scores are >= 0; those of 0 come last, in any order.

    The n largest are n images drawn with probability proportional to score ** beta, without replacement.
    """
    log_N: np.ndarray = np.log(np.maximum(scores_N, np.finfo(np.float64).tiny))
    return log_N + rng.gumbel(size=len(scores_N)) / beta


def _draw(scores_N: np.ndarray | None, n: int, rng: np.random.Generator, beta: float) -> Choice:
    assert scores_N is not None
    return largest(power_noise(scores_N, beta, rng), n, rng, UNIT)


@strategy("power_bald", needs="mc")
def power_bald(statistics: PoolStatistics, n: int, rng: np.random.Generator, *, beta: Beta = 1.0) -> Choice:
    """Drawn with probability proportional to (mutual information of label and weights) ** beta: PowerBALD.

    Parameters
    ----------
    beta : float
        Above 0. Small: close to chance; large: close to "bald".

    References
    ----------
    Kirsch et al., "Stochastic Batch Acquisition" (2023), https://openreview.net/forum?id=vcHwQyNBjW.

    Examples
    --------
    >>> from al_cxr.strategies import member_statistics, select
    >>> probs_TNC = np.array([[[0.5, 0.5], [0.9, 0.1]], [[0.5, 0.5], [0.1, 0.9]]])
    >>> select("power_bald", member_statistics(np.arange(2), probs_TNC), 1, np.random.default_rng(0)).indices
    array([1])
    """
    return _draw(statistics.mutual_information_N, n, rng, beta)


@strategy("power_entropy", needs="mc")
def power_entropy(statistics: PoolStatistics, n: int, rng: np.random.Generator, *, beta: Beta = 1.0) -> Choice:
    """Drawn with probability proportional to (entropy of the mean probability over the passes) ** beta.

    Parameters
    ----------
    beta : float
        Above 0. Small: close to chance; large: close to "mc_entropy".

    References
    ----------
    Kirsch et al., "Stochastic Batch Acquisition" (2023), https://openreview.net/forum?id=vcHwQyNBjW.

    Examples
    --------
    >>> from al_cxr.strategies import member_statistics, select
    >>> probs_TNC = np.array([[[1.0, 0.0], [0.9, 0.1]], [[1.0, 0.0], [0.1, 0.9]]])
    >>> select("power_entropy", member_statistics(np.arange(2), probs_TNC), 1, np.random.default_rng(0), beta=4).indices
    array([1])
    """
    return _draw(statistics.predictive_entropy_N, n, rng, beta)
