"""Simulated passes of pools to race over."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from al_cxr.core.seeds import rng
from al_cxr.sampling.race import Race, Racing
from al_cxr.sampling.scores import Score, mutual_information, predictive_entropy, target_entropy
from al_cxr.strategies.statistics import entropy

SCORES: dict[str, Score] = {
    "predictive_entropy": predictive_entropy,
    "mutual_information": mutual_information,
    "target_entropy": target_entropy(0),
}


def full(probs_NTC: np.ndarray, score: str = "predictive_entropy") -> np.ndarray:
    """The score of all passes, written out a second time."""
    mean_NC = probs_NTC.mean(axis=1)
    if score == "target_entropy":
        return entropy(np.stack([mean_NC[:, 0], 1 - mean_NC[:, 0]], axis=1))
    expected_N = entropy(probs_NTC).mean(axis=1) if score == "mutual_information" else 0.0
    return entropy(mean_NC) - expected_N


def top(scores_N: np.ndarray, k: int) -> set[int]:
    return set(np.argsort(-scores_N, kind="stable")[:k].tolist())


def run(probs_NTC: np.ndarray, k: int, passes: int, batch: int | None = None, **options: object) -> Race:
    race = Race(len(probs_NTC), probs_NTC.shape[2], passes, Racing(k, **options))  # type: ignore[arg-type]
    while len(race.contested):
        for positions in np.array_split(race.contested, -(-len(race.contested) // (batch or len(probs_NTC)))):
            race.add(positions, probs_NTC[positions][:, race.stage])
        race.decide()
    return race


def network(n: int, t: int, c: int, spread: float, seed: int, common: float = 0.5) -> np.ndarray:
    """Softmax of images' logits and pass noise, of which the part `common` is shared by all images of a pass."""
    r = rng(seed, "race test")
    shared = r.normal(size=(1, t, c)) * np.sqrt(common) + r.normal(size=(n, t, c)) * np.sqrt(1 - common)
    return softmax(r.normal(size=(n, 1, c)) * 1.5 + spread * shared, axis=-1)
