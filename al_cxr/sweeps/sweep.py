"""All runs of an experiment, arms x seeds and baselines: how long it takes, and doing it on one of three engines."""

from __future__ import annotations

import time
from collections.abc import Callable

from al_cxr.fits import obtain
from al_cxr.records import BaselineRecord, write
from al_cxr.run import run_arm, seed_labels
from al_cxr.seeds import digest, loader_hash, member_seed
from al_cxr.sweeps.plan import Job, Plan, baseline_path, phases, plan, steps
from al_cxr.sweeps.processes import perform_all
from al_cxr.sweeps.progress import Progress, duration
from al_cxr.workspace import Workspace, speed

Say = Callable[[str], None]


def announce(workspace: Workspace, say: Say) -> Plan:
    """Say what is to be done and, from measured steps, how long it will take at most; the plan is false if empty."""
    todo = plan(workspace)
    if todo:
        train_speed, score_speed = speed(workspace)
        machine = workspace.settings.machine
        count = machine.processes if machine.engine == "processes" else 1
        how = "shared by the workers of Ray" if machine.engine == "ray" else f"{count} at a time"
        say(
            f"to do     {todo.fits} models to train, {todo.queries} pools to score: at most "
            f"{duration(todo.seconds(train_speed, score_speed) / count)} ({how}; measured: "
            f"{train_speed:,.0f} images/s training, {score_speed:,.0f} images/s scoring)"
        )
    return todo


def run_all(workspace: Workspace, say: Say) -> None:
    """Compute everything that is missing, with the engine of the settings; the records are the same bytes.

    Raises UserError where a worker is lost for good or Ray is asked for and not there.
    """
    started, machine, todo = time.monotonic(), workspace.settings.machine, phases(workspace)
    followed = {job: steps(workspace, job) for jobs in todo for job in jobs}
    with Progress(followed, workspace.settings.data.target, say) as progress:
        match machine.engine:
            case "processes":
                progress.slots = machine.processes
                perform_all(workspace, todo, perform, machine.processes)
            case "ray":
                from al_cxr.sweeps import ray_engine  # an optional extra, and a second to import

                ray_engine.perform_all(workspace, todo, perform, lambda slots: setattr(progress, "slots", slots))
            case "local":
                for jobs in todo:
                    for job in jobs:
                        perform(workspace, job)
    say(f"finished  in {duration(time.monotonic() - started)}")


def perform(workspace: Workspace, job: Job) -> None:
    """One job of a sweep, or what is left of it."""
    if job.kind == "baseline":
        run_baseline(workspace, job.seed)
    elif job.kind == "seed set":
        labelled, title = seed_labels(workspace, job.seed), f"{job.name} seed {job.seed} round 0"
        obtain(workspace, job.name, member_seed(job.seed, job.member), labelled, title)
    else:
        oracle = workspace.dataset.labels_N.__getitem__
        run_arm(workspace, job.name, job.seed, oracle, lambda record: None)


def run_baseline(workspace: Workspace, seed: int) -> BaselineRecord:
    """The reference of one seed: the same trainer with every training label."""
    settings = workspace.settings
    fit = obtain(workspace, settings.baseline.loss, seed, workspace.train_index, f"baseline seed {seed}")
    record = BaselineRecord(
        seed=seed,
        loss=settings.baseline.loss,
        n_labelled=len(workspace.train_index),
        hashes={
            "initial_weights": fit.record.initial_weights_hash,
            "loader": loader_hash(seed, settings.train.parts),
            "test_set": digest(workspace.dataset.indices("test")),
            "data": workspace.card.fingerprint,
        },
        fit=fit.record.key,
        steps=fit.record.steps,
        val=fit.record.val,
        test=fit.record.test,
    )
    write(baseline_path(workspace, seed), record)
    return record
