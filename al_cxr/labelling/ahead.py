"""What lies ahead of a project: what is certified, and, as hints, what it would take to go on and whether it pays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from al_cxr.core.seeds import rng
from al_cxr.evaluation.certificate import images_until_passed
from al_cxr.evaluation.effort import reading_hours
from al_cxr.evaluation.intervals import clopper_pearson
from al_cxr.evaluation.learning_curve import labels_needed
from al_cxr.labelling import heads
from al_cxr.labelling.audit import Audit, plan_of, values_of
from al_cxr.labelling.heads import HeadModel
from al_cxr.labelling.project import Project
from al_cxr.strategies.stopping import agreement

STABLE = 0.99
"""Kappa of the predictions of successive models from which they count as the same."""
COMPARED = 1000
"""Images whose predictions are compared."""
CURVE = 12
"""Models of the learning curve, at most."""


@dataclass(frozen=True)
class Earlier:
    """A model of the project and how good it is; the interval is right for this model at one look."""

    labels: int
    """That it learned from."""
    value: float
    low: float
    high: float


def what_next(project: Project, audit: Audit, model: HeadModel) -> dict[str, Any]:
    """What is certified, and what it would take."""
    s, state, features_NK = project.settings, project.journal.state, project.chooser.features.features_NK
    target, goal, plan = s.classes.index(s.target), s.goal, plan_of(s.goal)
    passed = [event for event in state.exams if event.detail["passed"]]
    sat = max((int(event.detail["size"]) for event in state.exams), default=0)
    now = values_of(goal, target, audit.labels_T, model.probs(features_NK[audit.index_T]))
    sizes = {int(event.detail["labelled"]): str(event.model) for event in state.models}
    chosen = sorted(sizes)[:: max(1, -(-len(sizes) // CURVE))]
    curve = [(n, kept) for n in chosen if (kept := heads.kept(project.folder, sizes[n])) is not None]
    needed = None
    earlier: tuple[Earlier, ...] = ()
    if goal.figure != "auc" and curve:
        rows = [values_of(goal, target, audit.labels_T, one.probs(features_NK[audit.index_T])) for _, one in curve]
        earlier = tuple(_earlier(n, row) for (n, _), row in zip(curve, rows, strict=True) if len(row))
        needed = labels_needed(np.array([n for n, _ in curve]), np.array(rows, np.float64), goal.at_least)
    share = 1 - s.streams.audit - s.streams.second - s.streams.repeat
    ends = (needed.value, needed.low, needed.high) if needed else (np.nan,) * 3
    value, low, high = (max(end - model.labelled, 0.0) / share for end in ends)
    times = [q.outcome.milliseconds for q in state.questions.values() if q.outcome]
    seconds = np.array([each / 1000 for each in times if each is not None])
    return {
        "certified": dict(passed[-1].detail, model=passed[-1].model) if passed else None,
        "exams": tuple(size for size in plan.sizes if size > sat),
        "until_certified": images_until_passed(plan, float(now.mean())) if len(now) else None,
        "curve": earlier,
        "needed": needed,
        "hours": reading_hours(value, low, high, seconds),
        "stable": _stable(project),
    }


def _earlier(labels: int, right_T: np.ndarray) -> Earlier:
    """Of a model that is right on these images of the audit."""
    right = int(right_T.sum())
    return Earlier(labels, right / len(right_T), *clopper_pearson(right, len(right_T)))


def _stable(project: Project) -> bool | None:
    """Whether the last three trainings changed next to no prediction (Bloodgood and Vijay-Shanker 2009)."""
    last = [heads.kept(project.folder, str(event.model)) for event in project.journal.state.models[-4:]]
    ready = np.flatnonzero(project.chooser.features.ready_N)
    if len(last) < 4 or not len(ready):
        return None
    some = rng(project.settings.seed, "stop").permutation(ready)[:COMPARED]
    said = [one.probs(project.chooser.features.features_NK[some]).argmax(axis=1) for one in last if one is not None]
    kappas = [agreement(a, b) for a, b in pairwise(said)]
    return len(kappas) == 3 and min(kappas) >= STABLE
