"""Scoring throughput and faithfulness: al-cxr against Baal 2.1 and a plain loop, on trained networks.

    pip install -e ".[bench]"
    python benchmarks/scoring.py --data data/cxr/cxr3.csv --out results/benchmarks/scoring.md

Every network is trained on 30 % of the labels and scores the rest of the training set with T passes. All rows of a
network are measured in one run, in turns, on the same weights, images and threads; quote the ratios. Slow rows are
timed on fewer images. Two references judge the batch of the 10 % highest entropies: the plain loop in float32 with the
same masks, and many independent passes.
"""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from baal_modes import MODES, baal
from memory import extra_bytes
from scoring_cases import CASES, Case, trained
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.sampling.engine import Sampling, engine
from al_cxr.sampling.passes import monte_carlo, race_over
from al_cxr.sampling.race import Racing

SHARE = 0.1


Score = Callable[[Tensor, int], np.ndarray]


@dataclass
class Row:
    """One way to score: `call(images, seed of the masks) -> entropies`, and what was measured of it."""

    name: str
    call: Score
    few: bool = False
    judged: Score | None = None
    """What computes the same sooner, where `few`; None for `call` itself or, where `few`, for nothing."""
    flops: Callable[[], float] | None = None
    speed: float = 0.0
    scores: np.ndarray | None = None
    bytes: float = float("nan")

    def score(self, images: Tensor) -> None:
        self.scores = self.call(images, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="phantom:2000")
    parser.add_argument("--cases", default=",".join(CASES), help="of %(default)s")
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the tables there, as markdown")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    rates = {dtype: matrix_rate(dtype) for dtype in (torch.float32, torch.bfloat16)}
    parts = [
        "# Scoring throughput",
        "    " + shlex.join(["python", "benchmarks/scoring.py", *sys.argv[1:]]),
        f"T = {options.passes}, {options.threads} thread(s); matrix products reach "
        + " and ".join(f"{rate / 1e9:,.0f} GFLOPS in {name(dtype)}" for dtype, rate in rates.items())
        + f". Fastest of {options.turns} turns. *floor*: images/s if all operations that are left ran at that rate.",
    ]
    stamp = f"{provenance.commit()}; " + ", ".join(f"{k} {v}" for k, v in provenance.versions().items())
    for key in options.cases.split(","):
        parts.append(measure(CASES[key], options, rates))
        print(parts[-1], flush=True)
        if options.out is not None:  # after each, as all of them take an hour
            write_atomically(options.out, ("\n\n".join([*parts, NOTES, stamp]) + "\n").encode())


def measure(case: Case, options: argparse.Namespace, rates: dict[torch.dtype, float]) -> str:
    """One network: its rows as a markdown table."""
    model, images, accuracy, stamp = trained(case, options.data)
    torch.set_num_threads(options.threads)
    k = round(SHARE * len(images))
    rows = ways(model, images, k, options.passes, rates)
    if case.slow:
        for row in rows:
            row.call(images[:2], 0)
    for turn in range(1 if case.slow else options.turns + 1):
        for row in rows:
            given = images[: case.few] if row.few else images
            started = time.perf_counter()
            if turn == 0:  # which warms up, too
                row.bytes = extra_bytes(functools.partial(row.score, given))
            else:
                row.score(given)
            if turn or case.slow:
                row.speed = max(row.speed, len(given) / (time.perf_counter() - started))
    baal_default, plain, exact = rows[0], rows[len(MODES)], rows[len(MODES) + 2]
    same = exact.scores if case.slow else plain.call(images, 0)
    if not case.slow:
        baal_default.judged = baal_default.call
    dtype = torch.bfloat16 if case.slow else torch.float32
    reference = full(model, Sampling(case.reference, 999, 0, stratified=False, dtype=dtype))(images, 999)
    default, best = rows[0].speed, max(row.speed for row in rows[: len(MODES)])
    lines = [
        f"## {case.title}, {case.size} px\n",
        f"{stamp}; {len(images):,} images, validation accuracy {100 * accuracy:.1f} %.\n",
        "| how | images/s | × Baal default | × Baal best | memory, MB | same masks, % "
        f"| T = {case.reference}, % | floor, images/s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        floor = f"{row.flops():,.0f}" if row.flops else "—"
        judged = row.judged or (None if row.few else row.call)
        scores = [judged(images, seed) for seed in range(case.judges)] if judged else []
        shared = [overlap(scores[:1], same, k), overlap(scores, reference, k)]
        lines.append(
            f"| {row.name} | {row.speed:,.1f} | {row.speed / default:.1f} | {row.speed / best:.1f} "
            f"| {row.bytes / 2**20:,.0f} | {shared[0]} | {shared[1]} | {floor} |"
        )
    return "\n".join(lines)


def ways(model: nn.Module, images: Tensor, k: int, passes: int, rates: dict[torch.dtype, float]) -> list[Row]:
    """Baal first, then the plain loop, then al-cxr."""
    rows = [Row(f"Baal, {mode}", unseeded(baal(model, mode, passes)), few=True) for mode in MODES]
    exact = Sampling(passes, 0, 0)

    def floor(how: Sampling, share: float = 1.0) -> float:
        with FlopCounterMode(display=False) as counter, engine(model, images[:64], how) as sampled:
            start = counter.get_total_flops()
            for _, logits in sampled.run(batched(images[:64]), range(passes)):
                list(logits)
            return float(64 * rates[how.dtype] / ((counter.get_total_flops() - start) * share))

    def race(how: Sampling, racing: Racing) -> Score:
        def call(x: Tensor, seed: int) -> np.ndarray:
            seeded = replace(how, seed=seed)
            statistics = race_over(model, np.arange(len(x)), lambda index: batched(x, index), seeded, racing)
            had = passes if statistics.passes_N is None else float(np.mean(statistics.passes_N))
            shares[racing.limit] = had / passes
            return np.asarray(statistics.predictive_entropy_N)

        return call

    shares: dict[int | None, float] = {}
    half = replace(exact, dtype=torch.bfloat16)
    loop, head = replace(exact, fast=False), replace(half, head=True)
    independent = replace(exact, stratified=False)
    rows += [
        Row("plain loop, masks of al-cxr", full(model, loop), few=True, flops=lambda: floor(loop)),
        Row(
            "plain loop, independent masks",
            full(model, replace(independent, fast=False)),
            few=True,
            judged=full(model, independent),
        ),
        Row("al-cxr, float32", full(model, exact), flops=lambda: floor(exact)),
        Row("al-cxr, bfloat16", full(model, half), flops=lambda: floor(half)),
        Row("al-cxr, bfloat16, race capped", race(half, Racing(k)), flops=lambda: floor(half, shares[None])),
        Row("al-cxr, bfloat16, race budget", race(half, Racing(k, limit=200)), flops=lambda: floor(half, shares[200])),
        Row("al-cxr, bfloat16, scope head", full(model, head), flops=lambda: floor(head)),
    ]
    if any(isinstance(module, nn.RNNBase) for module in model.modules()):  # whose products torch does not count
        rows = [replace(row, flops=None) for row in rows]
    return rows


def full(model: nn.Module, how: Sampling) -> Score:
    """All passes over all images."""

    def call(x: Tensor, seed: int) -> np.ndarray:
        return np.asarray(monte_carlo(model, batched(x), replace(how, seed=seed)).predictive_entropy_N)

    return call


def unseeded(call: Callable[[Tensor], np.ndarray]) -> Score:
    """Of a library that draws its masks from torch's generator."""
    return lambda x, seed: call(x)


def batched(images: Tensor, index: np.ndarray | None = None) -> Any:
    index = np.arange(len(images)) if index is None else index
    for start in range(0, len(index), 256):
        part = index[start : start + 256]
        yield part, images[torch.from_numpy(part)]


def overlap(scores: Sequence[np.ndarray], reference: np.ndarray | None, k: int) -> str:
    """Share of the reference's batch that the scores choose, percent; the mean where there are several."""
    if not scores or reference is None:
        return "—"
    wanted, *chosen = (set(np.argsort(-s, kind="stable")[:k].tolist()) for s in (reference, *scores))
    return f"{100 * np.mean([len(c & wanted) for c in chosen]) / k:.1f}"


def matrix_rate(dtype: torch.dtype, side: int = 2048) -> float:
    """Measured FLOP/s of a matrix product."""
    a = torch.randn(side, side).to(dtype)
    best = 0.0
    for _ in range(8):
        started = time.perf_counter()
        a @ a
        best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best


def name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


NOTES = """\
*memory*: what the process needs at its peak beyond what it held before. *same masks*: of the 10 % highest entropies, \
the share that is also chosen by the plain loop in float32 with the same masks (at 224 px by al-cxr in float32, which \
computes the same); Baal draws masks of its own, so its figure is that of two independent runs. *T = 500* (100 in \
bfloat16 at 224 px): the same against so many independent passes, the mean over five seeds of masks (one at 224 px). \
The plain loop's is computed by al-cxr in float32 with independent masks, which is the same sooner. Baal is given \
probabilities; given logits it averages them before the softmax. *floor*: none for recurrences, which torch does not \
count."""

if __name__ == "__main__":
    main()
