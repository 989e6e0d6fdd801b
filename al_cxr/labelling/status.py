"""Where a project stands: what is labelled, how good the model is, how far readers agree, what it would take to go on.

Everything that is measured rests on the audit, which no model learns from; what does not is named a hint.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from al_cxr.evaluation import random_arm
from al_cxr.evaluation.agreement import agreement, all_pairs
from al_cxr.evaluation.audit import Figure, audit_figures
from al_cxr.evaluation.ceiling import ceiling
from al_cxr.evaluation.effort import Hours
from al_cxr.evaluation.learning_curve import LabelsNeeded
from al_cxr.evaluation.powered import prediction_powered
from al_cxr.evaluation.weighted import lure_weights, weighted_rates
from al_cxr.labelling import readers
from al_cxr.labelling.ahead import Earlier, what_next
from al_cxr.labelling.audit import Audit, audit_of
from al_cxr.labelling.doubts import ranked
from al_cxr.labelling.folds import out_of_fold
from al_cxr.labelling.heads import HeadModel
from al_cxr.labelling.project import Project
from al_cxr.labelling.queues import disagreements
from al_cxr.labelling.sittings import Pace, paces
from al_cxr.labelling.streams import TO_LEARN


@dataclass(frozen=True)
class Status:
    """Figures are None where there is no model or no audit yet."""

    images: int
    present: int
    features: int
    """Images that the network has looked at."""
    labelled: dict[str, int]
    """Class -> images that have it."""
    other: dict[str, int]
    """What else was said -> questions: unsure, skipped, unreadable, not_frontal_chest."""
    streams: dict[str, int]
    """Stream -> questions that are answered."""
    disagreed: int
    """Images on which readers disagree and nobody has decided."""
    model: str
    trained_on: int
    audited: int
    not_audited: dict[str, int]
    aside: int
    """Patients that are set aside for the audit."""
    figures: dict[str, Figure] = field(default_factory=dict)
    """On the audit; each interval holds at every look."""
    weighted: dict[str, Figure] = field(default_factory=dict)
    """With chosen labels, by their q, of a cross-validation; for one look."""
    prevalence: Figure | None = None
    """Prediction-powered, of the whole archive; for one look."""
    chosen_less_random: Figure | None = None
    """Accuracy of the model less that of models of as many labels asked at random."""
    agreement: dict[str, Figure] = field(default_factory=dict)
    repeats: dict[str, Figure] = field(default_factory=dict)
    """Agreement of readers with themselves."""
    ceiling: Figure | None = None
    readers: dict[str, dict[str, Any]] = field(default_factory=dict)
    sittings: dict[str, tuple[Pace, ...]] = field(default_factory=dict)
    """Reader -> the pace from the beginning of a sitting."""
    certified: dict[str, Any] | None = None
    """The last exam that a model passed."""
    exams: tuple[int, ...] = ()
    """Sizes that are still to come."""
    until_certified: int | None = None
    """Images of the figure's kind a certificate takes, if the model is as good as it looks."""
    curve: tuple[Earlier, ...] = ()
    """The goal's figure of the models so far, on the audit as it is now."""
    needed: LabelsNeeded | None = None
    hours: Hours | None = None
    doubtful: int | None = None
    """Hint: labels that models which have not learned from them take for wrong, and that were not read again."""
    stable: bool | None = None
    """Hint: whether the last three trainings changed next to no prediction."""

    def as_json(self) -> dict[str, Any]:
        """The same as plain data; None for what is not known."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def status_of(project: Project) -> Status:
    """Measured now."""
    project.known()  # takes in what other processes wrote
    state, archive, s = project.journal.state, project.archive, project.settings
    closed = [q for q in state.questions.values() if q.outcome is not None]
    audit = audit_of(state, s, archive, project.streams, project.chooser.features)
    model = project.chooser.model
    counts = Counter(state.labels().values())
    ranks = project.streams.rank_N
    told = Status(
        images=len(archive),
        present=int(archive.present_N.sum()),
        features=int(project.chooser.features.ready_N.sum()),
        labelled={name: counts[name] for name in s.classes},
        other=dict(Counter(q.outcome.kind for q in closed if q.outcome and q.outcome.label is None)),
        streams=dict(Counter(q.stream for q in closed if q.closed)),
        disagreed=len(disagreements(state)),
        model=model.key if model else "",
        trained_on=model.labelled if model else 0,
        audited=len(audit),
        not_audited=audit.without,
        aside=len(np.unique(ranks[(ranks >= 0) & archive.present_N])),
        readers={name: asdict(readers.figures(state, name)) for name in state.readers},
        sittings={name: paces(state, name) for name in state.readers},
        **_readings(project),
    )
    if model is None or not len(audit):
        return told
    return Status(**{**vars(told), **_measured(project, audit, model), **what_next(project, audit, model)})


def _measured(project: Project, audit: Audit, model: HeadModel) -> dict[str, Any]:
    """How good the model is."""
    s, features_NK = project.settings, project.chooser.features.features_NK
    target, probs_TC = s.classes.index(s.target), model.probs(features_NK[audit.index_T])
    present = project.archive.present_N
    patients = len({p for p, there in zip(project.archive.patients, present, strict=True) if there})
    ready = np.flatnonzero(project.chooser.features.ready_N & project.streams.reserved_N)
    _, first = np.unique(np.array(project.archive.patients)[ready], return_index=True)
    predicted_N = model.probs(features_NK[ready[np.sort(first)]])[:, target]
    return {
        "figures": audit_figures(audit.labels_T, probs_TC, target, archive=max(patients, len(audit))),
        "prevalence": prediction_powered(predicted_N, probs_TC[:, target], audit.labels_T == target),
        **_out_of_fold(project, target),
        "chosen_less_random": _against_random(project, audit, model, probs_TC),
    }


def _out_of_fold(project: Project, target: int) -> dict[str, Any]:
    """What the labels that are learned from say, each predicted by models that were trained without its patient."""
    state, archive, chooser = project.journal.state, project.archive, project.chooser
    known = chooser.known(state, project.streams)
    patients = [archive.patients[i] for i in known.index_M.tolist()]
    probs_MC = out_of_fold(chooser, known.index_M, known.labels_M, patients)
    if probs_MC is None:
        return {}
    # Those that were drawn, in the order of asking: imported labels have no q.
    drawn = [q for q in state.questions.values() if q.stream in TO_LEARN and q.closed and q.q]
    size = max(int((~project.streams.reserved_N).sum()), len(drawn))
    weights = lure_weights(np.array([q.q for q in drawn], np.float64), size)
    row_of = {index: row for row, index in enumerate(known.index_M.tolist())}
    rows = [row_of.get(archive.index_of[q.image], -1) for q in drawn]
    kept = np.array([row >= 0 for row in rows], bool)
    row_M = np.array(rows, np.int64)[kept]
    flagged_M, ill_M = probs_MC[row_M].argmax(axis=1) == target, known.labels_M[row_M] == target
    return {
        "weighted": weighted_rates(flagged_M, ill_M, weights[kept], [patients[row] for row in row_M.tolist()]),
        "doubtful": ranked(state, known, archive, probs_MC).left(state, archive),
    }


def _against_random(project: Project, audit: Audit, model: HeadModel, probs_TC: np.ndarray) -> Figure:
    """What labels asked at random would have given, as many as the model has."""
    chooser, rows = project.chooser, []
    for one in random_arm.random_sets([""] * len(audit), model.labelled):
        labels = audit.labels_T[one.train]
        if len(np.unique(labels)) < 2:
            continue
        features_NK, ready_N = chooser.features.features_NK, chooser.features.ready_N
        made = chooser.learner.fit(features_NK, ready_N, audit.index_T[one.train], labels)
        right_T = np.full(len(audit), np.nan)
        said = made.probs(features_NK[audit.index_T[one.test]]).argmax(axis=1)
        right_T[one.test] = said == audit.labels_T[one.test]
        rows.append(right_T)
    random_ST = np.array(rows).reshape(len(rows), len(audit))
    return random_arm.gain(probs_TC.argmax(axis=1) == audit.labels_T, random_ST)


def _readings(project: Project) -> dict[str, Any]:
    """How far readers agree, on the images that were asked at random."""
    state, s = project.journal.state, project.settings
    target, patients = s.classes.index(s.target), project.archive.patients
    by_reader: dict[str, dict[str, int]] = {}
    first: dict[tuple[str, str], int] = {}
    pairs: list[tuple[int, int, str]] = []
    for q in state.questions.values():
        at = project.archive.index_of[q.image]
        if q.outcome is None or q.outcome.label is None or not project.streams.reserved_N[at]:
            continue
        label = s.classes.index(q.outcome.label)
        if q.stream == "repeat":
            if (q.reader, q.image) in first:
                pairs.append((first[q.reader, q.image], label, patients[at]))
        elif q.stream in ("audit", "second"):
            first.setdefault((q.reader, q.image), label)
            by_reader.setdefault(q.reader, {})[q.image] = label
    whose = {image: patients[project.archive.index_of[image]] for of in by_reader.values() for image in of}
    between = all_pairs(by_reader, len(s.classes), target, whose)
    earlier, later, of = zip(*pairs, strict=True) if pairs else ((), (), ())
    own = agreement(np.array(earlier, np.int64), np.array(later, np.int64), len(s.classes), target, of)
    return {"agreement": between, "repeats": own, "ceiling": ceiling(between["observed"], len(s.classes))}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(of) for key, of in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(of) for of in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
