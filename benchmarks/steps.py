r"""How many optimizer steps a training needs, whatever the number of labels; judged on validation images alone.

    python benchmarks/steps.py experiments/tb_entropy.yaml --steps 300,600,1200,2400
    python benchmarks/steps.py experiments/cxr3_features.yaml --steps 150,300,600,1200,2400

Trains the experiment's network, with its own settings but for `train.steps`, on 5, 30 and 100 % of the training
images with seeds that no arm has, and prints the macro F1 and the log-loss of the last weights on validation. A number
of steps is enough where twice as many bring less than a point of macro F1, or less than the spread of their difference
over the seeds, at every number of labels. The first that is enough is proposed. The test split is not looked at.

Trainings lie in runs/steps-NAME; a stopped benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from al_cxr.api.opening import begin
from al_cxr.config import Settings, shipped
from al_cxr.config import files as experiment
from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.core.seeds import rng
from al_cxr.data.load import load_first
from al_cxr.experiment.workspace import Workspace, reopen
from al_cxr.sampling.scoring import predict
from al_cxr.training.length import images_trained
from al_cxr.training.trainer import fit

LABELS = (0.05, 0.30, 1.0)
SEEDS = (100, 101, 102, 103)
ENOUGH = 0.01
"""Macro F1 that twice the steps may still bring."""

Cell = tuple[float, int, int]
"""Share of the training images, optimizer steps, seed."""

_workspace: Workspace | None = None


def _open(folder: Path, settings: Settings) -> None:
    """In each worker process, once."""
    global _workspace
    _workspace = reopen(folder, settings)


def train(cell: Cell) -> dict[str, float]:
    """One training of a cell, as numbers of its last weights; F1 in 0..1, losses in nats."""
    assert _workspace is not None
    share, steps, seed = cell
    w = _workspace
    index = w.train_index
    labelled = rng(seed, "seed_set").permutation(index)[: max(2, round(share * len(index)))]
    task = w.task(w.settings.baseline.loss, seed, np.sort(labelled))
    own = task.settings.model_copy(update={"steps": steps})
    fitted = fit(w.build_model(seed), replace(task, settings=own))
    val = w.dataset.indices("val")
    probs_NC = predict(fitted.model, w.loader.batches(val, w.runtime.score_batch))
    metrics = measure(probs_NC, w.dataset.labels_N[val], w.dataset.classes)
    return {
        "share": share,
        "labels": len(labelled),
        "steps": steps,
        "seed": seed,
        "macro_f1": metrics.macro.f1,
        "target_f1": metrics.of(w.settings.data.target).f1,
        "log_loss": metrics.log_loss,
        "train_loss": fitted.history[-1].train_loss,
        "seconds": fitted.seconds,
    }


def trained(workspace: Workspace, cells: Sequence[Cell], processes: int) -> pd.DataFrame:
    """A row a cell; those in the workspace's folder are not trained again."""
    kept = workspace.folder / "steps.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    done = {(row["share"], row["steps"], row["seed"]) for row in rows}
    if left := [cell for cell in cells if cell not in done]:
        context = multiprocessing.get_context("spawn")
        with (
            context.Pool(processes, _open, (workspace.folder, workspace.settings)) as pool,
            open(kept, "a", encoding="utf-8") as f,
        ):
            for row in tqdm(pool.imap_unordered(train, left), total=len(left), desc="training", disable=None):
                rows.append(row)
                f.write(json.dumps(row) + "\n")
                f.flush()
    wanted = pd.DataFrame([row for row in rows if (row["share"], row["steps"], row["seed"]) in set(cells)])
    return wanted.sort_values(["share", "steps", "seed"], ignore_index=True)


def doubled(frame: pd.DataFrame, share: float, steps: int, metric: str = "macro_f1") -> tuple[float, float] | None:
    """What twice the steps bring: mean and standard deviation over seeds of the paired difference; None where they were
    not tried."""
    at = frame[frame["share"] == share].pivot(index="seed", columns="steps", values=metric)
    if 2 * steps not in at:
        return None
    difference = (at[2 * steps] - at[steps]).dropna()
    return float(difference.mean()), float(difference.std(ddof=1))


def enough(frame: pd.DataFrame) -> int | None:
    """The fewest steps from which on doubling brings less than `ENOUGH`, or less than its own spread, at every number
    of labels; None where none of those tried are."""
    for steps in sorted(set(frame["steps"])):
        gains = [doubled(frame, share, steps) for share in sorted(set(frame["share"]))]
        if all(gain is not None and (gain[0] < ENOUGH or gain[0] < gain[1]) for gain in gains):
            return int(steps)
    return None


def page(frame: pd.DataFrame, workspace: Workspace) -> str:
    """The table in markdown."""
    counted, card, settings = frame.groupby("share")["labels"].first(), workspace.data_card, workspace.settings
    lines = [
        "# Optimizer steps: how many are enough",
        "",
        f"    {shlex.join(['python', *sys.argv])}",
        "",
        f"{card.name}{' (synthetic: no patient was imaged)' if card.synthetic else ''}, {settings.model.arch}, "
        f"{settings.data.image_size} px. Macro F1 in % and log-loss in nats on {len(workspace.dataset.indices('val'))} "
        f"validation images, mean ± standard deviation over seeds {', '.join(map(str, SEEDS))}, last weights, loss "
        f"{settings.baseline.loss}. *twice as many*: points of macro F1 that doubling the steps brings, within a seed. "
        "The test split was not looked at.",
        "",
        "| labels | steps | times each image is seen | macro F1 | twice as many | log-loss | training loss |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (share, steps), group in frame.groupby(["share", "steps"]):
        gain, f1, loss = doubled(frame, share, steps), 100 * group["macro_f1"], group["log_loss"]
        seen = images_trained(settings.train.model_copy(update={"steps": steps, "epochs": None}), counted[share])
        cells = (
            f"{counted[share]:,} ({100 * share:.0f} %)",
            f"{steps:,}",
            f"{seen / counted[share]:.0f}",
            f"{f1.mean():.1f} ± {f1.std(ddof=1):.1f}",
            "—" if gain is None else f"{100 * gain[0]:+.1f} ± {100 * gain[1]:.1f}",
            f"{loss.mean():.3f} ± {loss.std(ddof=1):.3f}",
            f"{group['train_loss'].mean():.3f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    found = enough(frame)
    lines += [
        "",
        f"Enough at every number of labels: {found:,} steps."
        if found
        else "None of these is enough at every number of labels.",
        "",
    ]
    if card.attribution:
        lines += [card.attribution, ""]
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions().items())
    return "\n".join([*lines, provenance.commit(), versions, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("experiment")
    parser.add_argument("--steps", default="300,600,1200,2400", help="numbers of steps, each twice the one before")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a markdown file; default results/benchmarks/steps-EXPERIMENT.md")
    options = parser.parse_args()
    try:
        given = [experiment.parse_override(text) for text in options.set]
        tried = [int(n) for n in options.steps.split(",")]
        # The experiment's own number is what is asked for, so it must not decide which trainings are kept.
        given.append({"train": {"steps": max(tried), "epochs": None, "monitor": "none", "patience": 0}})
        file = shipped.find(options.experiment)
        settings = experiment.load(file, None, given).model_copy(update={"arms": {}})
        name = f"steps-{file.stem}"
        dataset = load_first(settings.data)
        workspace = begin(name, settings, dataset, Path("runs") / name)
        cells = [(share, steps, seed) for steps in tried for share in LABELS for seed in SEEDS]
        text = page(trained(workspace, cells, options.processes), workspace)
    except UserError as error:
        sys.exit(f"error: {error}")
    out = options.out or Path("results/benchmarks") / f"{name}.md"
    write_atomically(out, text.encode())
    print(text)


if __name__ == "__main__":
    main()
