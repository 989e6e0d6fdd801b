r"""How often the intervals of a comparison hold the truth, and how often its words are wrong, in a simulated world.

    python benchmarks/coverage.py --out results/benchmarks/coverage.md

Two arms, A and B, are trained with S seeds and answer the same N test images. An answer is right where

    skill of the arm + seed + seed of the arm + image + image of the arm + noise > 0

all normal. `image` is a radiograph that is hard for everybody, `image of the arm` one that is hard for one arm alone
(10 % of the variance between answers): it makes arms differ on one test set that are equal on all. The truth is F1 with
infinitely many seeds and images. Beside the interval in use stand two older ones, here in a few lines each: percentiles
of a bootstrap that draws seeds and images, plain and moved outwards for few seeds (Hesterberg 2015). It takes a
minute of one core.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import norm, t

from al_cxr.comparison.inference import f1_samples, image_samples, percentiles, seed_noise, sign_flip
from al_cxr.comparison.inference import mean_over_seeds as moved_means
from al_cxr.comparison.savings import isotonic, labels_needed, times_fewer
from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.evaluation.intervals import mean_interval

POSITIVE = 0.3
"""Of the target among the test images."""
IMAGE, INTERACTION = 0.5, 0.1
"""Of the variance between answers; the rest is noise."""
DRAWS = 400


@dataclass(frozen=True)
class World:
    seeds: int
    images: int
    ratio: float
    """Variance of the mean difference that seeds make, by that which images make."""
    skill: float = 1.0
    gain: float = 0.15
    """Of arm A over arm B."""

    def truth(self, skills: np.ndarray, spread: float) -> np.ndarray:
        """F1 of arms (M,) over seeds with that standard deviation in all."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(41)
        truth: np.ndarray = f1_of(skills[:, None] + spread * nodes) @ weights / weights.sum()
        return truth


def f1_of(skill: np.ndarray) -> np.ndarray:
    """Of infinitely many images."""
    right = norm.cdf(skill)
    hits, false = POSITIVE * right, (1 - POSITIVE) * (1 - right)
    f1: np.ndarray = 2 * hits / (hits + false + POSITIVE)
    return f1


def answers(
    draw: np.random.Generator, world: World, skills_MA: np.ndarray, tau: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which images have the target (N,), and which answers are right (M, A, S, N): M arms, A rounds, S seeds."""
    arms, rounds = skills_MA.shape
    shape = (arms, rounds, world.seeds, world.images)
    seed = tau * (draw.normal(size=(1, 1, world.seeds, 1)) + draw.normal(size=(arms, 1, world.seeds, 1)))
    image = np.sqrt(IMAGE) * draw.normal(size=(1, 1, 1, world.images))
    image = image + np.sqrt(INTERACTION) * draw.normal(size=(arms, 1, 1, world.images))
    noise = np.sqrt(1 - IMAGE - INTERACTION) * draw.standard_normal(shape, dtype=np.float32)
    return draw.random(world.images) < POSITIVE, skills_MA[:, :, None, None] + seed + image + noise > 0


def f1_replicates(positive_N: np.ndarray, right: np.ndarray, drawn_RN: np.ndarray) -> np.ndarray:
    """F1 (R, M, A, S) in samples of the images."""
    flat_FN = right.reshape(-1, right.shape[-1])
    f1_RF = f1_samples(flat_FN & positive_N, ~flat_FN & ~positive_N, positive_N, drawn_RN)
    return f1_RF.reshape(len(drawn_RN), *right.shape[:-1])


def between_seeds(world: World) -> float:
    """The standard deviation tau of a seed's effects at which seeds make `ratio` of the variance that images make."""
    draw, drawn_RN, skills = np.random.default_rng(0), image_samples(world.images, 200), skills_of(world)
    found = []
    for _ in range(20):
        f1 = f1_replicates(*answers(draw, world, skills, 0.0), drawn_RN)
        found.append((f1[1:, 0, 0] - f1[1:, 1, 0]).mean(axis=-1).var())
    slope = float(f1_of(np.array(world.skill + 0.01)) - f1_of(np.array(world.skill - 0.01))) / 0.02
    return float(np.sqrt(world.ratio * np.mean(found) * world.seeds / 2)) / slope


def skills_of(world: World) -> np.ndarray:
    return world.skill + np.array([[world.gain], [0.0]])


def old(values_RS: np.ndarray, outwards: bool) -> tuple[float, float]:
    """Percentiles of means over seeds and images drawn with replacement."""
    seeds = values_RS.shape[1]
    drawn = np.random.default_rng(1).multinomial(seeds, np.full(seeds, 1 / seeds), len(values_RS) - 1)
    means = (values_RS[1:] * drawn).sum(axis=1) / seeds
    tail = 0.025
    if outwards:
        tail = float(norm.cdf(-np.sqrt(seeds / (seeds - 1)) * t.ppf(0.975, seeds - 1)))
    low, high = np.quantile(means, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


@dataclass(frozen=True)
class Found:
    """Shares of trials, but `width`, the mean of a difference's interval by that of an ideal one."""

    difference: float
    f1: float
    outwards: float
    plain: float
    width: float
    width_outwards: float
    p_alone: float
    """Of equal arms: p < 0.05."""
    word: float
    """Of equal arms: p < 0.05 and the interval leaves 0 out."""


def simulate(world: World, trials: int, seed: int = 0) -> Found:
    """The arms' difference, arm A's F1 and the word "better or worse" in `trials` experiments."""
    draw, drawn_RN = np.random.default_rng(seed), image_samples(world.images, DRAWS)
    skills, tau = skills_of(world), between_seeds(world)
    truths = world.truth(skills[:, 0], tau * np.sqrt(2))
    truth, held, widths, values = truths[0] - truths[1], [], [], []
    for _ in range(trials):
        f1 = f1_replicates(*answers(draw, world, skills, tau), drawn_RN)[:, :, 0]
        difference = f1[:, 0] - f1[:, 1]
        new = mean_interval(difference[0], difference[1:].mean(axis=1))
        share = mean_interval(f1[0, 0], f1[1:, 0].mean(axis=1), share=True)
        outwards, plain = old(difference, True), old(difference, False)
        covered = [low <= truth <= high for low, high in (new, outwards, plain)]
        sure = sign_flip(difference[0]) < 0.05
        held.append([*covered, share[0] <= truths[0] <= share[1], sure, sure and not new[0] <= 0 <= new[1]])
        widths.append([new[1] - new[0], outwards[1] - outwards[0]])
        values.append(float(difference[0].mean()))
    in_new, in_outwards, in_plain, in_share, p_alone, word = map(float, np.mean(held, axis=0))
    width, width_outwards = np.mean(widths, axis=0) / (2 * norm.ppf(0.975) * np.std(values))
    return Found(in_new, in_share, in_outwards, in_plain, width, width_outwards, p_alone, word)


LABELS = np.array([100.0, 200, 300, 400, 500, 600])


def skill_at(labels: np.ndarray, speed: float) -> np.ndarray:
    """A learning curve that goes on rising beyond the budget; `speed` is how many labels one is worth."""
    return 0.55 + 0.42 * np.log2(labels * speed / 100)


def savings(
    seeds: int, images: int, speed: float, ratio: float, trials: int, of: str, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """way -> (share of trials whose bounds of "times fewer" hold `speed`, share whose upper bound is finite), for the
    level `of` "own last" or "random's last"; ways: seeds moved by t, drawn, drawn with the older bounds."""
    world = World(seeds, images, ratio, skill=1.2, gain=0.0)
    tau, draw, drawn_RN = between_seeds(world), np.random.default_rng(seed), image_samples(images, DRAWS)
    skills_2A = np.stack([skill_at(LABELS, speed), skill_at(LABELS, 1.0)])
    noise = seed_noise(seeds, DRAWS)
    multinomial = np.random.default_rng(1).multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS)
    drawn_RS = np.concatenate([np.ones((1, seeds)), multinomial]) / seeds
    held: dict[str, list[tuple[bool, bool]]] = {}
    for _ in range(trials):
        f1_R2AS = f1_replicates(*answers(draw, world, skills_2A, tau), drawn_RN)
        for way, means in (
            ("moved by t", moved_means(f1_R2AS, noise)),
            ("drawn", (f1_R2AS * drawn_RS[:, None, None]).sum(axis=-1)),
        ):
            arm_RA, random_RA = isotonic(means[:, 0]), isotonic(means[:, 1])
            level_R = (arm_RA if of == "own last" else random_RA)[:, -1]
            arm_R, random_R = (labels_needed(LABELS, rising, level_R) for rising in (arm_RA, random_RA))
            low_R, high_R = times_fewer(random_R, arm_R, LABELS[-1])
            low, high = percentiles(low_R[1:])[0], percentiles(high_R[1:])[1]
            held.setdefault(way, []).append((low <= speed <= high, np.isfinite(high)))
            if way == "drawn":
                both = np.isfinite(arm_R) & np.isfinite(random_R)
                low_R = np.where(both, low_R, np.where(np.isinf(arm_R), 0.0, np.inf))
                high_R = np.where(both, high_R, np.where(np.isinf(random_R), np.inf, 0.0))
                low, high = percentiles(low_R[1:])[0], percentiles(high_R[1:])[1]
                held.setdefault("drawn, older bounds", []).append((low <= speed <= high, np.isfinite(high)))
    return {way: tuple(np.mean(found, axis=0)) for way, found in held.items()}


def percent(share: float) -> str:
    return f"{100 * share:.0f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---:"] * len(header)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *rows])


def coverage_table(trials: int) -> tuple[str, list[Found]]:
    header = ["seeds", "images", "seeds : images", "difference", "F1", "F1 near 1", "width"]
    header += ["moved outwards", "its width", "plain percentiles"]
    rows, all_found = [], []
    for seeds in (3, 5, 8, 10):
        for images in (200, 600, 2000):
            for ratio in (0.25, 1.0, 4.0):
                world = World(seeds, images, ratio)
                found, high = simulate(world, trials), simulate(replace(world, skill=2.1), trials // 3)
                shares = [found.difference, found.f1, high.f1]
                cells = [str(seeds), f"{images:,}", f"{ratio:g}", *map(percent, shares), f"{found.width:.2f}"]
                cells += [percent(found.outwards), f"{found.width_outwards:.2f}", percent(found.plain)]
                rows.append(cells)
                all_found.append(found)
                print(*cells, flush=True)
    return table(header, rows), all_found


def word_table(trials: int) -> str:
    rows = []
    for seeds in (8, 10):
        for images in (200, 600, 2000):
            for ratio in (0.25, 1.0, 4.0):
                found = simulate(World(seeds, images, ratio, gain=0.0), trials)
                cells = [str(seeds), f"{images:,}", f"{ratio:g}", percent(found.p_alone), percent(found.word)]
                rows.append(cells)
                print(*cells, flush=True)
    return table(["seeds", "images", "seeds : images", "p alone", "p and interval"], rows)


def savings_table(trials: int) -> str:
    rows = []
    for seeds in (3, 5, 10):
        for ratio in (0.25, 1.0, 4.0):
            for of in ("random's last", "own last"):
                found = savings(seeds, 600, 1.5, ratio, trials, of)
                cells = [str(seeds), f"{ratio:g}", of, *(percent(found[way][0]) for way in found)]
                rows.append(cells)
                print(*cells, flush=True)
    return table(["seeds", "seeds : images", "F1 of", *found], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="coverage of the intervals of a comparison, in a simulated world")
    parser.add_argument("--out", type=Path, help="write the tables there, as markdown")
    options = parser.parse_args()
    intervals, found = coverage_table(240)
    least, most = (f(x.difference for x in found) for f in (min, max))
    stamp = f"{provenance.commit()}; " + ", ".join(f"{k} {v}" for k, v in provenance.versions().items())
    parts = [
        "# How often the intervals hold the truth",
        "    " + shlex.join(["python", "benchmarks/coverage.py", *sys.argv[1:]]),
        "Simulated experiments: two arms, S seeds, N test images of which 30 % have the target; benchmarks/coverage.py "
        "describes the world. *seeds : images* is the variance of a mean difference that seeds make, by that which "
        "images make. 95 % is aimed at; of 240 trials a figure moves by 3 points by chance.",
        "## Differences and F1",
        f"In % of the trials. The interval in use holds the true difference {percent(least)} to {percent(most)} % of "
        "the time: *difference*, then arm A's own *F1* (0.8, and 0.97: *near 1*), and its mean *width* by that of an "
        "ideal interval. Then the two older ones.",
        intervals,
        '## The words "better" and "worse"',
        "Both arms are equally good, so each is a mistake: how often p (sign flip over seeds, one comparison) is below "
        "0.05, in %, and how often the interval leaves 0 out as well, which is what the words take.",
        word_table(400),
        "## Labels saved",
        "Arm A needs 1.5 times fewer labels than B on rising curves of six rounds; 600 test images. How often, in %, "
        "the bounds of *times fewer* hold that. *moved by t* is in use: every mean of a replicate moves as other seeds "
        "would move it. *drawn*: seeds drawn with replacement. *older bounds*: without the budget where one of the two "
        "does not get there.",
        savings_table(150),
        stamp,
    ]
    if options.out is not None:
        write_atomically(options.out, ("\n\n".join(parts) + "\n").encode())


if __name__ == "__main__":
    main()
