"""Simulated projects of benchmarks/labelling_coverage.py whose figures are looked at again and again: sequences and
certificates, beside intervals that are not made for that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln
from scipy.stats import beta, norm

from al_cxr.evaluation.audit import block_areas, one_each
from al_cxr.evaluation.certificate import due, exams, sit
from al_cxr.evaluation.sequences import PRIOR, bounded_mean, log_wealth, proportion_sequence

ASKED = 600
LOOKS = (3, 30, 300)
SURE = np.log(20)


def seeded(*purpose: int) -> np.random.Generator:
    return np.random.default_rng([2026, *purpose])


def looks(count: int) -> np.ndarray:
    """Numbers of answers at which one looks, evenly."""
    return np.arange(1, count + 1) * (ASKED // count)


def fixed(hits_T: np.ndarray, at_L: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Clopper and Pearson's bounds at some numbers of answers."""
    hit_L, tail = np.cumsum(hits_T)[at_L - 1], (1 - level) / 2
    low_L, high_L = beta.ppf(tail, hit_L, at_L - hit_L + 1), beta.ppf(1 - tail, hit_L + 1, at_L - hit_L)
    return np.nan_to_num(low_L, nan=0.0), np.nan_to_num(high_L, nan=1.0)


@dataclass(frozen=True)
class Followed:
    """Shares of projects in which an interval was wrong at any of 3, 30 or 300 looks, by kind of interval; and the mean
    width of the last."""

    wrong: dict[str, list[float]]
    width: dict[str, float]


def shares(share: float, size: int, runs: int) -> Followed:
    """A proportion of an archive, followed over 600 images: by a sequence that knows the archive's size, by one that
    does not, and by a fixed interval."""
    wrong: dict[str, list[list[bool]]] = {"known": [], "unknown": [], "fixed": []}
    widths: dict[str, list[float]] = {name: [] for name in wrong}
    truth = round(share * size) / size
    for run in range(runs):
        hits_T = seeded(1, run, size, round(1000 * share)).permutation(size)[:ASKED] < round(share * size)
        bounds = {"known": proportion_sequence(hits_T, size), "unknown": proportion_sequence(hits_T)}
        found = {name: (one.low_T, one.high_T) for name, one in bounds.items()}
        found["fixed"] = fixed(hits_T, np.arange(1, ASKED + 1))
        for name, (low_T, high_T) in found.items():
            off_T = (low_T > truth) | (high_T < truth)
            wrong[name].append([bool(off_T[looks(count) - 1].any()) for count in LOOKS])
            widths[name].append(high_T[-1] - low_T[-1])
    means = {name: np.mean(rows, axis=0).tolist() for name, rows in wrong.items()}
    return Followed(means, {name: float(np.mean(values)) for name, values in widths.items()})


def areas(distance: float, share: float, runs: int) -> Followed:
    """The AUC of two normals that far apart: by blocks, and by DeLong's normal interval looked at again and again."""
    truth = norm.cdf(distance / np.sqrt(2))
    wrong: dict[str, list[list[bool]]] = {"blocks": [], "fixed": []}
    widths: dict[str, list[float]] = {"blocks": [], "fixed": []}
    for run in range(runs):
        draw = seeded(2, run, round(1000 * share), round(1000 * distance))
        ill_T = draw.random(ASKED) < share
        scores_T = draw.normal(distance * ill_T)
        blocks = block_areas(scores_T, ill_T)
        ever = max(log_wealth(blocks, truth).max(), log_wealth(1 - blocks, 1 - truth).max()) >= np.log(40)
        wrong["blocks"].append([bool(ever)] * len(LOOKS))
        low, high = bounded_mean(blocks) if run < 40 else (np.nan, np.nan)
        widths["blocks"].append(high - low)
        low_T, high_T = delong(scores_T, ill_T)
        off_T = (low_T > truth) | (high_T < truth)
        wrong["fixed"].append([bool(off_T[looks(count) - 1].any()) for count in LOOKS])
        widths["fixed"].append(high_T[-1] - low_T[-1])
    means = {name: np.mean(rows, axis=0).tolist() for name, rows in wrong.items()}
    return Followed(means, {name: float(np.nanmean(values)) for name, values in widths.items()})


def delong(scores_T: np.ndarray, ill_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (T,) after each image; 0 and 1 before there are 5 of each kind."""
    above = (1 + np.sign(scores_T[ill_T][:, None] - scores_T[~ill_T])) / 2
    by_ill, by_well = np.cumsum(above, axis=1), np.cumsum(above, axis=0)
    low_T, high_T = np.zeros(len(ill_T)), np.ones(len(ill_T))
    for t in range(len(ill_T)):
        ill = int(ill_T[: t + 1].sum())
        well = t + 1 - ill
        if min(ill, well) < 5:
            continue
        of_ill, of_well = by_ill[:ill, well - 1] / well, by_well[ill - 1, :well] / ill
        half = 1.96 * np.sqrt(of_ill.var(ddof=1) / ill + of_well.var(ddof=1) / well)
        low_T[t], high_T[t] = of_ill.mean() - half, of_ill.mean() + half
    return low_T, high_T


def wrong_certificates(target: float, most: int, kept: float, runs: int) -> dict[str, float]:
    """Shares of projects with any wrong certificate. After every five audit images there is a new model; each answers
    rightly just less often than the target, and a share `kept` of its answers is that of the model before."""
    plan, at_L, found = exams(target, most), np.arange(5, most + 1, 5), []
    for run in range(runs):
        draw = seeded(3, run, most, round(1000 * target), round(100 * kept))
        right, sat, exam, sequence, hits = draw.random(most) < target - 1e-9, 0, False, False, []
        for images in at_L:
            if kept < 1:
                right = np.where(draw.random(most) < kept, right, draw.random(most) < target - 1e-9)
            hits.append(right[:images].sum())
            sequence = sequence or shown_above(right[:images], target) is not None
            if size := due(plan, int(images), sat):
                sat, exam = size, exam or sit(plan, size, right).passed
        low_L = np.nan_to_num(beta.ppf(0.05, hits, at_L - np.array(hits) + 1), nan=0.0)
        found.append([exam, sequence, (low_L >= target).any()])
    return dict(zip(("exams", "each model's sequence", "fixed"), np.mean(found, axis=0).tolist(), strict=True))


def shown_above(right_T: np.ndarray, target: float) -> int | None:
    """After how many images the lower bound of `proportion_sequence` is first above the target."""
    hit_T, all_T = np.cumsum(right_T), np.arange(1, len(right_T) + 1)
    marginal_T = betaln(PRIOR + hit_T, PRIOR + all_T - hit_T) - betaln(PRIOR, PRIOR)
    ratio_T = marginal_T - hit_T * np.log(target) - (all_T - hit_T) * np.log1p(-target)
    above_T = (ratio_T >= SURE) & (hit_T > target * all_T)
    return int(above_T.argmax()) + 1 if above_T.any() else None


def right_certificates(target: float, truth: float, most: int, runs: int) -> tuple[float, float, float, float]:
    """Of one model that is good enough: the share that gets a certificate by exams, the median audit images it took,
    and the same by its sequence."""
    plan, exam, sequence = exams(target, most), [], []
    for run in range(runs):
        right = seeded(4, run, most, round(1000 * target)).random(most) < truth
        exam.append(next((size for size in plan.sizes if sit(plan, size, right).passed), np.inf))
        sequence.append(shown_above(right, target) or np.inf)
    had = [float(np.mean(np.isfinite(by))) for by in (exam, sequence)]
    return had[0], float(np.median(exam)), had[1], float(np.median(sequence))


def patients(images_each: int, runs: int) -> dict[str, float]:
    """Accuracy when all images of a patient are asked, and are about as hard as each other: shares of projects in which
    its sequence is ever wrong, if every image counts and if one a patient does."""
    found = []
    for run in range(runs):
        draw = seeded(5, run, images_each)
        risk = np.repeat(draw.beta(2.0, 0.5, ASKED // images_each), images_each)
        right, whose = draw.random(ASKED) < risk, [f"p{i // images_each}" for i in range(ASKED)]
        bounds = [proportion_sequence(right), proportion_sequence(right[one_each(whose)])]
        found.append([(one.low_T > 0.8).any() or (one.high_T < 0.8).any() for one in bounds])
    return dict(zip(("every image", "one a patient"), np.mean(found, axis=0).tolist(), strict=True))
