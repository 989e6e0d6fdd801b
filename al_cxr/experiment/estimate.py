"""How long what is left of a sweep will take: from a short training and short scoring of its own network, measured now.

An estimate is a range. Its lower end is what the measured parts add up to; its upper end allows for what is not in them
(writing, evaluating, machines that slow down under a long load). With other work on the machine it takes longer, which
nobody can foresee: progress corrects the estimate by what was really needed.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from al_cxr import strategies
from al_cxr.core.progress import between
from al_cxr.data.store import cores
from al_cxr.experiment.plan import Plan, Step
from al_cxr.experiment.speeds import passes_speed
from al_cxr.experiment.workspace import Workspace
from al_cxr.sampling.scoring import predict
from al_cxr.training.length import images_trained
from al_cxr.training.runtime import Unsupported
from al_cxr.training.trainer import fit

RANGE = (0.8, 2.0)
"""Ends of the range, as shares of what the measured parts add up to."""
MOST_STEPS = 200
"""Of the training that is measured, whatever it takes."""


@dataclass(frozen=True)
class Speeds:
    """Images per second of one process: trained on, predicted, and in Monte-Carlo passes; seconds a model besides.

    The defaults are no measurement: they only say that training takes three times as long as looking.
    """

    train: float = 1.0
    score: float = 3.0
    sample: float = 3.0
    overhead: float = 0.0

    def seconds(self, step: Step) -> float:
        images = step.trained / self.train + step.scored / self.score + step.sampled / self.sample
        return images + self.overhead * step.fits


@dataclass(frozen=True)
class TimeEstimate:
    """Of a plan that runs `slots` jobs at a time; `crowd` is how many threads there are for each core, 1 or more."""

    plan: Plan
    speeds: Speeds
    slots: int = 1
    crowd: float = 1.0

    @property
    def seconds(self) -> float:
        jobs = [sum(map(self.speeds.seconds, steps)) for steps in self.plan.left.values()]
        return self.crowd * makespan(jobs, self.slots)

    @property
    def range(self) -> tuple[float, float]:
        """Seconds, between which it is expected to lie."""
        low, high = RANGE
        return low * self.seconds, high * self.seconds

    def __str__(self) -> str:
        return between(*self.range)


def makespan(jobs: Iterable[float], slots: int) -> float:
    """Until the last of some jobs is done (each takes so long), of which `slots` run at a time, begun in their order.

    >>> makespan([3, 1, 1, 1], 2)
    3.0
    """
    busy = [0.0] * slots
    for job in jobs:
        heapq.heappush(busy, heapq.heappop(busy) + job)
    return max(busy)


def measure_speeds(workspace: Workspace, seconds: float = 1.0) -> Speeds:
    """The speeds of this experiment's network on this machine, each measured for about so many seconds."""
    workspace.runtime.activate()
    index = np.resize(workspace.train_index, 64)
    model = workspace.runtime.place(workspace.build_model(0)).eval()
    batches, started, seen = workspace.loader.batches, time.perf_counter(), 0
    while not seen or time.perf_counter() - started < seconds:
        predict(model, batches(index, len(index)))
        seen += len(index)
    score = seen / (time.perf_counter() - started)
    arms = workspace.settings.arms.values()
    sampled = any(strategies.get(arm.strategy).needs & {"mc", "votes"} for arm in arms)
    return Speeds(_training(workspace, seconds), score, (_passes(workspace, seconds) if sampled else 0.0) or score)


def crowd(workspace: Workspace, slots: int) -> float:
    """Threads for each core where so many jobs run at a time on this machine; 1 where there are cores enough."""
    if workspace.runtime.device != "cpu":
        return 1.0
    return max(1.0, slots * workspace.runtime.threads / cores())


def _training(workspace: Workspace, seconds: float) -> float:
    """Images trained on per second, by real trainings that get longer until one lasts."""
    settings, index = workspace.settings, workspace.train_index
    task = workspace.task(settings.baseline.loss, 0, index)
    task = dataclasses.replace(task, val_index=task.val_index[:2])

    def train(images: np.ndarray, steps: int) -> tuple[int, float]:
        length = settings.train.model_copy(update={"steps": steps, "epochs": None, "validations": 1, "patience": 0})
        model, started = workspace.build_model(0), time.perf_counter()
        fit(model, dataclasses.replace(task, settings=length, train_index=images), shown=False)
        return images_trained(length, len(images)), time.perf_counter() - started

    train(index[:2], 1)  # the first step of all takes longer
    seen, took = train(index, 1)
    if took < seconds:
        seen, took = train(index, min(MOST_STEPS, math.ceil(2 * seconds / took)))
    return seen / took


def _passes(workspace: Workspace, seconds: float) -> float:
    w = workspace
    try:
        return passes_speed(w.settings, w.dataset, w.store, w.runtime, seconds)
    except Unsupported:  # the arm that wants passes will say so
        return 0.0
