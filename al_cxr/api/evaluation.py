"""What `al-cxr evaluate` does: trained models of runs, and bundles, on data that they have not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_cxr.bundles import evaluate as bundled
from al_cxr.bundles.bundling import usual_of
from al_cxr.bundles.description import in_one_line
from al_cxr.bundles.folder import is_bundle, must_be_outside
from al_cxr.bundles.record import UNPROVEN
from al_cxr.config import Machine
from al_cxr.core import enough, provenance
from al_cxr.core.errors import UserError
from al_cxr.core.names import known_class
from al_cxr.core.outputs import must_be_about, must_be_apart, must_be_free
from al_cxr.core.progress import Progress
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_for_evaluation
from al_cxr.data.quality.usual import Usual
from al_cxr.data.sources.source import Source
from al_cxr.data.store import PixelStore, dataset_fingerprint, default_cache
from al_cxr.evaluation.operating import Goal, goal_from
from al_cxr.evaluation.study import PREVALENCES
from al_cxr.evaluation.tested import EvaluatedModel
from al_cxr.experiment import external_test as external
from al_cxr.experiment import seen
from al_cxr.experiment.fits import ModelCard
from al_cxr.models.adaptation import CANNOT, require_enough
from al_cxr.report.evaluation import write_evaluation
from al_cxr.report.kit.page import PAGE
from al_cxr.training.runtime import plain


@dataclass(frozen=True)
class Models:
    """What was named: the models of runs, and bundles."""

    runs: list[Path]
    single: list[external.Named]
    bundles: list[bundled.NamedBundle]

    @property
    def cards(self) -> list[ModelCard]:
        """One each; at least one."""
        return [m.fit.card() for m in self.single] + [named.bundle.fits[0].card() for named in self.bundles]

    @property
    def frozen(self) -> list[bool]:
        """Which of the runs' models have a head that can be adapted."""
        return [model.fit.card().tune == "frozen" for model in self.single]

    @property
    def target(self) -> str | None:
        """The class that the first model is about; None of a fit that was taken out of its run."""
        if not self.single:
            return self.bundles[0].bundle.record.target
        run = self.single[0].run
        return external.target_of(run) if run else None

    @property
    def goal(self) -> Goal | None:
        """What the first bundle's threshold was made for."""
        return next((goal_from(named.bundle.record.decision.goal) for named in self.bundles), None)

    @property
    def usual(self) -> dict[str, Usual | None]:
        """What the training images of each run and bundle look like, by its name."""
        runs = {str(m.run): m.run for m in self.single if m.run is not None}
        return {name: usual_of([run]) for name, run in runs.items()} | {
            named.name: named.bundle.usual for named in self.bundles
        }

    def seen(self) -> frozenset[str]:
        return external.seen_by(self.single).union(*(named.bundle.seen for named in self.bundles))


def evaluate(
    folders: list[Path],
    data: Source,
    out: Path | None,
    attribution: str,
    target: str | None = None,
    goal: Goal | None = None,
    prevalences: str | None = None,
    adapt: bool = False,
) -> None:
    """`al-cxr evaluate`: trained models on data that they have not seen; those of several runs also as one.

    Without a `goal` thresholds are those that the first bundle was made for, or the usual ones.
    """
    shares = _prevalences(prevalences)
    models = _found(folders, out, adapt)
    cards, target = models.cards, target or models.target
    card = cards[0]
    if target is not None:
        target = known_class(target, card.classes, "--target")
    dataset = load_for_evaluation(data, card.classes)
    folder = out or folders[0] / "evaluations" / dataset.name
    must_be_outside(folder)
    must_be_apart(folder, data.image_folder())
    must_be_free(folder, PAGE)  # before the work, not after it
    if adapt:
        require_enough(len(dataset))
    print(f"data      {dataset.stamp} · {len(dataset):,} images, at {card.image_size} × {card.image_size} pixels")
    store = external.open_store(cards, dataset, Machine())
    must_be_about(folder, dataset_fingerprint(dataset, store), provenance.command())
    known_N = {run: external.known_labels(run) if run else None for run in {m.run for m in models.single}}
    goal = goal or models.goal
    looked, of_images = bundled.look(dataset, store, models.usual)
    if adapt:
        require_enough(looked.different)
    notes = [*_warnings(models, store, known_N, goal or Goal()), *of_images]
    notes += [*dataset.notes, *store.notes]
    for note in notes:
        print(f"warning   {note}")
    judged = _judged(models, dataset, store, known_N, adapt)
    for said in _validated(judged):
        print(f"warning   {said}")
        notes.append(said)
    if adapt:
        notes.append(
            f"models called adapted standardise by the features of the {len(dataset):,} images themselves, "
            "without their labels: what they would do where so many unlabelled images are at hand, of which about as "
            "many show each class as in training; adapted to people of whom few are ill they would flag many of the "
            f"others. {UNPROVEN}"
        )
    trained = dict.fromkeys(f"{c.data} ({c.fingerprint[:12]})" for c in cards)
    facts = {
        "command": provenance.command(),
        "commit": provenance.commit(),
        "models": f"{', '.join(map(str, folders))}, trained on {', '.join(trained)}",
        "data set": f"{dataset.stamp}, fingerprint {dataset_fingerprint(dataset, store)}",
        "attribution": attribution or dataset.attribution or "none given",
    }
    facts |= {named.name: in_one_line(named.bundle) for named in models.bundles}
    page = write_evaluation(
        folder,
        judged,
        [dataset.images.name(i) for i in range(len(dataset))],
        dataset.labels_N,
        dataset.stamp,
        facts,
        notes,
        target=target,
        goal=goal,
        prevalences=shares,
        table=dataset.table,
    )
    print(f"report    {page}")


def _found(folders: Sequence[Path], out: Path | None, adapt: bool) -> Models:
    """The models in these folders; UserError where they cannot be tested together, or not in this way."""
    bundles = bundled.find_bundles([folder for folder in folders if is_bundle(folder)])
    runs = [folder for folder in folders if not is_bundle(folder)]
    models = Models(runs, external.find_all(runs) if runs else [], bundles)
    if out is None and len(folders) > 1:
        raise UserError("--out: several models were named, so say which folder the report goes to")
    if out is None and bundles:
        raise UserError("--out: a bundle holds nothing but itself, so say which folder the report goes to")
    if adapt and not any(models.frozen):
        own = "; a bundle is adapted by `al-cxr adapt`, and then named here beside the first" if bundles else ""
        raise UserError(f"--adapt: {CANNOT}{own}")
    first = models.cards[0].classes
    for named in bundles:
        if (classes := named.bundle.record.classes) != first:
            what = f"its classes are {', '.join(classes)}, those of the first model {', '.join(first)}"
            raise UserError(f"{named.name}: {what}; evaluate them one by one")
    return models


def _warnings(
    models: Models, store: PixelStore, known_N: Mapping[Path | None, np.ndarray | None], goal: Goal
) -> list[str]:
    notes = []
    if known := seen.count(store, models.seen()):
        notes.append(f"{known:,} of {len(store.digests):,} images trained or chose the models: no external test")
    if any(labels is None for labels in known_N.values()):
        notes.append("the models' own validation labels cannot be read: neither a temperature nor a threshold")
    notes += [
        f"{named.name} was made for {made}, and is judged here at the threshold for {goal}: `predict` has another one"
        for named in models.bundles
        if (made := named.bundle.record.decision.goal) != str(goal)
    ]
    return notes + [
        f"{named.name} holds no validation answers, as older bundles do: no threshold; make it anew with al-cxr bundle"
        for named in models.bundles
        if named.bundle.validation is None
    ]


def _validated(judged: Sequence[EvaluatedModel]) -> list[str]:
    """Where temperatures and thresholds rest on few images."""
    of: dict[str, list[str]] = {}
    for one in judged:
        if one.val_labels_M is not None:
            labels = [c.name for c in one.metrics.classes]
            counts = np.bincount(one.val_labels_M, minlength=len(labels)).tolist()
            for said in enough.of_split("val", dict(zip(labels, counts, strict=True)), "validation"):
                of.setdefault(said, []).append(one.group)
    return [f"{said} ({', '.join(dict.fromkeys(groups))})" for said, groups in of.items()]


def _judged(
    models: Models, dataset: Dataset, store: PixelStore, known_N: Mapping[Path | None, np.ndarray | None], adapt: bool
) -> list[EvaluatedModel]:
    """Each model on the images; with `adapt` those that can be also adapted to them, and several runs also as one."""
    runtime = plain(Machine()).activate()
    loaders = external.Loaders(store, runtime, default_cache())
    count = len(models.single) + len(models.bundles) + (sum(models.frozen) if adapt else 0)
    with Progress(count * len(dataset), "evaluating", say=print) as progress:

        def said(one: EvaluatedModel) -> EvaluatedModel:
            accuracy, f1 = 100 * one.metrics.accuracy, 100 * one.metrics.macro.f1
            progress.say(f"{one.name}: accuracy {accuracy:.1f} % · macro F1 {f1:.1f} %")
            return one

        def judge(model: external.Named, adapt: bool = False) -> EvaluatedModel:
            known = known_N[model.run]
            return said(external.evaluate(model, dataset, loaders, runtime, known, adapt, progress.update))

        variants = [[judge(model) for model in models.single]]
        if adapt:
            both = zip(models.single, models.frozen, variants[0], strict=True)
            variants.append([judge(model, True) if can else one for model, can, one in both])
        if len(models.runs) > 1:
            variants = [[*some, said(external.together(models.single, some, dataset.labels_N))] for some in variants]
        judged = list(dict.fromkeys(one for some in variants for one in some))
        judged += [said(bundled.evaluate_bundle(named, dataset, store, progress.update)) for named in models.bundles]
    return judged


def _prevalences(text: str | None) -> tuple[float, ...]:
    if text is None:
        return PREVALENCES
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--prevalence {text}: numbers with commas between them, such as 0.005,0.02") from None
    if not all(0 < share < 1 for share in shares):
        raise UserError(f"--prevalence {text}: a prevalence lies between 0 and 1; 2 % is 0.02")
    return shares
