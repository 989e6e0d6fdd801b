"""What a race promises, by simulation: many populations, from the first image to nearly all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from race_populations import SCORES, full, network, run, top
from scipy.special import softmax

from al_cxr.core.seeds import rng
from al_cxr.sampling import race as module


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
