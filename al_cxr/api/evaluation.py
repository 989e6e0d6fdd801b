"""The external test: trained models of runs, and bundles, on data that they have not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from al_cxr.api.named_models import NamedModels, find_named, warnings_of
from al_cxr.bundles import evaluate as bundled
from al_cxr.bundles.description import in_one_line
from al_cxr.bundles.folder import must_be_outside
from al_cxr.bundles.record import UNPROVEN
from al_cxr.config import Machine
from al_cxr.core import enough, provenance
from al_cxr.core.cache import default_cache
from al_cxr.core.errors import UserError
from al_cxr.core.names import known_class
from al_cxr.core.outputs import must_be_about, must_be_apart, must_be_free
from al_cxr.core.progress import Progress
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_for_evaluation
from al_cxr.data.sources.source import Source
from al_cxr.data.store import PixelStore, dataset_fingerprint
from al_cxr.data.undecodable import without_undecodable
from al_cxr.evaluation.operating import Goal
from al_cxr.evaluation.predicted import EvaluatedModel
from al_cxr.evaluation.study import PREVALENCES
from al_cxr.experiment import external_test as external
from al_cxr.experiment.shared_backbones import FitLoaders
from al_cxr.models.adaptation import require_enough
from al_cxr.report.evaluation import write_evaluation
from al_cxr.report.kit.page import PAGE
from al_cxr.training.runtime import plain


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
    models = find_named(folders, out, adapt)
    cards, target = models.cards, target or models.target
    card = cards[0]
    if target is not None:
        target = known_class(target, card.classes, "--target")

    def load() -> Dataset:
        return load_for_evaluation(data, card.classes)

    dataset = load()
    folder = out or folders[0] / "evaluations" / dataset.name
    must_be_outside(folder)
    must_be_apart(folder, data.image_folder())
    must_be_free(folder, PAGE)  # before the work, not after it
    if adapt:
        require_enough(len(dataset))
    dataset = without_undecodable(dataset, load, card.image_size)
    print(f"data      {dataset.stamp} · {len(dataset):,} images, at {card.image_size} × {card.image_size} pixels")
    store = external.open_store(cards, dataset, Machine())
    must_be_about(folder, dataset_fingerprint(dataset, store), provenance.command())
    known_N = {run: external.known_labels(run) if run else None for run in {m.run for m in models.single}}
    goal = goal or models.goal
    looked, of_images = bundled.inspect_images(dataset, store, models.usual)
    if adapt:
        require_enough(looked.different)
    notes = [*warnings_of(models, store, known_N, goal or Goal()), *of_images]
    notes += [*dataset.notes, *store.notes]
    for note in notes:
        print(f"warning   {note}")
    evaluated = _evaluated(models, dataset, store, known_N, adapt)
    for warning in _few_validation_images(evaluated):
        print(f"warning   {warning}")
        notes.append(warning)
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
        evaluated,
        [dataset.images.name(i) for i in range(len(dataset))],
        dataset.stamp,
        facts,
        notes,
        target=target,
        goal=goal,
        prevalences=shares,
        table=dataset.table,
    )
    print(f"report    {page}")


def _few_validation_images(evaluated: Sequence[EvaluatedModel]) -> list[str]:
    """Where temperatures and thresholds rest on few images."""
    groups_of: dict[str, list[str]] = {}
    for one in evaluated:
        if one.predicted.val_labels_M is not None:
            labels = [c.name for c in one.metrics.classes]
            counts = np.bincount(one.predicted.val_labels_M, minlength=len(labels)).tolist()
            for warning in enough.of_split("val", dict(zip(labels, counts, strict=True)), "validation"):
                groups_of.setdefault(warning, []).append(one.group)
    return [f"{warning} ({', '.join(dict.fromkeys(groups))})" for warning, groups in groups_of.items()]


def _evaluated(
    models: NamedModels,
    dataset: Dataset,
    store: PixelStore,
    known_N: Mapping[Path | None, np.ndarray | None],
    adapt: bool,
) -> list[EvaluatedModel]:
    """Each model on the images; with `adapt` those that can be also adapted to them, and several runs also as one."""
    runtime = plain(Machine()).activate()
    loaders = FitLoaders(store, runtime, default_cache())
    count = len(models.single) + len(models.bundles) + (sum(models.frozen) if adapt else 0)
    with Progress(count * len(dataset), "evaluating", say=print) as progress:

        def tell(one: EvaluatedModel) -> EvaluatedModel:
            accuracy, f1 = 100 * one.metrics.accuracy, 100 * one.metrics.macro.f1
            progress.say(f"{one.name}: accuracy {accuracy:.1f} % · macro F1 {f1:.1f} %")
            return one

        def evaluate_one(model: external.Named, adapt: bool = False) -> EvaluatedModel:
            known = known_N[model.run]
            return tell(external.evaluate_model(model, dataset, loaders, runtime, known, adapt, progress.update))

        variants = [[evaluate_one(model) for model in models.single]]
        if adapt:
            as_trained = zip(models.single, models.frozen, variants[0], strict=True)
            variants.append([evaluate_one(model, True) if can else one for model, can, one in as_trained])
        if len(models.runs) > 1:
            variants = [[*some, tell(external.together(models.single, some))] for some in variants]
        evaluated = list(dict.fromkeys(one for some in variants for one in some))
        for named in models.bundles:
            evaluated.append(tell(bundled.evaluate_bundle(named, dataset, store, progress.update)))
    return evaluated


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
