"""Opening one run of an experiment, in three steps that a caller takes one after the other.

::

checked = check_run(name, settings, dataset, folder, command)   # writes nothing but the pixel cache
runtime = noted_runtime(folder) or choose_runtime(checked, say)  # on a new machine it measures, and says so
workspace = begin_run(checked, runtime)                         # writes what the run folder starts with
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from al_cxr.comparison.images import known_groups
from al_cxr.config import Settings
from al_cxr.core import provenance
from al_cxr.core.cache import default_cache
from al_cxr.core.drafts import sweep
from al_cxr.core.progress import Say, Working
from al_cxr.core.records import ExperimentRecord, write
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_first
from al_cxr.data.quality import gate, usual
from al_cxr.data.store import PixelStore, data_card
from al_cxr.data.undecodable import without_undecodable
from al_cxr.experiment import seen
from al_cxr.experiment.assembly import build_loader, build_model
from al_cxr.experiment.images import duplicate_groups, write_images
from al_cxr.experiment.run_folder import RECORD, check_folder, note_runtime
from al_cxr.experiment.speeds import passes_speed, training_speed
from al_cxr.experiment.workspace import Workspace
from al_cxr.strategies.budget import shortfalls
from al_cxr.training.losses import build as build_loss
from al_cxr.training.runtime import Runtime, device_named, resolve


@dataclass(frozen=True, eq=False)
class CheckedRun:
    """A run whose settings fit its data and its folder, and whose images are decoded."""

    folder: Path
    record: ExperimentRecord
    settings: Settings
    dataset: Dataset
    """With notes of all that was found in it."""
    store: PixelStore
    duplicate_group_N: list[int | None]
    usual: usual.Usual | None
    """What its images usually look like, for the bundles that are made of the run."""
    seen: frozenset[str]
    """Digests of the images that the weights which the model starts from have seen."""


def check_settings(settings: Settings, dataset: Dataset) -> None:
    """UserError where the target is no class of the data, an option of the model or of a loss is wrong, or this machine
    has no such device."""
    device_named(settings.machine.device)
    dataset.class_index(settings.data.target)
    build_model(settings, dataset, 0)
    for name, loss in settings.losses.items():
        build_loss(loss, np.ones(len(dataset.classes)), name=name)


def load_dataset(settings: Settings) -> Dataset:
    """The data set of an experiment; DICOM files are decoded for it, and those that cannot be are left out."""

    def load() -> Dataset:
        with Working("reading the data set"):
            return load_first(settings.data)

    return without_undecodable(load(), load, settings.data.image_size, _cache(settings), settings.machine.workers)


def open_store(settings: Settings, dataset: Dataset) -> PixelStore:
    """The pixels of the data set at the size of the settings, decoded where they are not in the cache."""
    return PixelStore.open(dataset.images, settings.data.image_size, _cache(settings), settings.machine.workers)


def check_run(
    name: str, settings: Settings, dataset: Dataset, folder: Path, command: str, regime: str = ""
) -> CheckedRun:
    """Check the settings against the data and against what the folder holds already, and look the images over.

    Nothing is written but the pixel cache. UserError as of `check_settings`, `open_store` and `check_folder`.
    """
    check_settings(settings, dataset)
    store = open_store(settings, dataset)
    weights = str(settings.model.arguments().get("weights", ""))
    seen_before = seen.of_weights(weights)
    few = shortfalls(settings.budget, len(dataset.indices("train"))) if settings.arms else []
    dataset = dataset.with_notes(*few, *seen.warnings(dataset, store, weights, seen_before), *store.notes)
    record = check_folder(
        folder,
        ExperimentRecord(
            name=name,
            regime=regime,
            settings=settings.record(),
            data=data_card(dataset, store),
            command=command,
            commit=provenance.commit(),
            versions=provenance.versions(),
        ),
    )
    begun = (folder / RECORD).exists()
    group_N = (known_groups(folder) if begun else None) or duplicate_groups(store)
    noted = folder / usual.FILE
    usually = usual.read_usual(noted) if begun and noted.exists() else gate.reference(dataset, store)
    found = gate.warnings(dataset, store, gate.inspect(dataset, store, usually), group_N)
    dataset = replace(dataset, notes=(*found, *dataset.notes))  # before all else that is noted
    record = record.model_copy(update={"data": data_card(dataset, store)})
    return CheckedRun(folder, record, settings, dataset, store, group_N, usually, seen_before)


def choose_runtime(checked: CheckedRun, say: Say) -> Runtime:
    """Device, threads and precision of a run that was not begun.

    Where a precision is `auto` and the machine has more than one worth trying, real training and real passes are timed
    for a few seconds each; `say` is told, and the machine remembers the verdict.
    """
    settings, dataset, store = checked.settings, checked.dataset, checked.store
    return resolve(
        settings.machine,
        _cache(settings),
        {
            "model": settings.model.model_dump(),
            "image_size": settings.data.image_size,
            "batch_size": settings.train.batch_size,
        },
        lambda runtime: training_speed(settings, dataset, store, runtime),
        lambda runtime: passes_speed(settings, dataset, store, runtime),
        say,
    )


def begin_run(checked: CheckedRun, runtime: Runtime) -> Workspace:
    """Write what a run folder starts with, and make the batches ready: of pixels, or of a frozen backbone's features.

    What killed starts have left half-written is removed.
    """
    folder, record, dataset, store = checked.folder, checked.record, checked.dataset, checked.store
    sweep(folder.parent if record.regime else folder, below=True)  # the models of regimes lie beside them
    runtime.activate()
    note_runtime(folder, runtime)
    write(folder / RECORD, record)
    own = {store.digests[i] for split in ("train", "val") for i in dataset.indices(split)}
    seen.write_seen(folder, own | checked.seen)
    write_images(folder, dataset, checked.duplicate_group_N)
    if checked.usual is not None:
        usual.write_usual(folder / usual.FILE, checked.usual)
    loader = build_loader(checked.settings, dataset, store, runtime)
    return Workspace(folder, record.name, checked.settings, dataset, store, record.data, runtime, loader, record.regime)


def _cache(settings: Settings) -> Path:
    return Path(settings.machine.cache) if settings.machine.cache else default_cache()
