"""The audit of a project: what readers said of the images that no model learns from, and what a model says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from al_cxr.evaluation import certificate
from al_cxr.evaluation.audit import block_areas
from al_cxr.evaluation.certificate import Exams, Result
from al_cxr.labelling.archive import Archive
from al_cxr.labelling.features import ProjectFeatures
from al_cxr.labelling.heads import HeadModel
from al_cxr.labelling.settings import GoalSettings, ProjectSettings
from al_cxr.labelling.state import State
from al_cxr.labelling.streams import Streams, audited


@dataclass(frozen=True, eq=False)
class Audit:
    """T audited images with a label and features, one a patient, in the order in which they were asked."""

    index_T: np.ndarray
    labels_T: np.ndarray
    without: dict[str, int]
    """Why other audited images have no label -> how many."""

    def __len__(self) -> int:
        return len(self.index_T)


def audit_of(
    state: State, settings: ProjectSettings, archive: Archive, streams: Streams, features: ProjectFeatures
) -> Audit:
    """What the audit says by now."""
    ready_N, labels = features.ready_N, state.labels()
    index, found, without = [], [], dict[str, int]()
    for question in audited(state, archive, streams):
        at, label = archive.index_of[question.image], labels.get(question.image)
        if label is not None and ready_N[at]:
            index.append(at)
            found.append(settings.classes.index(label))
        else:
            reason = "no features yet" if label is not None else state.verdict(question.image).status
            without[reason] = without.get(reason, 0) + 1
    return Audit(np.array(index, np.int64), np.array(found, np.int64), without)


def values_of(goal: GoalSettings, target: int, labels_T: np.ndarray, probs_TC: np.ndarray) -> np.ndarray:
    """Of the images that the goal's figure is about, in the order of asking: whether the model is right on each; of the
    AUC that of each block."""
    ill_T, said_T = labels_T == target, probs_TC.argmax(axis=1)
    if goal.figure == "auc":
        return block_areas(probs_TC[:, target], ill_T)
    if goal.figure == "accuracy":
        return np.asarray(said_T == labels_T)
    flagged_T = np.asarray(said_T == target)
    return np.asarray(flagged_T[ill_T] if goal.figure == "sensitivity" else ~flagged_T[~ill_T])


def with_exams(settings: ProjectSettings, patients: int) -> ProjectSettings:
    """The settings with the sizes of the exams laid down, before the first audit answer: by how many of the archive's
    patients are set aside, and for sensitivity and AUC by a quarter of them, as nobody knows yet how many are ill."""
    if settings.goal.audit_up_to:
        return settings
    share = settings.streams.audit * (0.25 if settings.goal.figure in ("sensitivity", "auc") else 1.0)
    goal = settings.goal.model_copy(update={"audit_up_to": max(1, round(patients * share))})
    return settings.model_copy(update={"goal": goal})


def plan_of(goal: GoalSettings) -> Exams:
    """At which sizes models are examined, as it was laid down when the project began."""
    return certificate.exams(goal.at_least, goal.audit_up_to)


def sit(
    goal: GoalSettings, target: int, audit: Audit, model: HeadModel, features: ProjectFeatures, sat: int
) -> Result | None:
    """The exam that is due for a model, where the last was of `sat` images; None before the next."""
    plan, probs_TC = plan_of(goal), model.probs(features.features_NK[audit.index_T])
    values = values_of(goal, target, audit.labels_T, probs_TC)
    size = certificate.due(plan, len(values), sat)
    return None if size is None else certificate.sit(plan, size, values)
