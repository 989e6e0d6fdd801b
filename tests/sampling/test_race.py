"""Racing: its parts, its ends, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from race_populations import SCORES, full, network, run, top
from scipy.special import stdtr

from al_cxr.core.seeds import rng
from al_cxr.sampling import race as module
from al_cxr.sampling.race import Race, Racing
from al_cxr.sampling.race_variance import seen, shrunk
from al_cxr.strategies.statistics import entropy


@pytest.mark.parametrize("score", SCORES)
def test_gradient_and_curvature_are_the_derivatives(score: str) -> None:
    mean_NK = np.hstack([rng(0, score).dirichlet([2.0, 3.0, 4.0], size=20), np.full((20, 1), 0.4)])
    _, gradient_NK, curvature_NK = SCORES[score](mean_NK)
    r = rng(1, score)
    step_NK = r.normal(size=mean_NK.shape)
    step_NK[:, :-1] -= step_NK[:, :-1].mean(axis=1, keepdims=True)  # probabilities go on summing to one
    h = 1e-4
    low, here, high = (SCORES[score](mean_NK + f * h * step_NK)[0] for f in (-1, 0, 1))
    assert np.allclose((high - low) / (2 * h), (gradient_NK * step_NK).sum(axis=1), atol=1e-5)
    assert np.allclose((high - 2 * here + low) / h**2, (curvature_NK * step_NK**2).sum(axis=1), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("score", SCORES)
def test_without_an_allowance_the_race_is_the_plain_passes(score: str) -> None:
    probs = network(150, 20, 3, 0.8, 0)
    race = run(probs, 20, 20, score=SCORES[score], error=0.0)
    assert (race.passes_N == 20).all()
    assert np.allclose(race.scores_N, full(probs, score), atol=1e-12)
    assert np.allclose(race.moments.mean_NK[:, :-1], probs.mean(axis=1), atol=1e-12)
    assert np.allclose(race.moments.mean_NK[:, -1], entropy(probs).mean(axis=1), atol=1e-12)
    assert set(np.flatnonzero(race.verdict_N == 1)) == top(full(probs, score), 20)


def test_batches_do_not_matter() -> None:
    probs = network(300, 20, 3, 0.8, 1)
    one, many = run(probs, 30, 20), run(probs, 30, 20, batch=7)
    assert (one.passes_N == many.passes_N).all() and (one.passes_N < 20).any()
    assert np.array_equal(one.scores_N, many.scores_N) and np.array_equal(one.verdict_N, many.verdict_N)


def test_variance_of_the_prediction() -> None:
    """How far the score after 4 passes is from that after 20, in images of one and the same distribution."""
    probs = rng(0, "bias").dirichlet([2.0, 1.0, 1.0], size=(4000, 20))
    race = Race(4000, 3, 20, Racing(400))
    race.add(race.contested, probs[:, :4])
    race.decide()
    predicted = np.sqrt(np.mean(race._deviation_N**2))
    assert np.isclose(predicted, (race.scores_N - full(probs)).std(), rtol=0.15)


def test_shrinking() -> None:
    r = rng(0, "shrink")
    same = r.chisquare(3, size=600) / 3
    borrowed, freedom = shrunk(same, r.random(600), 3)
    assert borrowed.std() < 0.25 * same.std() and freedom > 20  # one true variance: nearly all is borrowed
    spread = np.exp(3 * r.normal(size=600))
    kept, freedom = shrunk(spread * r.chisquare(3, size=600) / 3, r.random(600), 3)
    assert freedom < 6 and np.corrcoef(np.log(kept), np.log(spread))[0, 1] > 0.6
    assert np.array_equal(shrunk(np.zeros(5), np.arange(5.0), 3)[0], np.zeros(5))


def test_jumps_of_some_images_count_for_those_that_looked_like_them() -> None:
    r = rng(0, "moves")
    before, moved = r.random(4000), r.normal(size=4000) ** 2
    per_pass, tails = seen(moved, before)
    assert np.allclose(per_pass, 1, atol=0.2) and tails < 0.5
    jumped, tails = seen(moved + 100 * (r.random(4000) < 0.02) * (before > 0.5), before)
    assert (jumped[before > 0.8] > 2).all() and np.allclose(jumped[before < 0.2], 1, atol=0.3) and tails > 10
    assert np.array_equal(seen(np.zeros(5), np.arange(5.0))[0], np.zeros(5))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.floats(0, 5), st.integers(0, 10**6), st.data())
def test_chances_at_the_cutoff_sum_to_k(n: int, width: float, seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n - 1))
    r = rng(seed, "cutoff")
    scores, deviation, freedom = r.normal(size=n), width * r.random(n) + 1e-9, r.integers(3, 30, size=n).astype(float)
    cutoff = module._cutoff(scores, deviation, freedom, k)
    assert abs(stdtr(freedom, (scores - cutoff) / deviation).sum() - k) < 0.05 + 0.01 * k


@pytest.mark.parametrize("limit", [None, 60])
@pytest.mark.parametrize(("n", "k"), [(50, 0), (50, 50), (50, 80), (1, 0), (1, 1)])
def test_nothing_to_decide_takes_the_first_stage(n: int, k: int, limit: int | None) -> None:
    race = run(network(n, 60, 3, 1.0, 0), k, 20, limit=limit)
    assert (race.passes_N == module.FIRST).all()
    assert (race.verdict_N == 1).sum() == min(n, k) and (race.verdict_N == -1).sum() == n - min(n, k)


@pytest.mark.parametrize("limit", [None, 60])
@pytest.mark.parametrize("passes", [2, 3, 5, 20])
def test_equal_scores_and_few_passes_end(passes: int, limit: int | None) -> None:
    equal = np.full((30, 60, 2), 0.5)
    race = run(equal, 3, passes, limit=limit)
    assert np.allclose(race.scores_N, np.log(2)) and (race.verdict_N == 1).sum() == 3
    certain = np.tile([1.0, 0.0], (30, 60, 1))
    assert (run(certain, 3, passes, limit=limit).scores_N == 0).all()
    assert (run(network(30, 60, 2, 1.0, 0), 3, passes, limit=limit).verdict_N == 1).sum() == 3


def test_wrong_input() -> None:
    for bad in ({"passes": 1}, {"images": 0}, {"classes": 1}, {"error": 1.5}, {"limit": 19}):
        with pytest.raises(ValueError):
            racing = Racing(2, error=bad.pop("error", 0.05), limit=bad.pop("limit", None))  # type: ignore[arg-type]
            Race(**({"images": 9, "classes": 3, "passes": 20, "racing": racing} | bad))  # type: ignore[arg-type]
    probs = network(9, 20, 3, 1.0, 0)
    race = Race(9, 3, 20, Racing(2))
    with pytest.raises(ValueError, match="probabilities"):
        race.add(race.contested, probs)  # all passes instead of the stage's
    with pytest.raises(ValueError, match="not finite"):
        race.add(race.contested, np.full((9, 4, 3), np.nan))
    race.add(np.arange(5), probs[:5, :4])
    with pytest.raises(ValueError, match="had this stage"):
        race.add(np.arange(5), probs[:5, :4])
    with pytest.raises(ValueError, match="4 contested images lack"):
        race.decide()
