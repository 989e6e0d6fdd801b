"""Racing: which images still need Monte-Carlo passes to find the top k.

To choose k images most need far fewer than T passes. A race runs passes in stages; after each it predicts, for every
image, the score that it would end with, and stops those whose side of the cutoff is settled. All images share the
masks of a pass, so passes 0..t-1 of an image are a part of the very T passes that it would have had.

With z the probabilities (and the entropy) of a pass, a score is a smooth function f of the mean of z over passes. The
score after t passes predicts the one after all T, with the variance (delta method to second order)

    S = Cov(z) (1/t - 1/T),   grad f' S grad f + 1/2 tr((f'' S)^2)          passes drawn without replacement from the T

Few passes say little about a variance, so each is shrunk towards the mean variance of images with a similar score
(empirical Bayes, after Smyth 2004, https://doi.org/10.2202/1544-6115.1027), and is no less than that of images at the
cutoff c: could one that belongs there look like this? The doubt is the tail of a Student t beyond c, where c solves:
sum of the chances to lie above = k. Images share masks, so their variances err together: shrinking counts for no more
than twice the degrees of freedom of the image's own passes.

Two plans:

*capped* (`limit` None): nobody gets more than T passes. The prediction above takes the passes so far at their word.
Where images differ little, those that lead do so by luck and fall back, so a capped race doubts more: it takes the
passes to come from an image whose true score is c, which makes the distance to c count sqrt(t / T) of what it did
(stochastic curtailment, Lan et al. 1982, https://doi.org/10.1080/07474948208836014), and measures it to the nearer of c
and the cutoff of the scores so far. From the second stage on it also looks at how far scores moved in the last: images
of similar score before it vary no less than that, and t has no more degrees of freedom than give the moves' kurtosis,
which falls with the number of passes to come (that of a t is 6 / (freedom - 4)). Stopping an image adds its doubt to
the expected number of wrong decisions; the least doubtful are stopped, as many as keep that sum over the race within
half of `error` x min(k, N - k). The other half is kept in reserve, as doubts are never quite calibrated.

*budget* (`limit` >= T): N x T passes are spent at most, but the doubtful get up to `limit` each, all others few. Each
stage gets an equal share of what is left (sequential halving, Karnin et al. 2013), which the most doubtful images get.
It makes no promise; it aims at the scores of infinitely many passes.

Promise of a capped race: the expected share of the T-pass top k that it keeps is at least 1 - `error`, where the T
passes are exchangeable (independent masks, or masks stratified over the T). test_race.py tests it by simulation
for 10 to 100 passes, from the first image to nearly all, with images that hardly differ, vary by very different
amounts, have heavy tails, rare jumps, ties or copies. It is an expectation: images share masks, and copies share their
fate, so a single race can lose more. Where images hardly differ or jump, nearly all get all T passes. A jump that no
image shows in the first passes can still break it.

Tried and left out: taking off the O(1/t) bias of an entropy (what it gains, regression to the mean takes back),
comparing images with the cutoff pass by pass (about as many passes for the same losses), and a quarter of the allowance
instead of curtailment (images that hardly differ still lose 3 %, as each doubt is wrong by orders of magnitude).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import stdtr

from al_cxr.sampling.moments import PassMoments
from al_cxr.sampling.race_variance import NEIGHBOURS, seen, shrunk
from al_cxr.sampling.scores import TINY, Score, predictive_entropy

FIRST = 4
"""Passes before the first decision; with 3, single races on real radiographs lost most of their batch."""
GROWTH = (1.2, 1.6)
"""Passes of a stage over those of the one before: capped, budget."""
TRUST = 2
"""Most degrees of freedom of a shrunk variance, over those of its own passes."""

CAPPED = 0.02
"""Share of the top k that a capped race may lose, unless told otherwise."""


@dataclass(frozen=True)
class Racing:
    """What a race is for."""

    k: int
    """Images that will be chosen."""
    score: Score = predictive_entropy
    error: float = CAPPED
    """Capped: share of the top k that may be lost, 0..1."""
    limit: int | None = None
    """Most passes of an image in a race with the budget N x T; None for a capped race."""


class Race:
    """The decisions of a race; whoever has the network asks what to run, runs it and adds the probabilities.

        race = Race(images, classes, passes, Racing(k))
        while len(race.contested):
            for positions_B in batches of race.contested:
                race.add(positions_B, probs_BSC of the passes in race.stage)
            race.decide()
        top_n(race.scores_N, k, rng)

    Memory is O(N C^2), whatever T is.
    """

    def __init__(self, images: int, classes: int, passes: int, racing: Racing) -> None:
        """A race of N = `images` with T = `passes`. Raises ValueError for T < 2 or a limit below T."""
        if passes < 2 or images < 1 or classes < 2:
            raise ValueError(f"no race of {images} images, {classes} classes and {passes} passes; at least 1, 2 and 2")
        error, limit = racing.error, racing.limit
        if not 0 <= error <= 1 or (limit is not None and limit < passes):
            raise ValueError(f"error {error} must lie in 0..1 and limit {limit} not below the {passes} passes")
        self.passes_N = np.zeros(images, np.int64)
        """Passes of each image so far."""
        self.scores_N = np.zeros(images)
        """Scores from each image's own passes."""
        self.verdict_N = np.zeros(images, np.int8)
        """1 in the top k, -1 out, 0 contested; at the end k are in."""
        self.contested = np.arange(images)
        """Positions (M,) that need the next stage, ascending; empty when the race is over."""
        self._k, self._score, self._error, self._classes = racing.k, racing.score, error, classes
        self._finite = float(passes) if limit is None else np.inf
        self._stops = _stops(passes, GROWTH[0]) if limit is None else _stops(limit, GROWTH[1], min(FIRST, passes))
        self._left = images * (passes - self._stops[0])
        self._loss = 0.0
        self._at = 0
        self.moments = PassMoments(images, classes)
        """Of each image's own passes."""
        self._deviation_N, self._freedom_N = np.zeros(images), np.ones(images)

    @property
    def stage(self) -> range:
        """Numbers of the passes that the contested images need next."""
        return range(self._stops[self._at - 1] if self._at else 0, self._stops[self._at])

    def add(self, positions_B: np.ndarray, probs_BSC: np.ndarray) -> None:
        """Probabilities of the S passes in `stage` for contested images, in any batches, each image once a stage."""
        probs_BSC = np.array(probs_BSC, np.float64)  # a copy: what came from another process is read-only
        b, s = len(positions_B), len(self.stage)
        if probs_BSC.shape != (b, s, self._classes) or not np.isfinite(probs_BSC).all():
            raise ValueError(f"probabilities {probs_BSC.shape} for {b} images and {s} passes, or some are not finite")
        if (self.passes_N[positions_B] != self.stage.start).any() or self.verdict_N[positions_B].any():
            raise ValueError("passes for an image that is decided or had this stage already")
        self.moments.add(torch.from_numpy(np.asarray(positions_B)), torch.from_numpy(probs_BSC))
        self.passes_N[positions_B] += s

    def decide(self) -> None:
        """Ends a stage: scores the contested, settles `verdict_N`, and sets the next `contested` and `stage`."""
        here, t = self.contested, self._stops[self._at]
        if (self.passes_N[here] != t).any():
            raise ValueError(f"{int((self.passes_N[here] != t).sum())} contested images lack passes of this stage")
        value_M, gradient_MK, curvature_MK = self._score(self.moments.mean_NK.numpy()[here])
        scatter_MKK = self.moments.scatter_NKK.numpy()[here]
        variance_M = np.einsum("mk,mkl,ml->m", gradient_MK, scatter_MKK, gradient_MK).clip(min=0) / (t - 1)
        remaining = 1 / t - 1 / self._finite
        before_M, self.scores_N[here] = self.scores_N[here], value_M
        # Where the gradient vanishes (an entropy at its maximum) the second order is all there is.
        bent_MKK = curvature_MK[:, :, None] * scatter_MKK * (remaining / (t - 1))
        bent_M = np.einsum("mkl,mlk->m", bent_MKK, bent_MKK) / 2
        variance_M, freedom = shrunk(variance_M * remaining + bent_M, value_M, t - 1)
        if self._at and np.isfinite(self._finite):
            last = self._stops[self._at - 1]
            per_pass_M, tails = seen((value_M - before_M) ** 2 / (1 / last - 1 / t), before_M)
            variance_M = np.maximum(variance_M, per_pass_M * remaining)
            freedom = min(freedom, 4 + 6 / tails * (self._finite - t) / (t - last))
        self._deviation_N[here] = np.sqrt(variance_M)
        self._freedom_N[here] = min(freedom, TRUST * (t - 1))
        self._at += 1
        if self._at == len(self._stops) or not 0 < self._k < len(self.scores_N):
            self._finish()
            return
        deviation_N = np.maximum(self._deviation_N, TINY)
        cutoff = _cutoff(self.scores_N, deviation_N, self._freedom_N, self._k)
        low, high, counts = cutoff, cutoff, 1.0
        if np.isfinite(self._finite):
            ranked_N = np.sort(self.scores_N)[::-1]
            low, high = sorted((cutoff, (ranked_N[self._k - 1] + ranked_N[self._k]) / 2))
            counts = np.sqrt(t / self._finite)
        gap_M = self.scores_N[here] - self.scores_N[here].clip(low, high)
        # As a test would ask: could an image that belongs at the cutoff, and varies as images there do, look like this?
        at_cutoff = here[np.argsort(np.abs(gap_M), kind="stable")[:NEIGHBOURS]]
        deviation_M = np.maximum(deviation_N[here], np.sqrt(np.mean(deviation_N[at_cutoff] ** 2)))
        beyond_M = counts * gap_M / deviation_M
        doubt_M = stdtr(self._freedom_N[here], -np.abs(beyond_M))
        order = np.argsort(doubt_M, kind="stable")
        stopped = order[: self._certain(doubt_M[order]) if np.isfinite(self._finite) else self._beyond(len(order))]
        self.verdict_N[here[stopped]] = np.where(beyond_M[stopped] > 0, 1, -1)
        self.contested = np.delete(here, stopped)
        if not len(self.contested):
            self._finish()

    def _certain(self, doubt_M: np.ndarray) -> int:
        """How many of the least doubtful can stop: the allowance is opened stage by stage, in equal steps."""
        decisions = min(self._k, len(self.scores_N) - self._k)
        allowance = self._error / 2 * decisions * self._at / (len(self._stops) - 1)
        n = int(np.searchsorted(self._loss + np.cumsum(doubt_M), allowance, side="right"))
        self._loss += float(doubt_M[:n].sum())
        return n

    def _beyond(self, images: int) -> int:
        """How many have to stop for the others to afford the next stage."""
        stages = len(self._stops) - self._at
        going = min(images, self._left // (stages * len(self.stage)))
        self._left -= going * len(self.stage)
        return images - going

    def _finish(self) -> None:
        """The last word is the scores': the cutoff that an image was stopped at may have moved since."""
        self.contested = self.contested[:0]
        self.verdict_N[:] = -1
        self.verdict_N[np.argsort(-self.scores_N, kind="stable")[: self._k]] = 1


def _stops(last: int, growth: float, first: int = FIRST) -> tuple[int, ...]:
    """Passes after each stage, from `first`, growing by a factor, to `last`."""
    stops = [min(first, last)]
    while stops[-1] < last:
        stops.append(min(last, int(np.ceil(stops[-1] * growth))))
    return tuple(stops)


def _cutoff(scores_N: np.ndarray, deviation_N: np.ndarray, freedom_N: np.ndarray, k: int) -> float:
    """The c at which the chances of lying above it sum to k, 0 < k < N."""

    def surplus(c: float) -> float:
        return float(stdtr(freedom_N, (scores_N - c) / deviation_N).sum()) - k

    # Around the empirical cutoff; widened until the root lies inside, as the tails are heavy.
    middle, width = float(np.partition(scores_N, -k)[-k]), float(np.median(deviation_N)) + TINY
    while surplus(middle - width) < 0 or surplus(middle + width) > 0:
        width *= 4
    return float(brentq(surplus, middle - width, middle + width, xtol=max(width * 1e-6, TINY)))
