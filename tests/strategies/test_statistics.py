"""Statistics of several networks: the same numbers as Monte-Carlo passes of the same probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from al_cxr.core.seeds import rng
from al_cxr.sampling.moments import PassMoments
from al_cxr.strategies import member_statistics, select

FIELDS = (
    "mean_probs_NC",
    "predictive_entropy_N",
    "expected_entropy_N",
    "mutual_information_N",
    "variation_ratio_N",
    "mean_std_N",
)


def members(k: int = 5, n: int = 40, c: int = 3) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.ones(c), (k, n))


def test_members_are_what_passes_are() -> None:
    probs = members()
    moments = PassMoments(40, 3)
    for p in probs:
        moments.add(torch.arange(40), torch.from_numpy(p)[:, None])
    ours, theirs = member_statistics(np.arange(40), probs), moments.statistics()
    for name in FIELDS:
        np.testing.assert_allclose(getattr(ours, name), theirs[name], atol=1e-12, err_msg=name)
    assert ours.passes == 5


def test_closed_forms() -> None:
    agree = member_statistics(np.array([7]), np.array([[[1.0, 0.0]], [[1.0, 0.0]]]))
    assert agree.predictive_entropy_N == agree.mutual_information_N == agree.variation_ratio_N == agree.mean_std_N == 0
    differ = member_statistics(np.array([7]), np.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    assert differ.predictive_entropy_N == differ.mutual_information_N == pytest.approx(np.log(2))
    assert differ.expected_entropy_N == 0 and differ.variation_ratio_N == 0.5 and differ.mean_std_N == 0.5


@pytest.mark.parametrize("name", ["mc_entropy", "bald", "variation_ratio", "mean_std"])
def test_every_monte_carlo_strategy_takes_members_for_passes(name: str) -> None:
    statistics = member_statistics(np.arange(100, 140), members())
    chosen = select(name, statistics, 5, rng(0, "test"))
    assert len(set(chosen.indices)) == 5 and set(chosen.indices) <= set(range(100, 140))


def test_members_of_other_shapes_are_refused() -> None:
    probs = members()
    with pytest.raises(ValueError, match="at least 2 members"):
        member_statistics(np.arange(40), probs[:1])
    with pytest.raises(ValueError, match="39 images"):
        member_statistics(np.arange(39), probs)
