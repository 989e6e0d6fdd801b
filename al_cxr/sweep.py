"""All runs of an experiment, arms x seeds and baselines: what is left to do, how long it takes, doing it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from al_cxr import strategies
from al_cxr.fits import obtain
from al_cxr.pool import query_size, seed_size
from al_cxr.processes import perform_all
from al_cxr.records import BaselineRecord, RoundRecord, write
from al_cxr.run import arm_folder, run_arm, seed_labels
from al_cxr.workspace import Workspace, speed

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What can be computed by itself. `name` is the arm, or the loss of a seed set's model."""

    kind: Literal["baseline", "seed set", "arm"]
    name: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """What is still to be computed. `train_images` counts every image of every epoch, `score_images` every pass."""

    fits: int
    queries: int
    train_images: int
    score_images: int

    def __bool__(self) -> bool:
        return self.fits > 0 or self.queries > 0

    def seconds(self, train_speed: float, score_speed: float) -> float:
        return self.train_images / train_speed + self.score_images / score_speed


def label_counts(workspace: Workspace) -> list[int]:
    """Labelled images at each round, round 0 first."""
    budget, n = workspace.settings.budget, len(workspace.train_index)
    counts = [seed_size(budget, n)]
    for _ in range(budget.rounds):
        if counts[-1] >= n:
            break
        counts.append(counts[-1] + query_size(budget, n, n - counts[-1]))
    return counts


def plan(workspace: Workspace) -> Plan:
    """The work that is left, at most: early stopping is not foreseen. Fits that arms share are counted once."""
    settings, counts = workspace.settings, label_counts(workspace)
    n, val, test = len(workspace.train_index), *(len(workspace.dataset.indices(s)) for s in ("val", "test"))
    fits, queries, trained, scored = 0, 0, 0, 0

    def count_fit(labels: int) -> None:
        nonlocal fits, trained, scored
        fits, trained = fits + 1, trained + labels * settings.train.epochs
        scored += val * settings.train.epochs + val + test

    for seed in settings.seeds:
        if not _baseline_path(workspace, seed).exists():
            count_fit(n)
        fresh_losses = set()
        for name, arm in settings.arms.items():
            folder, needs = arm_folder(workspace, name, seed), strategies.get(arm.strategy).needs
            for number, labels in enumerate(counts):
                shared = number == 0 and arm.loss in fresh_losses
                if not (folder / f"round-{number}.json").exists() and not shared:
                    count_fit(labels)
                if number + 1 < len(counts) and not (folder / f"query-{number}.json").exists() and needs:
                    queries += 1
                    scored += (n - labels) * (settings.scoring.passes if needs & {"mc", "votes"} else 1)
            fresh_losses.add(arm.loss)
    return Plan(fits, queries, trained, scored)


def announce(workspace: Workspace, say: Say) -> Plan:
    """Say what is to be done and, from measured steps, how long it will take at most; the plan is false if empty."""
    todo = plan(workspace)
    if todo:
        train_speed, score_speed = speed(workspace)
        processes = workspace.settings.machine.processes
        say(
            f"to do     {todo.fits} models to train, {todo.queries} pools to score: at most "
            f"{duration(todo.seconds(train_speed, score_speed) / processes)} ({processes} at a time; measured: "
            f"{train_speed:,.0f} images/s training, {score_speed:,.0f} images/s scoring)"
        )
    return todo


def run_all(workspace: Workspace, say: Say) -> None:
    """Compute everything that is missing, in this process or in several; the records are the same bytes.

    First what several arms need (baselines, and the models on the seed sets), then the arms.
    """
    started, settings = time.monotonic(), workspace.settings
    losses = dict.fromkeys(arm.loss for arm in settings.arms.values())
    shared = [Job("baseline", "", seed) for seed in settings.seeds]
    shared += [Job("seed set", loss, seed) for seed in settings.seeds for loss in losses]
    arms = [Job("arm", name, seed) for seed in settings.seeds for name in settings.arms]
    for jobs in (shared, arms):
        run_jobs(workspace, jobs, say)
    say(f"finished  in {duration(time.monotonic() - started)}")


def run_jobs(workspace: Workspace, jobs: list[Job], say: Say) -> None:
    """Jobs that do not need each other, `machine.processes` at a time."""
    count = workspace.settings.machine.processes
    if count > 1 and len(jobs) > 1:
        perform_all(workspace, jobs, perform, count)
    else:
        for job in jobs:
            perform(workspace, job, say)


def perform(workspace: Workspace, job: Job, say: Say) -> None:
    """One job of a sweep."""
    if job.kind == "baseline":
        run_baseline(workspace, job.seed, say)
    elif job.kind == "seed set":
        obtain(workspace, job.name, job.seed, seed_labels(workspace, job.seed), f"{job.name} seed {job.seed} round 0")
    else:
        oracle = workspace.dataset.labels_N.__getitem__
        run_arm(workspace, job.name, job.seed, oracle, lambda record: say(_line(workspace, record)))


def run_baseline(workspace: Workspace, seed: int, say: Say) -> BaselineRecord:
    """The reference of one seed: the same trainer with every training label."""
    loss = workspace.settings.baseline.loss
    fit = obtain(workspace, loss, seed, workspace.train_index, f"baseline seed {seed}")
    record = BaselineRecord(
        seed=seed,
        loss=loss,
        n_labelled=len(workspace.train_index),
        fit=fit.record.key,
        val=fit.record.val,
        test=fit.record.test,
    )
    write(_baseline_path(workspace, seed), record)
    target = workspace.settings.data.target
    say(
        f"baseline, seed {seed}: all {record.n_labelled:,} labels · accuracy {100 * record.test.accuracy:.1f} % · "
        f"{target} F1 {100 * record.test.of(target).f1:.1f} %"
    )
    return record


def duration(seconds: float) -> str:
    """Seconds in words a person plans with: 42 s, 7 min, 3 h 10 min, 2 d 5 h."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def _baseline_path(workspace: Workspace, seed: int) -> Path:
    return workspace.folder / "baseline" / f"seed-{seed}.json"


def _line(workspace: Workspace, record: RoundRecord) -> str:
    target = workspace.settings.data.target
    return (
        f"{record.arm}, seed {record.seed}, round {record.round}: {record.n_labelled:,} labels "
        f"(+{record.acquired[target]} {target}) · "
        f"accuracy {100 * record.test.accuracy:.1f} % · {target} F1 {100 * record.test.of(target).f1:.1f} %"
    )
