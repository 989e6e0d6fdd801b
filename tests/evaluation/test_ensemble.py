"""Ensembles: one model made of several."""

from __future__ import annotations

import numpy as np

from al_cxr.evaluation.ensemble import mean_probs


def test_the_order_of_members_does_not_matter() -> None:
    probs_KNC = np.random.default_rng(0).dirichlet(np.ones(3), (5, 40))
    np.testing.assert_allclose(mean_probs(probs_KNC[::-1]), mean_probs(probs_KNC))
    np.testing.assert_allclose(mean_probs(probs_KNC).sum(axis=1), 1)
    np.testing.assert_allclose(mean_probs([[[1.0, 0.0]], [[0.5, 0.5]]]), [[0.75, 0.25]])
