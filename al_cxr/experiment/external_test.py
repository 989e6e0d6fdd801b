"""Trained models on another data set: the external test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from al_cxr.comparison.images import FILE as IMAGES
from al_cxr.config import Machine, Settings
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.core.records import BaselineRecord, ExperimentRecord, FitRecord, RoundRecord, fits_folder, read
from al_cxr.data.dataset import Dataset
from al_cxr.data.loader import FeatureLoader
from al_cxr.data.store import PixelStore
from al_cxr.evaluation.ensemble import mean_probs
from al_cxr.evaluation.predicted import EvaluatedModel, Predicted
from al_cxr.evaluation.truth import checked_predictions, labels_of
from al_cxr.experiment import seen
from al_cxr.experiment.fits import Fit, ModelCard
from al_cxr.experiment.images import known_images
from al_cxr.experiment.shared_backbones import FitLoaders
from al_cxr.models.adaptation import CANNOT, FeatureMoments
from al_cxr.models.backbone import Head
from al_cxr.sampling.engine import Batch
from al_cxr.sampling.scoring import predict
from al_cxr.training.runtime import Runtime

ADAPTED = ", adapted"
"""Added to the name of a group whose heads were adapted to the tested images."""


@dataclass(frozen=True)
class Named:
    """A trained model and what to call it: `group` is the same over the seeds of an arm.

    `run` is the folder of its experiment; None of a fit that was taken out of it.
    """

    group: str
    name: str
    fit: Fit
    run: Path | None


def find_models(path: Path) -> list[Named]:
    """The models that a path stands for; UserError where there is none.

    A run folder: every arm's last round and the baselines, all seeds. What lies below it (arms/ARM, arms/ARM/seed-S,
    baseline, baseline/seed-S, fits/KEY): what is in there.
    """
    run = next((p for p in (path, *path.parents) if (p / "experiment.json").is_file()), None)
    if (path / "fit.json").is_file():
        return [Named(path.name, path.name, Fit(path, read(path / "fit.json", FitRecord)), run)]
    if run is None:
        raise UserError(
            f"{path}: neither a run folder nor inside one, nor a bundle; name what `al-cxr run` wrote, or a "
            "model's folder in what `al-cxr baseline` wrote"
        )
    found = []
    for folder in sorted({p.parent for p in path.rglob("round-*.json")}):
        stems = [p.stem.removeprefix("round-") for p in folder.glob("round-*.json")]  # round-3.timing is none
        numbers = [int(stem) for stem in stems if stem.isdigit()]
        last = read(folder / f"round-{max(numbers)}.json", RoundRecord)
        found.append(_named(run, last.arm, f"{last.arm}/seed-{last.seed}", last.fit))
    baselines = path.rglob("seed-*.json") if path != run else (run / "baseline").glob("seed-*.json")
    if path.parent == run / "baseline":  # of one seed, with or without the suffix of its record
        baselines = (p for p in [path.with_name(f"{path.name.removesuffix('.json')}.json")] if p.is_file())
    for file in sorted(p for p in baselines if p.parent.name == "baseline"):
        record = read(file, BaselineRecord)
        found.append(_named(run, "baseline", f"baseline/seed-{record.seed}", record.fit))
    if not found:
        raise UserError(f"{path}: no model is finished there yet; start the run again, or name another folder")
    return found


def find_all(paths: Sequence[Path]) -> list[Named]:
    """The models of one path or of several; of several, each group is called after its run too.

    UserError where two paths hold the same model, or models of different classes.
    """
    if len(paths) == 1:
        return find_models(paths[0])
    found: list[Named] = []
    for path in paths:
        for model in find_models(path):
            called = path.name if model.run is None else read(model.run / "experiment.json", ExperimentRecord).name
            own = "" if model.group == "baseline" else f" {model.group}"
            seed = model.name.rpartition("/")[2]
            found.append(replace(model, group=f"{called}{own}", name=f"{called}{own}/{seed}"))
    folders = [model.fit.folder.resolve() for model in found]
    if len(set(folders)) < len(folders):
        raise UserError(f"{', '.join(map(str, paths))}: some of these hold the same models; name each once")
    first, *others = (model.fit.model_card() for model in found)
    for model, card in zip(found[1:], others, strict=True):
        if card.classes != first.classes:
            what = f"its classes are {', '.join(card.classes)}, those of {found[0].name} {', '.join(first.classes)}"
            raise UserError(f"{model.name}: {what}; evaluate them one by one")
    return found


def together(models: Sequence[Named], evaluated: Sequence[EvaluatedModel]) -> EvaluatedModel:
    """All the networks as one: the mean of their probabilities. It has a temperature and a threshold of its own where
    they come from the same data set, and so were validated on the same images."""
    name = f"ensemble of {len(evaluated)} networks"
    name += ADAPTED if any(one.group.endswith(ADAPTED) for one in evaluated) else ""
    each = [one.predicted for one in evaluated]
    probs_NC, labels_N = mean_probs([one.probs_NC for one in each]), each[0].labels_N
    val_probs = [one.val_probs_MC for one in each if one.val_probs_MC is not None]
    predicted = Predicted(name, probs_NC, labels_N)
    if len(val_probs) == len(each) and len({model.fit.model_card().fingerprint for model in models}) == 1:
        predicted = Predicted(name, probs_NC, labels_N, mean_probs(val_probs), each[0].val_labels_M)
    measured = measure(probs_NC, labels_N, tuple(c.name for c in evaluated[0].metrics.classes))
    return EvaluatedModel(name, predicted, measured, shown=True)


def evaluate_model(
    model: Named,
    dataset: Dataset,
    loaders: FitLoaders,
    runtime: Runtime,
    known_N: np.ndarray | None = None,
    adapt: bool = False,
    note: Callable[[int], object] = lambda count: None,
) -> EvaluatedModel:
    """Run a model over all images of a data set; with `adapt` after its head was adapted to them, without their labels
    (al_cxr.models.adaptation): UserError for a network that cannot be.

    `known_N` are the labels of the data set it was trained on (`known_labels`): with them its stored validation
    predictions give a temperature and a threshold. UserError where they are not those of its record. `note(n)` is told
    of every n images that are predicted.
    """
    validation = (
        None if known_N is None else checked_predictions(model.fit.folder, "val", known_N, model.fit.record.val)
    )
    val_probs_MC, val_labels_M = (None, None) if validation is None else validation[1:]
    loader = loaders.of(model.fit)
    part = model.fit.part_for(loader, runtime)
    if adapt:
        if not isinstance(part, Head) or not isinstance(loader, FeatureLoader):
            raise UserError(f"{model.name}: {CANNOT}")
        moments = FeatureMoments()
        for _, features in loader.batches(np.arange(len(dataset)), runtime.score_batch):
            moments.add(features.cpu().numpy())
        part = moments.fit(part)
    probs = predict(part, _noted(loader.batches(np.arange(len(dataset)), runtime.score_batch), note))
    measured = measure(probs, dataset.labels_N, dataset.classes)
    group, name = model.group, model.name
    if adapt:
        group = f"{model.group}{ADAPTED}"
        name = f"{group}/{model.name.rpartition('/')[2]}"
    predicted = Predicted(name, probs, dataset.labels_N, val_probs_MC, val_labels_M)
    return EvaluatedModel(group, predicted, measured, shown=adapt)


def _noted(batches: Iterable[Batch], note: Callable[[int], object]) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        note(len(batch[0]))


def known_labels(run: Path) -> np.ndarray | None:
    """Labels of the data set a run was made with, by absolute index: from its images.csv, else from the data set if
    that can still be read; None otherwise."""
    record = read(run / "experiment.json", ExperimentRecord)
    try:
        return labels_of(known_images(run, record), record.data.classes)
    except UserError:
        if (run / IMAGES).exists():  # and damaged
            raise
        return None


def target_of(run: Path) -> str:
    """The class that a run's experiment is about."""
    return Settings.model_validate(read(run / "experiment.json", ExperimentRecord).settings).data.target


def open_store(cards: Sequence[ModelCard], dataset: Dataset, machine: Machine) -> PixelStore:
    """The data set's pixels at the size that all the models were trained at."""
    sizes = {card.image_size for card in cards}
    if len(sizes) != 1:
        raise UserError(f"the models were trained at different image sizes ({sorted(sizes)}); evaluate them one by one")
    cache = Path(machine.cache) if machine.cache else None
    return PixelStore.open(dataset.images, sizes.pop(), cache, machine.workers)


def seen_by(models: Sequence[Named]) -> frozenset[str]:
    """Digests of the images that the models, or the weights they started from, were trained on or chosen by."""
    runs = {m.fit.folder.parent.parent for m in models}
    return frozenset().union(*(seen.of_run(run) for run in runs))


def _named(run: Path, group: str, name: str, key: str) -> Named:
    folder = fits_folder(run, read(run / "experiment.json", ExperimentRecord).regime) / key
    return Named(group, name, Fit(folder, read(folder / "fit.json", FitRecord)), run)
