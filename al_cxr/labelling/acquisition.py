"""What a strategy proposes, and how the next image is drawn from it with a probability that is known exactly.

Every image to learn from is drawn by itself from the images R that may be asked for now: with probability `explore`
uniformly from R, otherwise as the strategy says. A strategy with a ranking says the first of its ranking that is in R;
one that draws in proportion to a power of a score (power_entropy, power_bald) says image i with probability
s_i^b / sum over R of s^b, which is Plackett-Luce. So the probability q of image i, given all that happened before, is

    q(i) = explore / |R| + (1 - explore) * (1 if i is the first of the ranking in R, else 0)
    q(i) = explore / |R| + (1 - explore) * s_i^b / sum over R of s^b

and never 0, which estimates that weight by q need (Farquhar et al. 2021, https://arxiv.org/abs/2101.11665). Where a
strategy is itself random, as in k-means, q is the probability given its ranking.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from al_cxr.strategies import Strategy, select
from al_cxr.strategies.statistics import PoolStatistics

POWERS = {"power_entropy": "predictive_entropy_N", "power_bald": "mutual_information_N"}
"""Strategies that draw in proportion to a power of a statistic -> which one."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """What is asked for next: a ranking, weights, or neither where every image is as good as another."""

    strategy: str
    """Its name, for the log."""
    model: str = ""
    """Key of the model that it comes from; "" where none was needed."""
    ranking_M: np.ndarray | None = None
    """Indices of images, best first."""
    weights_N: np.ndarray | None = None
    """Of every image by index; 0 of those of which the strategy knows nothing."""

    def first(self, allowed_N: np.ndarray) -> int | None:
        """The first of the ranking that is allowed (bool, by index); None where there is none."""
        if self.ranking_M is None:
            return None
        left_M = self.ranking_M[allowed_N[self.ranking_M]]
        return int(left_M[0]) if len(left_M) else None

    def probabilities(self, allowed_N: np.ndarray, explore: float) -> np.ndarray:
        """q of every image by index, (N,): 0 where it is not allowed, above 0 elsewhere, 1 in sum."""
        uniform_N = allowed_N / max(int(allowed_N.sum()), 1)
        weights_N = np.where(allowed_N, self.weights_N, 0.0) if self.weights_N is not None else np.zeros(1)
        if weights_N.any():
            q_N: np.ndarray = explore * uniform_N + (1 - explore) * weights_N / weights_N.sum()
            return q_N
        first = self.first(allowed_N)
        if first is None:
            return uniform_N
        q_N = explore * uniform_N
        q_N[first] += 1 - explore
        return q_N

    def draw(self, allowed_N: np.ndarray, explore: float, rng: np.random.Generator) -> tuple[int, float]:
        """One of the allowed images, and its q."""
        q_N = self.probabilities(allowed_N, explore)
        index = int(rng.choice(len(q_N), p=q_N / q_N.sum()))
        return index, min(float(q_N[index]), 1.0)


UNIFORM = Proposal("random")
"""Where there is nothing to choose by."""


def propose(
    strategy: Strategy, statistics: PoolStatistics, count: int, size: int, model: str, rng: np.random.Generator
) -> Proposal:
    """What a strategy says of the pool, for the next `count` questions, in a project of `size` images."""
    if strategy.name == "random" or not len(statistics):
        return UNIFORM
    if strategy.name in POWERS:
        scores_N = getattr(statistics, POWERS[strategy.name])
        beta = float({**strategy.defaults, **strategy.options}["beta"])
        weights_N = np.zeros(size)
        # On the logarithm and relative to the largest, so that a high power gives the smallest number and not 0.
        log_N = beta * np.log(np.maximum(scores_N, np.finfo(np.float64).tiny))
        weights_N[statistics.index_N] = np.maximum(np.exp(log_N - log_N.max()), np.finfo(np.float64).tiny)
        return Proposal(strategy.name, model, weights_N=weights_N)
    ranking_M = select(strategy, statistics, min(count, len(statistics)), rng).indices
    return Proposal(strategy.name, model, ranking_M=ranking_M)
