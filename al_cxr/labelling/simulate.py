"""A labelling project read by an oracle: the same code as with people, so that what its figures promise can be checked.

Half of the patients (by a hash) are kept out of the archive. On them it is measured what the model is truly worth; the
project never sees them.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.seeds import rng, stream
from al_cxr.data.dataset import Dataset
from al_cxr.evaluation.audit import FIGURES, Figure, audit_figures
from al_cxr.evaluation.operating import decide
from al_cxr.evaluation.performance import auc
from al_cxr.labelling.audit import audit_of, with_exams
from al_cxr.labelling.events import Event
from al_cxr.labelling.features import ProjectFeatures
from al_cxr.labelling.listing import list_archive
from al_cxr.labelling.places import content_hash
from al_cxr.labelling.project import Project
from al_cxr.labelling.settings import ProjectSettings
from al_cxr.labelling.start import StartModel
from al_cxr.labelling.status import status_of

HELD_OUT = 0.5
SECONDS = 15
"""Of active time an answer, as in the literature (Shin et al. 2023, npj Digital Medicine 6:82: 14.8 s)."""


@dataclass(frozen=True)
class Look:
    """What a project said after some answers, and what is true."""

    answers: int
    labelled: int
    """Labels that the model learned from."""
    audited: int
    certified: bool
    said: dict[str, Figure]
    truth: dict[str, float]
    """The prevalence is that of the archive's patients; all else is measured on the patients who are held out."""
    model: str
    """Key of the model that all this is about."""
    once: dict[str, Figure] = field(default_factory=dict)
    """Figures of the status whose intervals are for one look, where they were asked for."""


@dataclass(frozen=True)
class Seen:
    """What networks said of an archive, for the next seed."""

    features: ProjectFeatures
    start: StartModel | None


@dataclass(frozen=True)
class Simulated:
    """One seed of one arm."""

    arm: str
    seed: int
    looks: tuple[Look, ...]


def oracle_of(dataset: Dataset, classes: list[str]) -> dict[str, str]:
    """Content hash -> class, of a labelled data set; images of other classes are left out."""
    labels = (dataset.classes[c] for c in dataset.labels_N)
    known = {content_hash(dataset.images, i): label for i, label in enumerate(labels) if label in classes}
    if not known:
        raise UserError(f"{dataset.name}: none of its labels is one of {', '.join(classes)}")
    return known


def simulate(
    settings: ProjectSettings,
    oracle: Mapping[str, str],
    seed: int,
    answers: int,
    error: float = 0.0,
    every: int = 10,
    seen: Seen | None = None,
    told: Callable[[int], object] | None = None,
    once: Collection[int] = (),
) -> tuple[Simulated, Seen]:
    """Let an oracle answer one project of this seed.

    A share `error` of the answers is another class, drawn at random. It is looked at after `every` so many answers, and
    after those in `once` also at what the status says for one look. `seen` is of an earlier seed of the same archive;
    `told(n)` hears how many more answers were given.
    """
    clock, chance = _Clock(), rng(seed, "oracle")
    listed = list_archive(settings.archive).found
    patients = round((1 - HELD_OUT) * len({one.patient_id or one.name for one in listed}))
    goal = settings.goal.model_copy(update={"audit_up_to": 0})
    settings = with_exams(settings.model_copy(update={"goal": goal, "seed": seed}), patients)
    with tempfile.TemporaryDirectory(prefix="al-cxr-simulate-") as folder:
        given = settings.model_dump(mode="json", exclude={"classes", "target"})
        place = Path(folder) / "project"
        project = Project.create(place, settings.archive.source, settings.classes, settings.target, given, clock)
        try:
            chooser = project.chooser
            if seen is not None:
                chooser.features, chooser.start = seen.features, seen.start or chooser.start
            while project.prepare():
                pass
            if chooser.start is not None:
                chooser.start.look(np.flatnonzero(chooser.features.ready_N).tolist())
            population = _Population(project, oracle, clock)
            looks: list[Look] = []
            for number in range(1, answers + 1):
                asked = project.ask(1, "oracle")
                if not asked:
                    break
                truth = oracle[project.journal.state.question(asked[0].question).image]
                if chance.random() < error:
                    truth = str(chance.choice([name for name in settings.classes if name != truth]))
                project.tell(asked[0].question, truth, "oracle", 1000 * SECONDS)
                if told is not None:
                    told(1)
                if number % every == 0 or number in once:
                    project.learn()
                    look = population.look(number, looks[-1] if looks else None)
                    if look is not None:
                        looks.append(replace(look, once=_once(project)) if number in once else look)
            return Simulated(settings.acquisition.strategy, seed, tuple(looks)), Seen(chooser.features, chooser.start)
        finally:
            project.close()


class _Clock:
    def __init__(self) -> None:
        self._now = datetime(2000, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now


class _Population:
    """The patients of a project's archive, and those who were kept out of it."""

    def __init__(self, project: Project, oracle: Mapping[str, str], clock: Callable[[], datetime]) -> None:
        """Takes the held-out patients, and images whose label nobody knows, out of the archive."""
        self._project, archive, seed = project, project.archive, project.settings.seed
        out_of = {p: stream(seed, "held out", p) / 2**63 < HELD_OUT for p in set(archive.patients)}
        known_N = np.array([image.digest in oracle for image in archive.images])
        out_N = np.array([out_of[patient] for patient in archive.patients])
        gone = np.flatnonzero((out_N | ~known_N) & archive.present_N).tolist()
        project.journal.record(*(Event(kind="image_lost", time=clock(), image=archive.images[i].digest) for i in gone))
        project.learn()  # takes in what the log says
        target = project.settings.target
        ill = {p: list[bool]() for i, p in enumerate(archive.patients) if archive.present_N[i]}
        for i in np.flatnonzero(archive.present_N).tolist():
            ill[archive.patients[i]].append(oracle[archive.images[i].digest] == target)
        self.patients = len(ill)
        self._prevalence = float(np.mean([np.mean(of) for of in ill.values()]))
        self._held_M = np.flatnonzero(out_N & known_N & project.chooser.features.ready_N)
        classes = project.settings.classes
        self._labels_M = np.array([classes.index(oracle[archive.images[i].digest]) for i in self._held_M.tolist()])
        held = [archive.patients[i] for i in self._held_M.tolist()]
        images = Counter(held)
        self._weights_M = np.array([1 / images[patient] for patient in held])

    def look(self, answers: int, last: Look | None) -> Look | None:
        """None before there is a model."""
        project, s = self._project, self._project.settings
        model, features = project.chooser.model, project.chooser.features
        audit = audit_of(project.journal.state, s, project.archive, project.streams, features)
        if model is None:
            return None
        certified = any(event.detail["passed"] for event in project.journal.state.exams)
        if last is not None and (last.model, last.audited) == (model.key, len(audit)):
            return replace(last, answers=answers, certified=certified, once={})
        target = s.classes.index(s.target)
        probs_TC = model.probs(features.features_NK[audit.index_T])
        said = audit_figures(audit.labels_T, probs_TC, target, archive=max(self.patients, len(audit)))
        if last is not None and last.model == model.key:
            truth = last.truth
        else:
            probs_MC = model.probs(features.features_NK[self._held_M])
            truth = true_figures(self._labels_M, probs_MC, target, self._weights_M) | {"prevalence": self._prevalence}
        return Look(answers, model.labelled, len(audit), certified, said, truth, model.key)


def _once(project: Project) -> dict[str, Figure]:
    """What the status says beside the audit's figures."""
    status = status_of(project)
    found = {f"{name}, weighted": figure for name, figure in status.weighted.items()}
    if status.prevalence is not None:
        found["prevalence, by predictions"] = status.prevalence
    if status.chosen_less_random is not None:
        found["accuracy less random"] = status.chosen_less_random
    return found


def true_figures(
    labels_N: np.ndarray, probs_NC: np.ndarray, target: int, weights_N: np.ndarray | None = None
) -> dict[str, float]:
    """The figures of `audit_figures`, of a population whose images count as `weights_N` says, by default alike.

    An audit draws a patient and then one of the patient's images: for its truth all images of a patient together count
    as much as the one image of another.
    """
    ill_N, answer_N = labels_N == target, decide(probs_NC, target, None)
    flagged_N, weights_N = answer_N == target, np.ones(len(labels_N)) if weights_N is None else weights_N

    def share(hits_N: np.ndarray, of_N: np.ndarray) -> float:
        return float(np.average(hits_N[of_N], weights=weights_N[of_N])) if of_N.any() else math.nan

    found = {
        "prevalence": share(ill_N, np.ones(len(ill_N), bool)),
        "accuracy": share(answer_N == labels_N, np.ones(len(ill_N), bool)),
        "sensitivity": share(flagged_N, ill_N),
        "specificity": share(~flagged_N, ~ill_N),
        "elusion": share(ill_N, ~flagged_N),
        "auc": float(auc(probs_NC[:, target], ill_N, weights_N[None])[0]),
    }
    return {name: found[name] for name in FIGURES}
