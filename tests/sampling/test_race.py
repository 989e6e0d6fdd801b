"""The race: its statistics in closed form, its promise by simulation, its budget, and its edges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax, stdtr

from al_cxr.core.seeds import rng
from al_cxr.sampling import race as module
from al_cxr.sampling.race import Race, Racing
from al_cxr.sampling.race_variance import seen, shrunk
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


def ties(n: int, t: int, c: int, seed: int) -> np.ndarray:
    """Dirichlet passes; half of the images have one and the same distribution, so that the cutoff lies among equals."""
    r = rng(seed, "race test")
    alpha_NC = r.gamma(1.0, size=(n, c)) * 4 + 0.3
    alpha_NC[: n // 2] = 4.0
    gamma = r.gamma(np.broadcast_to(alpha_NC[:, None], (n, t, c)))
    return gamma / gamma.sum(axis=-1, keepdims=True)


def bimodal(n: int, t: int, c: int, seed: int) -> np.ndarray:
    """Four confident images to one uncertain one."""
    r = rng(seed, "race test")
    scale = np.where(r.random((n, 1, 1)) < 0.2, 0.3, 6.0)
    return softmax(scale * r.normal(size=(n, 1, c)) + 0.7 * r.normal(size=(n, t, c)), axis=-1)


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


def uneven(n: int, t: int, seed: int) -> np.ndarray:
    """A tenth of the images vary wildly, the others hardly at all."""
    r = rng(seed, "race test")
    spread = np.where(r.random((n, 1, 1)) < 0.1, 4.0, 0.05)
    return softmax(0.5 * r.normal(size=(n, 1, 3)) + spread * r.normal(size=(n, t, 3)), axis=-1)


def heavy(n: int, t: int, seed: int) -> np.ndarray:
    """Logits with tails of a Student t of two degrees of freedom, passes with those of three, of uneven size."""
    r = rng(seed, "race test")
    size = 0.5 * np.exp(r.normal(size=(n, 1, 1)))
    return softmax(r.standard_t(2, size=(n, 1, 3)) + size * r.standard_t(3, size=(n, t, 3)), axis=-1)


def alike(n: int, t: int, seed: int) -> np.ndarray:
    """Images that hardly differ, so that those ahead are ahead by luck."""
    r = rng(seed, "race test")
    return softmax(0.1 * r.normal(size=(n, 1, 2)) + r.normal(size=(n, t, 2)), axis=-1)


def jumping(n: int, t: int, rate: float, share: float, seed: int) -> np.ndarray:
    """A share of the images falls into another, confident answer in a few of the passes."""
    r = rng(seed, "race test")
    jump = (r.random((n, t, 1)) < rate) & (r.random((n, 1, 1)) < share)
    return np.where(jump, softmax(3 * r.normal(size=(n, t, 3)), axis=-1), network(n, t, 3, 0.2, seed))


def copies(n: int, t: int, seed: int) -> np.ndarray:
    return np.repeat(network(n // 5, t, 3, 1.0, seed, common=0.3), 5, axis=0)


POPULATIONS: dict[str, tuple[Callable[[int], np.ndarray], int]] = {
    "ties": (lambda seed: ties(600, 20, 3, seed), 60),
    "ties, k in the tie": (lambda seed: ties(600, 20, 3, seed), 180),
    "bimodal": (lambda seed: bimodal(1000, 20, 3, seed), 100),
    "bimodal, two classes": (lambda seed: bimodal(1000, 20, 2, seed), 50),
    "tiny variance": (lambda seed: network(500, 20, 3, 0.01, seed), 50),
    "huge variance": (lambda seed: network(500, 20, 3, 4.0, seed), 50),
    "masks in common": (lambda seed: network(800, 20, 3, 1.0, seed), 80),
    "masks in common, two classes": (lambda seed: network(800, 20, 2, 1.0, seed), 240),
    "few": (lambda seed: network(200, 20, 3, 0.7, seed, common=0.2), 10),
    "many": (lambda seed: network(5000, 20, 2, 0.5, seed, common=0.2), 100),
    "10 passes": (lambda seed: network(600, 10, 3, 0.8, seed), 60),
    "100 passes": (lambda seed: network(600, 100, 3, 0.8, seed), 60),
    "the first alone": (lambda seed: network(300, 20, 3, 0.8, seed), 1),
    "the first of images alike": (lambda seed: alike(300, 50, seed), 1),
    "all but a few": (lambda seed: network(600, 50, 3, 0.8, seed), 580),
    "all but one": (lambda seed: network(300, 20, 3, 0.8, seed), 299),
    "images alike, 10 passes": (lambda seed: alike(600, 10, seed), 60),
    "images alike, 50 passes": (lambda seed: alike(600, 50, seed), 60),
    "images alike, 100 passes": (lambda seed: alike(600, 100, seed), 60),
    "half of images alike": (lambda seed: alike(600, 50, seed), 300),
    "a wild tenth": (lambda seed: uneven(600, 20, seed), 10),
    "a wild tenth, 100 passes": (lambda seed: uneven(600, 100, seed), 10),
    "heavy tails": (lambda seed: heavy(600, 20, seed), 60),
    "rare jumps": (lambda seed: jumping(600, 50, 0.03, 0.1, seed), 60),
    "rare jumps, 20 passes": (lambda seed: jumping(600, 20, 0.03, 1.0, seed), 60),
    "rarer jumps, 100 passes": (lambda seed: jumping(600, 100, 0.01, 0.1, seed), 60),
    "copies": (lambda seed: copies(600, 20, seed), 60),
}


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("name", POPULATIONS)
def test_a_capped_race_keeps_what_it_promises(name: str, score: str) -> None:
    draw, k = POPULATIONS[name]
    lost, passes = [], []
    for seed in range(2 if name == "many" else 12 if k == 10 else 6):
        probs = draw(seed)
        race = run(probs, k, probs.shape[1], score=SCORES[score])
        assert race.passes_N.max() <= probs.shape[1] and (race.verdict_N == 1).sum() == k
        wanted = full(probs, score)
        chosen = wanted[race.verdict_N == 1]
        lost.append((chosen < np.partition(wanted, -k)[-k] - 1e-12).mean())  # by score: copies are equally good
        passes.append(race.passes_N.mean() / probs.shape[1])
    assert np.mean(lost) <= module.CAPPED
    assert np.mean(passes) < 1


def test_a_budget_race_spends_no_more_and_is_nearer_to_the_truth() -> None:
    raced, plain = [], []
    for seed in range(6):
        probs = network(400, 400, 3, 1.0, seed)
        k, truth = 40, full(network(400, 400, 3, 1.0, seed))
        # The masks of the truth are others than those of the race.
        order = rng(seed, "order").permutation(400)
        race = run(probs[:, order[:200]], k, 20, limit=200)
        assert race.passes_N.sum() <= 400 * 20 and race.passes_N.max() <= 200 and race.passes_N.min() >= 4
        assert (race.verdict_N == 1).sum() == k
        raced.append(len(top(race.scores_N, k) & top(truth, k)))
        plain.append(len(top(full(probs[:, order[:20]]), k) & top(truth, k)))
    assert np.mean(raced) > np.mean(plain) + 2


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
