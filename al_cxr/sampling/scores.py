"""Scores that may be raced for: smooth functions of what a pass gives, on average over passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from al_cxr.strategies.statistics import entropy

TINY = 1e-12

Score = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Means over passes of C probabilities and of the entropy (N, C + 1) -> the score (N,), its gradient and the diagonal
of its second derivative (N, C + 1) each (up to a constant along the probabilities, which sum to one)."""


def predictive_entropy(mean_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entropy of the mean probabilities, nats."""
    p_NC = np.maximum(mean_NK[:, :-1], TINY)
    zero_N1 = np.zeros((len(mean_NK), 1))
    return entropy(mean_NK[:, :-1]), np.hstack([-np.log(p_NC), zero_N1]), np.hstack([-1 / p_NC, zero_N1])


def mutual_information(mean_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entropy of the mean minus mean of the entropies (BALD), nats."""
    value_N, gradient_NK, curvature_NK = predictive_entropy(mean_NK)
    gradient_NK[:, -1] = -1
    return value_N - mean_NK[:, -1], gradient_NK, curvature_NK


def target_entropy(target: int) -> Score:
    """Binary entropy of a class's mean probability against all others, nats."""

    def score(mean_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        q_N = np.clip(mean_NK[:, target], TINY, 1 - TINY)
        gradient_NK, curvature_NK = np.zeros((2, *mean_NK.shape))
        gradient_NK[:, target], curvature_NK[:, target] = np.log((1 - q_N) / q_N), -1 / (q_N * (1 - q_N))
        return entropy(np.stack([q_N, 1 - q_N], axis=-1)), gradient_NK, curvature_NK

    return score


SCORES: dict[str, Callable[[int], Score]] = {
    "predictive_entropy": lambda target: predictive_entropy,
    "mutual_information": lambda target: mutual_information,
    "target_entropy": target_entropy,
}
"""What strategies may race for: name -> the score, given the position of the target class."""
