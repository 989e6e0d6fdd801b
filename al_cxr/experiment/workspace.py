"""One experiment on one data set in one folder: what all its arms and seeds share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from al_cxr.config import Settings
from al_cxr.core.errors import UserError
from al_cxr.core.records import DataCard, ExperimentRecord, fits_folder, read
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_first
from al_cxr.data.loader import FeatureLoader, Loader
from al_cxr.data.store import PixelStore, data_card
from al_cxr.data.undecodable import without_undecodable
from al_cxr.experiment.assembly import build_head, build_loader, build_model, build_task
from al_cxr.experiment.run_folder import MACHINE, RECORD, noted_runtime
from al_cxr.training.runtime import Runtime
from al_cxr.training.trainer import Task


@dataclass(frozen=True, eq=False)  # itself and no other, so that a worker can cache what belongs to it
class Workspace:
    """A run that is open; `al_cxr.experiment.opening` opens one, `reopen` opens it again in another process."""

    folder: Path
    name: str
    settings: Settings
    dataset: Dataset
    store: PixelStore
    data_card: DataCard
    runtime: Runtime
    loader: Loader
    regime: str = ""

    @property
    def fits(self) -> Path:
        """Folder of the trained models."""
        return fits_folder(self.folder, self.regime)

    @property
    def train_index(self) -> np.ndarray:
        """Absolute indices of the training images."""
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
        """How many of some images belong to each class."""
        counts = np.bincount(self.dataset.labels_N[index], minlength=len(self.dataset.classes))
        return dict(zip(self.dataset.classes, counts.tolist(), strict=True))


def reopen(folder: Path, settings: Settings) -> Workspace:
    """A run that was begun with these settings, in another process; nothing is written or measured.

    UserError where the data set was changed since, or the folder no longer says on what machine it was begun.
    """
    record = read(folder / RECORD, ExperimentRecord)
    cache = Path(settings.machine.cache) if settings.machine.cache else None
    size, workers = settings.data.image_size, settings.machine.workers

    def load() -> Dataset:
        return load_first(settings.data)

    dataset = without_undecodable(load(), load, size, cache, workers, progress=False)
    store = PixelStore.open(dataset.images, size, cache, workers, progress=False, verify=False)
    card = data_card(dataset, store)
    if card.fingerprint != record.data.fingerprint:
        raise UserError(f"{record.data.name}: the data set was changed while {folder} was running; start it again")
    runtime = noted_runtime(folder)
    if runtime is None:
        raise UserError(f"{folder / MACHINE}: is missing; start the run again with the command that began it")
    runtime.activate()
    loader = build_loader(settings, dataset, store, runtime)
    return Workspace(folder, record.name, settings, dataset, store, card, runtime, loader, record.regime)
