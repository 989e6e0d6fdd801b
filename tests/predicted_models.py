"""Models with made-up, seeded predictions of three classes."""

from __future__ import annotations

import numpy as np
from fake_run import fake_probs

from al_cxr.evaluation.predicted import Predicted


def model(seed: int = 0, n: int = 200, skill: float = 1.5) -> Predicted:
    y = np.random.default_rng(9).integers(0, 3, n)
    return Predicted(f"seed {seed}", fake_probs(y, skill, seed), y, fake_probs(y, skill, seed + 50), y)
