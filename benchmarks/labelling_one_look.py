"""Simulated projects of benchmarks/labelling_coverage.py whose intervals are for one planned look: an oracle knows what
each should hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from labelling_worlds import ASKED, looks, seeded
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from al_cxr.evaluation.agreement import agreement
from al_cxr.evaluation.audit import Figure
from al_cxr.evaluation.learning_curve import labels_needed
from al_cxr.evaluation.powered import prediction_powered
from al_cxr.evaluation.random_arm import gain, random_sets
from al_cxr.evaluation.weighted import lure, lure_weights, pooled_weights, weighted_rates

Project = Callable[[int], tuple[Figure, float]]
"""Run -> a figure, and the truth that its interval should hold."""


def at_one_look(project: Project, runs: int) -> tuple[float, float, float]:
    """Of a figure and its truth by run: how often there was an interval, how often that held, and its median width."""
    found = [project(run) for run in range(runs)]
    told = [(one, truth) for one, truth in found if np.isfinite(one.low)]
    held = [one.low <= truth <= one.high for one, truth in told]
    return len(told) / runs, float(np.mean(held)), float(np.median([one.high - one.low for one, _ in told]))


def chosen(scores_N: np.ndarray, draws: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images drawn one after another in proportion to their scores (Gumbel's keys), and the q of each."""
    order = np.argsort(-(np.log(scores_N) + draw.gumbel(size=len(scores_N))))[:draws]
    left = scores_N.sum() - np.concatenate([[0.0], np.cumsum(scores_N[order])[:-1]])
    return order, scores_N[order] / left


@dataclass(frozen=True)
class Archive:
    """3,000 images of which a share is ill; `said_N` is what a model of elsewhere says."""

    prevalence: float
    size: int = 3000

    def make(self, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        ill_N = draw.random(self.size) < self.prevalence
        return ill_N, expit(2 * draw.normal(2.0 * ill_N - 1.0) + np.log(self.prevalence / (1 - self.prevalence)))

    def loss(self, run: int, draws: int = 100) -> tuple[Figure, float]:
        draw = seeded(6, run)
        ill_N, said_N = self.make(draw)
        wrong_N = ((said_N > 0.5) != ill_N).astype(float)
        doubt_N = np.minimum(said_N, 1 - said_N)
        picked, q = chosen(doubt_N + 0.2 * doubt_N.mean(), draws, draw)
        return lure(wrong_N[picked], q, self.size), float(wrong_N.mean())

    def rate(self, name: str, run: int, audited: int = 100, draws: int = 200) -> tuple[Figure, float]:
        draw = seeded(7, run)
        ill_N, said_N = self.make(draw)
        flagged_N, truth_N = said_N > 0.3, ill_N if name == "sensitivity" else ~ill_N
        picked, q = chosen(said_N + 0.2 * said_N.mean(), draws, draw)
        weights = pooled_weights(np.ones(audited), lure_weights(q, self.size))
        at = np.concatenate([draw.permutation(self.size)[:audited], picked])
        truth = float((flagged_N == ill_N)[truth_N].mean())
        return weighted_rates(flagged_N[at], ill_N[at], weights)[name], truth

    def share(self, active: bool, run: int, asked: int = 200) -> tuple[Figure, float]:
        draw = seeded(8, run)
        ill_N, said_N = self.make(draw)
        if active:
            at, q = chosen(said_N + 0.5 * said_N.mean(), asked, draw)
            return prediction_powered(said_N, said_N[at], ill_N[at], lure_weights(q, self.size)), float(ill_N.mean())
        at = draw.permutation(self.size)[:asked]
        return prediction_powered(said_N, said_N[at], ill_N[at]), float(ill_N.mean())


def readers(name: str, run: int, images: int = 120) -> tuple[Figure, float]:
    """Two readers of a table of which kappa is 0.524, AC1 0.655."""
    counts = [200, 100, 100, 600]
    first, second = np.repeat([1, 1, 0, 0], counts), np.repeat([1, 0, 1, 0], counts)
    at = seeded(9, run).integers(0, 1000, images)
    return agreement(first[at], second[at], 2, 1)[name], agreement(first, second, 2, 1)[name].value


def curve(audited: int, run: int) -> tuple[Figure, float]:
    """Labels for 90 % on 0.95 - 1.5 n^-0.6, of seven models of 20 to 320 labels; an open end holds."""
    sizes = np.array([20, 40, 80, 120, 160, 240, 320])
    draw = seeded(10, run, audited)
    right = draw.random(audited) < (0.95 - 1.5 * sizes[:, None] ** -0.6)
    found = labels_needed(sizes, right.astype(float), 0.90, draws=300)
    return Figure(found.value, found.low, found.high, audited, False, found.why), (1.5 / 0.05) ** (1 / 0.6)


class RandomArm:
    """A logistic regression of 40 chosen labels against ones of 40 random labels, on an audit."""

    def __init__(self) -> None:
        self.draw = seeded(11)
        self.test = self.data(20_000)
        self.random = float(np.mean([self.accuracy(self.fit()) for _ in range(200)]))

    def data(self, images: int) -> tuple[np.ndarray, np.ndarray]:
        x = self.draw.normal(size=(images, 6))
        return x, self.draw.random(images) < expit(2 * x[:, 0] + x[:, 1])

    def fit(self) -> LogisticRegression:
        while True:
            x, y = self.data(40)
            if 0 < y.sum() < 40:
                return LogisticRegression().fit(x, y)

    def accuracy(self, model: LogisticRegression) -> float:
        return float((model.predict(self.test[0]) == self.test[1]).mean())

    def compare(self, audited: int) -> tuple[Figure, float]:
        model, (x, y) = self.fit(), self.data(audited)
        rows = []
        for one in random_sets([""] * audited, 40):
            row = np.full(audited, np.nan)
            row[one.test] = LogisticRegression().fit(x[one.train], y[one.train]).predict(x[one.test]) == y[one.test]
            rows.append(row)
        return gain(model.predict(x) == y, np.array(rows)), self.accuracy(model) - self.random


def powered_looked_at(count: int, runs: int) -> float:
    """How often the prevalence by predictions, an interval for one look, is wrong at any of some looks."""
    wrong = []
    for run in range(runs):
        draw = seeded(12, run)
        ill_N, said_N = Archive(0.2).make(draw)
        order, truth = draw.permutation(3000)[:ASKED], ill_N.mean()
        found = [prediction_powered(said_N, said_N[order[:t]], ill_N[order[:t]]) for t in looks(count)]
        wrong.append(any(one.low > truth or one.high < truth for one in found))
    return float(np.mean(wrong))
