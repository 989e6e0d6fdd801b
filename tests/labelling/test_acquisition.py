"""The q that is written down is the frequency with which an image is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from al_cxr.labelling.acquisition import UNIFORM, Proposal, propose
from al_cxr.strategies import PoolStatistics, get, member_statistics

N = 12
ALLOWED_N = np.array([True] * 9 + [False] * 3)


def proposals() -> dict[str, Proposal]:
    probs_TNC = np.random.default_rng(1).dirichlet([1, 1], size=(4, N))
    statistics = member_statistics(np.arange(N), probs_TNC)
    draw = np.random.default_rng(0)
    return {
        "uniform": UNIFORM,
        "ranking": Proposal("entropy", "m", ranking_M=np.array([10, 4, 7])),
        "ranking that is used up": Proposal("entropy", "m", ranking_M=np.array([10, 11])),
        "power": propose(get("power_entropy", {"beta": 3}), statistics, N, N, "m", draw),
        "power that knows some": propose(get("power_bald"), statistics.take(np.array([1, 4, 8, 10])), N, N, "m", draw),
    }


@pytest.mark.parametrize("name", proposals())
def test_images_are_drawn_as_often_as_their_q_says(name: str) -> None:
    proposal, draw = proposals()[name], np.random.default_rng(5)
    drawn = [proposal.draw(ALLOWED_N, 0.2, draw) for _ in range(20_000)]
    q_N = proposal.probabilities(ALLOWED_N, 0.2)
    assert all(q == pytest.approx(q_N[index]) for index, q in drawn[:200])
    often_N = np.bincount([index for index, _ in drawn], minlength=N) / len(drawn)
    assert np.abs(often_N - q_N).max() < 4 * np.sqrt(0.25 / len(drawn))


@pytest.mark.parametrize("name", proposals())
def test_every_image_that_is_left_can_be_drawn_and_no_other(name: str) -> None:
    q_N = proposals()[name].probabilities(ALLOWED_N, 0.1)
    assert q_N.sum() == pytest.approx(1)
    assert (q_N[ALLOWED_N] >= 0.1 / ALLOWED_N.sum() - 1e-12).all() and not q_N[~ALLOWED_N].any()


def test_drawing_one_after_another_is_plackett_luce() -> None:
    """The first two of a power strategy, drawn by q without exploring, against its own noise (Gumbel top-k)."""
    entropies_N = np.array([0.1, 0.3, 0.5, 0.69])
    statistics = PoolStatistics(np.arange(4), predictive_entropy_N=entropies_N)
    by_q, by_noise = np.zeros((4, 4)), np.zeros((4, 4))
    draw, runs = np.random.default_rng(2), 20_000
    proposal = propose(get("power_entropy", {"beta": 2}), statistics, 4, 4, "m", draw)
    noise_RN = 2 * np.log(entropies_N) + draw.gumbel(size=(runs, 4))
    for first, second in np.argsort(-noise_RN, axis=1)[:, :2].tolist():
        by_noise[first, second] += 1
    for _ in range(runs):
        allowed_N = np.ones(4, bool)
        first, _q = proposal.draw(allowed_N, 1e-12, draw)
        allowed_N[first] = False
        by_q[first, proposal.draw(allowed_N, 1e-12, draw)[0]] += 1
    assert np.abs(by_q - by_noise).max() / runs < 4 * np.sqrt(0.5 / runs)


def test_a_strategy_ranks_as_it_would_select() -> None:
    probs_NC = np.array([[0.9, 0.1], [0.5, 0.5], [0.7, 0.3]])
    statistics = PoolStatistics(np.array([3, 5, 8]), probs_NC=probs_NC)
    made = propose(get("entropy"), statistics, 2, 10, "m", np.random.default_rng(0))
    assert made.ranking_M is not None and made.ranking_M.tolist() == [5, 8] and made.model == "m"
    assert made.first(np.arange(10) == 8) == 8 and made.first(np.zeros(10, bool)) is None
