"""From a project to a bundle: the last head on its frozen network, with a card that says how it was tested.

Temperature, threshold and abstention are chosen on out-of-fold predictions of the labels that it learned from, by
patient. The test split of the card is the audit: images that were asked at random, one a patient, from which neither
the network nor any choice has learned.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from al_cxr import models
from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.bundling import COVERAGE, GOAL
from al_cxr.bundles.choices import choose, measure_on_test
from al_cxr.bundles.measured import Split
from al_cxr.bundles.record import BundleRecord, Network
from al_cxr.bundles.validation import Validation
from al_cxr.core import provenance
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.core.records import DataCard, FitRecord, read, write
from al_cxr.core.seeds import digest, digest_text
from al_cxr.evaluation.operating import Goal
from al_cxr.experiment.fits import Fit, ModelCard
from al_cxr.labelling import heads
from al_cxr.labelling.audit import Audit, audit_of
from al_cxr.labelling.folds import out_of_fold
from al_cxr.labelling.heads import HeadModel
from al_cxr.labelling.listing import is_made
from al_cxr.labelling.project import Project
from al_cxr.labelling.usual import usual_of

LEAST = 10
"""Audited images below which a card would say nothing of a model."""


def bundle_of(project: Project, goal: Goal = GOAL, coverage: float = COVERAGE) -> Bundle:
    """The bundle of what is labelled now; UserError where there is no model yet, or too small an audit to test it."""
    if not 0 < coverage <= 1:
        raise UserError(f"--coverage {coverage:g}: must be a share of the images, above 0 and at most 1")
    s, chooser, archive = project.settings, project.chooser, project.archive
    known = project.known()
    if len(np.unique(known.labels_M)) < 2:
        raise UserError(f"{project.folder}: no model yet; label images of two classes first")
    audit = audit_of(project.journal.state, s, archive, project.streams, chooser.features)
    target = s.classes.index(s.target)
    if len(audit) < LEAST or len(np.unique(audit.labels_T == target)) < 2:
        raise UserError(
            f"{project.folder}: {len(audit)} audited images have a label, and a card needs {LEAST} or more, some that "
            f"show {s.target} and some that do not; go on labelling"
        )
    model = chooser.fit(known)
    patients = [archive.patients[i] for i in known.index_M.tolist()]
    oof_MC = out_of_fold(chooser, known.index_M, known.labels_M, patients)
    if oof_MC is None:
        raise UserError(f"{project.folder}: too few labels to choose a threshold by cross-validation; go on labelling")
    tested_TC = model.probs(chooser.features.features_NK[audit.index_T])
    card = _data_card(project, known.labels_M, audit)
    fit = _fit(project, model, card, (oof_MC, known.labels_M), (tested_TC, audit.labels_T), known.index_M)
    chosen = choose(oof_MC, known.labels_M, target, goal, coverage)
    test = Split(tested_TC, audit.labels_T, None)
    record = BundleRecord(
        version=2,
        name=f"{project.folder.resolve().name} {model.key}",
        classes=s.classes,
        target=s.target,
        image_size=s.network.image_size,
        networks=[Network(arch=s.network.arch, in_channels=1, mean=0.0, std=1.0)],
        temperature=chosen.temperature.value,
        temperature_note=chosen.temperature.note,
        decision=chosen.decision,
        abstention=chosen.abstention,
        uncertainty="none",
        passes=s.head.passes,
        random_sites=[],
        data=card,
        n_labelled=[model.labelled],
        command=provenance.command(),
        commit=provenance.commit(),
        versions=provenance.versions(),
        val_images=len(known.labels_M),
        tested=measure_on_test(test, chosen, tuple(s.classes), target),
    )
    seen = frozenset(archive.images[i].digest for i in known.index_M.tolist())
    return Bundle(record, (fit,), seen, Validation(oof_MC, known.labels_M), usual_of(project))


def _data_card(project: Project, labels_M: np.ndarray, audit: Audit) -> DataCard:
    s, state = project.settings, project.journal.state

    def counts(labels: np.ndarray) -> dict[str, int]:
        return {name: int((labels == c).sum()) for c, name in enumerate(s.classes)}

    number, head = project.journal.log.head()
    without = sum(audit.without.values())
    notes = [
        f"labelled by {len(state.readers)} reader(s) in the order that {s.acquisition.strategy} chose; the images it "
        "learned from are harder than the archive on the whole",
        "validation is a cross-validation of the labels that it learned from, by patient",
        f"test is the audit: {len(audit):,} images asked at random, one a patient, of patients from whom no model "
        f"learned; {without:,} more have no label",
        f"event log: {number:,} events, the last with the hash {head}",
    ]
    return DataCard(
        name=Path(s.archive.source).name,
        synthetic=is_made(s.archive) and s.archive.source.startswith("phantom"),
        classes=s.classes,
        counts={"train": counts(labels_M), "val": counts(labels_M), "test": counts(audit.labels_T)},
        fingerprint=digest_text("\n".join(f"{image} {label}" for image, label in sorted(state.labels().items()))),
        image_size=s.network.image_size,
        attribution="",
        notes=notes,
    )


def _fit(
    project: Project,
    model: HeadModel,
    card: DataCard,
    validated: tuple[np.ndarray, np.ndarray],
    tested: tuple[np.ndarray, np.ndarray],
    index_M: np.ndarray,
) -> Fit:
    """The head as a fit of a frozen network, in the project's folder of models."""
    s, folder = project.settings, project.folder / heads.FOLDER / model.key
    head = heads.torch_head(model, s.head.dropout)
    heads.write_head(folder / "model.safetensors", model)
    write(
        folder / "model.json",
        ModelCard(
            arch=s.network.arch,
            in_channels=1,
            image_size=s.network.image_size,
            options=s.network.options | {"head_dropout": s.head.dropout},
            classes=s.classes,
            mean=0.0,
            std=1.0,
            tune="frozen",
            backbone=project.chooser.features.weights,
            data=card.name,
            fingerprint=card.fingerprint,
        ),
    )
    record = FitRecord(
        key=model.key,
        arch=s.network.arch,
        parameters=models.parameters(head),
        loss="cross_entropy",
        n_labelled=model.labelled,
        labelled_hash=digest(index_M),
        initial_weights_hash="",
        final_weights_hash=heads.weights_of(model),
        best_epoch=1,
        history=[],
        val=measure(*validated, tuple(s.classes)),
        test=measure(*tested, tuple(s.classes)),
    )
    write(folder / "fit.json", record)
    return Fit(folder, read(folder / "fit.json", FitRecord))
