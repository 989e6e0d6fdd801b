"""What a sweep consists of: jobs, the steps of each, and how much of it is left to compute."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from al_cxr import strategies
from al_cxr.config import Budget, Settings
from al_cxr.core.records import BaselineRecord, RoundRecord
from al_cxr.core.seeds import member_seed
from al_cxr.experiment.arm import STOPPED, arm_folder, seed_labels
from al_cxr.experiment.fits import fit_key
from al_cxr.experiment.workspace import Workspace
from al_cxr.strategies.budget import query_size, seed_size
from al_cxr.training.length import images_trained


@dataclass(frozen=True)
class Job:
    """What can be computed by itself. `name` is the arm, or the loss of a seed set's model."""

    kind: Literal["baseline", "seed set", "arm"]
    name: str
    seed: int
    member: int = 0
    """Of an ensemble on the seed set."""

    def __str__(self) -> str:
        which = f"{self.name}, member {self.member}" if self.member else self.name
        what = {"baseline": "baseline", "seed set": f"seed set ({which})", "arm": self.name}[self.kind]
        return f"{what} seed {self.seed}"


@dataclass(frozen=True)
class Step:
    """A part of a job. It is done when its file is there; `kind` is the record in it that a person wants to hear of.

    `trained` counts every image as often as it is trained on, `scored` every image as often as a network sees it to
    predict, and `sampled` every Monte-Carlo pass over an image.
    """

    path: Path
    kind: type[RoundRecord] | type[BaselineRecord] | None = None
    stop: Path | None = None
    """The record of a run that stopped early: where it is there, the step will never be."""
    fits: int = 0
    queries: int = 0
    trained: int = 0
    scored: int = 0
    sampled: int = 0

    @property
    def done(self) -> bool:
        return self.path.exists()

    @property
    def void(self) -> bool:
        """Not done, and not to be done."""
        return self.stop is not None and self.stop.exists() and not self.done


@dataclass(frozen=True)
class Plan:
    """What is still to be computed: for each job that is not done, the steps that are left, in order."""

    left: Mapping[Job, Sequence[Step]]

    def __bool__(self) -> bool:
        return bool(self.left)

    @property
    def steps(self) -> list[Step]:
        return [step for of_job in self.left.values() for step in of_job]

    @property
    def fits(self) -> int:
        """Models to train."""
        return sum(step.fits for step in self.steps)

    @property
    def queries(self) -> int:
        """Pools to score."""
        return sum(step.queries for step in self.steps)


def label_counts(budget: Budget, n: int) -> list[int]:
    """Labelled images at each round of a training set of `n` images, round 0 first."""
    counts = [seed_size(budget, n)]
    for _ in range(budget.rounds):
        if counts[-1] >= n:
            break
        counts.append(counts[-1] + query_size(budget, n, n - counts[-1]))
    return counts


def phases(workspace: Workspace) -> list[list[Job]]:
    """All jobs: first what several arms need (baselines, and the models on the seed sets), then the arms.

    The jobs of a phase do not need each other.
    """
    settings = workspace.settings
    asked = len(label_counts(settings.budget, len(workspace.train_index))) > 1
    members = {arm.loss: 1 for arm in settings.arms.values()}
    for name, arm in settings.arms.items():
        members[arm.loss] = max(members[arm.loss], networks(settings, name) if asked else 1)
    shared = [Job("baseline", "", seed) for seed in settings.seeds]
    shared += [
        Job("seed set", loss, seed, member)
        for seed in settings.seeds
        for loss, count in members.items()
        for member in range(count)
    ]
    return [shared, [Job("arm", name, seed) for seed in settings.seeds for name in settings.arms]]


def networks(settings: Settings, arm: str) -> int:
    """How many models an arm asks: one, or the members of an ensemble."""
    return settings.scoring.members if "ensemble" in strategies.get(settings.arms[arm].strategy).needs else 1


def steps(workspace: Workspace, job: Job) -> list[Step]:
    """The steps of a job in the order in which they get done."""
    settings, n = workspace.settings, len(workspace.train_index)
    if job.kind == "baseline":
        key = fit_key(workspace, settings.baseline.loss, job.seed, workspace.train_index)
        record = Step(baseline_path(workspace.folder, job.seed), BaselineRecord)
        return [_training(workspace, workspace.fits / key / "fit.json", n), record]
    if job.kind == "seed set":
        labelled = seed_labels(settings.budget, workspace.train_index, job.seed)
        key = fit_key(workspace, job.name, member_seed(job.seed, job.member), labelled)
        return [_training(workspace, workspace.fits / key / "fit.json", len(labelled))]
    folder, counts = arm_folder(workspace.folder, job.name, job.seed), label_counts(settings.budget, n)
    needs = strategies.get(settings.arms[job.name].strategy).needs
    passes = settings.scoring.passes if needs & {"mc", "votes"} else 0
    plain_passes = len(needs & {"probs", "features", "ensemble"})  # over the pool, of a network
    stop, members = folder / STOPPED, networks(settings, job.name)
    out = [Step(folder / "round-0.json", RoundRecord)]  # its model is the seed set's
    for number, labels in enumerate(counts[1:]):
        if needs:
            # The other members on the seed set are jobs of their own, those of later rounds a part of the query.
            others = members - 1 if number else 0
            one = _training(workspace, folder / f"query-{number}.json", counts[number])
            pool = (n - counts[number]) * members
            query = Step(
                one.path, None, stop, others, 1, others * one.trained, pool * plain_passes + others * one.scored
            )
            out.append(dataclasses.replace(query, sampled=pool * passes))
        step = _training(workspace, folder / f"round-{number + 1}.json", labels, RoundRecord)
        out.append(dataclasses.replace(step, stop=stop))
    return out


def plan(workspace: Workspace) -> Plan:
    """The work that is left, at most: early stopping is not foreseen. Fits that arms share are counted once."""
    known: set[Path] = set()
    left: dict[Job, list[Step]] = {}
    for job in (job for jobs in phases(workspace) for job in jobs):
        # Two jobs may want the same model, as a baseline and a seed set of all images do: the first makes it.
        todo = [s for s in steps(workspace, job) if not s.done and not s.void and s.path not in known]
        known |= {step.path for step in todo}
        if todo:
            left[job] = todo
    return Plan(left)


def baseline_path(run: Path, seed: int) -> Path:
    """Where the record of a seed's baseline lies in a run folder."""
    return run / "baseline" / f"seed-{seed}.json"


def _training(workspace: Workspace, path: Path, labels: int, kind: type[RoundRecord] | None = None) -> Step:
    train = workspace.settings.train
    val, test = (len(workspace.dataset.indices(split)) for split in ("val", "test"))
    return Step(path, kind, fits=1, trained=images_trained(train, labels), scored=val * (train.parts + 1) + test)
