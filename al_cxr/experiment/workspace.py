"""One experiment on one data set in one folder: what all its runs share."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from torch import nn

from al_cxr.comparison.images import FILE, duplicate_groups, known_groups, write_images
from al_cxr.config import Settings
from al_cxr.config.files import differences
from al_cxr.core import provenance
from al_cxr.core.drafts import sweep, write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import first_reason
from al_cxr.core.records import DataCard, ExperimentRecord, fits_folder, read, write
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_first
from al_cxr.data.loader import FeatureLoader, Loader
from al_cxr.data.quality import gate, usual
from al_cxr.data.store import PixelStore, data_card, default_cache
from al_cxr.experiment import seen
from al_cxr.experiment.assembly import build_head, build_loader, build_model, build_task
from al_cxr.experiment.speeds import passes_speed, training_speed
from al_cxr.strategies.pool import shortfalls
from al_cxr.training.losses import build as build_loss
from al_cxr.training.runtime import Runtime, resolve
from al_cxr.training.trainer import Task

GROWS = ("seeds", "arms", "regimes", "search")
"""Settings that may change between two starts of one experiment: more of them only adds runs, or changes none."""


@dataclass(frozen=True, eq=False)  # itself and no other, so that a worker can cache what belongs to it
class Workspace:
    folder: Path
    name: str
    settings: Settings
    dataset: Dataset
    store: PixelStore
    card: DataCard
    runtime: Runtime
    loader: Loader
    regime: str = ""

    @property
    def fits(self) -> Path:
        """Folder of the trained models."""
        return fits_folder(self.folder, self.regime)

    @property
    def train_index(self) -> np.ndarray:
        return self.dataset.indices("train")

    def build_model(self, seed: int) -> nn.Module:
        """A fresh network, or the head of a frozen backbone; equal seeds give equal bits."""
        if not isinstance(self.loader, FeatureLoader):
            return build_model(self.settings, self.dataset, seed)
        head = build_head(self.settings, self.dataset, self.loader, seed)
        head.standardise.fit(*self.loader.moments(self.train_index))
        return head

    def task(self, loss: str, seed: int, labelled: np.ndarray) -> Task:
        """Fitting the architecture on some labelled images with a named loss."""
        return build_task(self.settings, self.dataset, self.loader, self.runtime, loss, seed, labelled)

    def labels_by_class(self, index: np.ndarray) -> dict[str, int]:
        counts = np.bincount(self.dataset.labels_N[index], minlength=len(self.dataset.classes))
        return dict(zip(self.dataset.classes, counts.tolist(), strict=True))


def open_workspace(
    name: str, settings: Settings, dataset: Dataset, folder: Path, command: str, regime: str = ""
) -> Workspace:
    """Check the settings against the data and against what the folder holds already, and decode the pixels.

    Raises UserError where the target is no class of the data, a model or loss option is wrong, or the folder holds the
    same name with other settings or other data: results of two settings must never mix.
    """
    dataset.class_index(settings.data.target)
    build_model(settings, dataset, 0)
    for name_of_loss, loss in settings.losses.items():
        build_loss(loss, np.ones(len(dataset.classes)), name=name_of_loss)
    cache = Path(settings.machine.cache) if settings.machine.cache else default_cache()
    store = PixelStore.open(dataset.images, settings.data.image_size, cache, settings.machine.workers)
    weights = str(settings.model.arguments().get("weights", ""))
    inherited = seen.of_weights(weights)
    short = shortfalls(settings.budget, len(dataset.indices("train"))) if settings.arms else []
    dataset = dataset.with_notes(*short, *seen.warnings(dataset, store, weights, inherited), *store.notes)
    card = data_card(dataset, store)
    new = ExperimentRecord(
        name=name,
        regime=regime,
        settings=settings.record(),
        data=card,
        command=command,
        commit=provenance.commit(),
        versions=provenance.versions(),
    )
    again = (folder / "experiment.json").exists()
    if again:
        new = _continued(folder, new)
    else:
        _must_be_new(folder)
    sweep(folder.parent if regime else folder, below=True)  # the models of regimes lie beside them
    group_N = (known_groups(folder) if again else None) or duplicate_groups(store)
    usually = _usual(folder, dataset, store, again)
    found = gate.warnings(dataset, store, gate.inspect(dataset, store, usually), group_N)
    dataset = replace(dataset, notes=(*found, *dataset.notes))  # before all else that is noted
    card = data_card(dataset, store)
    new = new.model_copy(update={"data": card})
    runtime = _runtime(folder / "machine.json", settings, dataset, store, cache).activate()
    write(folder / "experiment.json", new)
    own = {store.digests[i] for split in ("train", "val") for i in dataset.indices(split)}
    seen.write_seen(folder, own | inherited)
    write_images(folder, dataset, group_N)
    if usually is not None:
        usual.write_usual(folder / usual.FILE, usually)
    loader = build_loader(settings, dataset, store, runtime)
    return Workspace(folder, name, settings, dataset, store, card, runtime, loader, regime)


def reopen(folder: Path, settings: Settings) -> Workspace:
    """What `open_workspace` made of these settings, in another process; nothing is written or measured."""
    record = read(folder / "experiment.json", ExperimentRecord)
    dataset = load_first(settings.data)
    cache = Path(settings.machine.cache) if settings.machine.cache else None
    size, workers = settings.data.image_size, settings.machine.workers
    store = PixelStore.open(dataset.images, size, cache, workers, progress=False, verify=False)
    card = data_card(dataset, store)
    if card.fingerprint != record.data.fingerprint:
        raise UserError(f"{record.data.name}: the data set was changed while {folder} was running; start it again")
    runtime = _noted(folder / "machine.json").activate()
    loader = build_loader(settings, dataset, store, runtime)
    return Workspace(folder, record.name, settings, dataset, store, card, runtime, loader, record.regime)


def note_commit(workspace: Workspace) -> None:
    """Enter the running code among the commits that computed something here; to be called before it does.

    The command is that of the first to compute: a mere plan before it was none.
    """
    path = workspace.folder / "experiment.json"
    record = read(path, ExperimentRecord)
    commits = dict.fromkeys([*record.commit.split(", "), provenance.commit()])
    begun = any((workspace.folder / part).exists() for part in ("arms", "baseline"))
    command = record.command if begun else provenance.command()
    versions = provenance.versions()
    write(path, record.model_copy(update={"commit": ", ".join(commits), "command": command, "versions": versions}))


def _must_be_new(folder: Path) -> None:
    """UserError where a folder that is no run's holds files of such names: they would be overwritten or believed."""
    for name in (seen.SEEN, usual.FILE, FILE, "arms", "baseline", "trials"):
        if os.path.lexists(folder / name):
            raise UserError(f"{folder / name}: is there already, and the folder holds no run; choose another --name")


def _usual(folder: Path, dataset: Dataset, store: PixelStore, again: bool) -> usual.Usual | None:
    """What the images of a run usually look like, as the run has noted it for its bundles or will."""
    path = folder / usual.FILE
    return usual.read_usual(path) if again and path.exists() else gate.reference(dataset, store)


def _continued(folder: Path, new: ExperimentRecord) -> ExperimentRecord:
    """The record of a run that is opened again: it keeps its command, commit and versions until more is computed."""
    old = read(folder / "experiment.json", ExperimentRecord)
    if old.data.fingerprint != new.data.fingerprint:
        raise UserError(
            f"{folder} holds results on {old.data.name} ({old.data.fingerprint[:12]}), not on {new.data.name} "
            f"({new.data.fingerprint[:12]}); give this run another --name, or delete the folder"
        )
    try:
        # A setting that is newer than the run has its default there, which is what code without it did.
        before = Settings.model_validate(old.settings).science()
    except ValidationError as error:
        raise UserError(
            f"{folder} holds results of another version of al-cxr (settings.{first_reason(error)}); give this run "
            "another --name, or delete "
            "the folder"
        ) from None
    changed = differences(_fixed(before), _fixed(new.settings))
    both = sorted(set(before["arms"]) & set(new.settings["arms"]))
    changed += differences(
        {"arms": {a: before["arms"][a] for a in both}}, {"arms": {a: new.settings["arms"][a] for a in both}}
    )
    if changed:
        raise UserError(
            f"{folder} holds results of other settings:\n  "
            + "\n  ".join(changed[:12])
            + "\ngive this run another --name, or delete the folder"
        )
    return new.model_copy(update={"command": old.command, "commit": old.commit, "versions": old.versions})


def _fixed(science: dict[str, Any]) -> dict[str, Any]:
    # The list of sources is left out: what was loaded is compared by its fingerprint.
    kept = {k: v for k, v in science.items() if k not in GROWS}
    return {**kept, "data": {k: v for k, v in kept["data"].items() if k != "sources"}}


def _noted(path: Path) -> Runtime:
    """What `_runtime` wrote."""
    try:
        return Runtime(**json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise UserError(f"{path}: not what al-cxr notes of a machine; delete it, or choose another --name") from None


def _runtime(path: Path, settings: Settings, dataset: Dataset, store: PixelStore, cache: Path) -> Runtime:
    if path.exists():
        return _noted(path)
    s = settings
    workload = {"model": s.model.model_dump(), "image_size": s.data.image_size, "batch_size": s.train.batch_size}
    runtime = resolve(
        s.machine,
        cache,
        workload,
        lambda r: training_speed(s, dataset, store, r),
        lambda r: passes_speed(s, dataset, store, r),
    )
    write_atomically(path, (json.dumps(asdict(runtime), indent=1) + "\n").encode())
    return runtime
