"""All runs of an experiment, arms x seeds and baselines: how long it takes, and doing it on one of three engines."""

from __future__ import annotations

from al_cxr.core.progress import Say, Working, duration
from al_cxr.core.records import BaselineRecord, write
from al_cxr.core.seeds import digest, loader_hash, member_seed
from al_cxr.experiment.arm import Arm, seed_labels
from al_cxr.experiment.engines import processes
from al_cxr.experiment.estimate import TimeEstimate, crowd, measure_speeds
from al_cxr.experiment.executor import Executor, ThisProcess
from al_cxr.experiment.fits import obtain
from al_cxr.experiment.plan import Job, baseline_path, phases, plan, steps
from al_cxr.experiment.progress import SweepProgress
from al_cxr.experiment.workspace import Workspace


def announce(workspace: Workspace, say: Say) -> TimeEstimate | None:
    """Say what is to be done and, from parts of it measured now, how long it will take; None where nothing is left."""
    todo = plan(workspace)
    if not todo:
        return None
    with Working("measuring how long it will take"):
        speeds, machine = measure_speeds(workspace), workspace.settings.machine
    slots = machine.processes if machine.engine == "processes" else 1
    estimate = TimeEstimate(todo, speeds, slots, crowd(workspace, slots))
    how = "one after the other" if slots == 1 else f"{slots} at a time"
    if machine.engine == "ray":
        how = "for one worker; those of Ray share it"
    passes = f", {speeds.sample:,.0f} in Monte-Carlo passes" if any(step.sampled for step in todo.steps) else ""
    say(f"to do     {_times(todo.fits, 'model')} to train, {_times(todo.queries, 'pool')} to score: {estimate} ({how})")
    say(
        f"          measured now, in images/s: {speeds.train:,.0f} training, {speeds.score:,.0f} evaluating{passes}; "
        "with other work on the machine it takes longer"
    )
    return estimate


def run_all(workspace: Workspace, say: Say, estimate: TimeEstimate | None = None) -> None:
    """Compute everything that is missing, with the engine of the settings; the records are the same bytes.

    The time that is left is told from the `estimate` and from what was really needed so far. Raises UserError where a
    worker is lost for good or Ray is asked for and not there.
    """
    machine, todo = workspace.settings.machine, phases(workspace)
    followed = {job: steps(workspace, job) for jobs in todo for job in jobs}
    with SweepProgress(followed, workspace.settings.data.target, say, estimate=estimate) as progress:
        match machine.engine:
            case "processes":
                progress.slots = machine.processes
                processes.perform_all(workspace, todo, perform, machine.processes)
            case "ray":
                from al_cxr.experiment.engines import ray as ray_engine  # an optional extra, and a second to import

                ray_engine.perform_all(workspace, todo, perform, lambda slots: setattr(progress, "slots", slots))
            case "local":
                for jobs in todo:
                    for job in jobs:
                        perform(workspace, job, ThisProcess())
    said = "" if estimate is None else f" (estimated at the start: {estimate})"
    say(f"finished  in {duration(progress.elapsed)}{said}")


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def perform(workspace: Workspace, job: Job, executor: Executor) -> None:
    """One job of a sweep, or what is left of it; the executor scores its pools."""
    if job.kind == "baseline":
        run_baseline(workspace, job.seed)
    elif job.kind == "seed set":
        labelled = seed_labels(workspace.settings.budget, workspace.train_index, job.seed)
        title = f"{job.name} seed {job.seed} round 0"
        obtain(workspace, job.name, member_seed(job.seed, job.member), labelled, title)
    else:
        Arm(workspace, job.name, job.seed, workspace.dataset.labels_N.__getitem__, executor).run()


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
            "data": workspace.data_card.fingerprint,
        },
        fit=fit.record.key,
        steps=fit.record.steps,
        val=fit.record.val,
        test=fit.record.test,
    )
    write(baseline_path(workspace.folder, seed), record)
    return record
