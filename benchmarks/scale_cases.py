"""What is measured at scale beside selection, for `benchmarks/scale.py`; pixels are noise of 16 x 16."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from scale_run import CLASSES, name, write_run
from scale_selection import FEATURES, PASSES, Call, Case, features

from al_cxr import models, score_pool
from al_cxr.comparison.finished import load
from al_cxr.config import DataSettings
from al_cxr.data import splits
from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import Reading
from al_cxr.data.quality import audit, checks, duplicates, gate
from al_cxr.data.store import PixelStore, dataset_fingerprint
from al_cxr.report.experiment import write_report
from al_cxr.report.terminal import comparison_text
from al_cxr.strategies.pool import Pool

SCORED = 2_000
"""Most images that the CNN scores; its time is linear in them."""


def score_head(images: int, folder: Path) -> Call:
    """A linear head with dropout on features."""
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(FEATURES, len(CLASSES)))
    pool = torch.from_numpy(features(images))
    return lambda: score_pool(model, pool, PASSES, batch_size=256) and None


def score_cnn(images: int, folder: Path) -> Call:
    """The report's CNN at a quarter of its width, 28 pixels."""
    model = models.build("cnn", 1, len(CLASSES), 28, {"width": 0.25})
    pool = torch.rand(min(images, SCORED), 1, 28, 28)
    return lambda: score_pool(model, pool, PASSES, batch_size=256) and None


def ask_and_tell(images: int, folder: Path) -> Call:
    """A tenth of the pool in ten rounds."""

    def play() -> None:
        pool = Pool(images, np.arange(images), classes=2)
        for _ in range(10):
            asked = pool.ask(images // 100, lambda candidates, n: candidates[:n])
            pool.tell(asked, asked % 2)

    return play


SETTINGS = DataSettings.model_validate({"sources": [{"kind": "phantom"}]})


class Noise:
    """N images of 16 x 16 random grey levels; see al_cxr.data.dataset.Images."""

    def __init__(self, images: int) -> None:
        self.key = f"noise of {images}"
        self._pixels = np.random.default_rng(0).integers(0, 256, (images, 16, 16), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._pixels)

    def read(self, index: int, size: int) -> Reading:
        factor = size // 16
        return Reading(np.kron(self._pixels[index], np.ones((factor, factor), np.uint8)), self.digest(index))

    def digest(self, index: int) -> str:
        return hashlib.sha256(self._pixels[index].tobytes()).hexdigest()

    def name(self, index: int) -> str:
        return name(index)


def dataset(images: int) -> Dataset:
    """Noise with labels, patients, sources and no splits."""
    labels_N, noise = np.resize([0, 0, 1, 2], images), Noise(images)
    table = pd.DataFrame(
        {
            "image": [name(i) for i in range(images)],
            "label": np.array(CLASSES)[labels_N],
            "split": "",
            "patient_id": [f"p{i // 2}" for i in range(images)],
            "source": np.where(np.arange(images) % 3 == 0, "a", "b"),
        }
    )
    found = Dataset("noise", CLASSES, labels_N, np.full(images, ""), table, noise, synthetic=True)
    return splits.complete(found, SETTINGS)


def store_of(whole: Dataset) -> PixelStore:
    """Its images as they are, decoded and hashed."""
    readings = [whole.images.read(i, 16) for i in range(len(whole))]
    return PixelStore(np.stack([reading.pixels for reading in readings]), [reading.digest for reading in readings])


def draw_splits(images: int, folder: Path) -> Call:
    """Test and validation by patient, within each class, and what is suspicious without a pixel."""
    whole = dataset(images)
    plain = Dataset(whole.name, CLASSES, whole.labels_N, np.full(images, ""), whole.table, whole.images)
    return lambda: checks.warnings(splits.complete(plain, SETTINGS)) and None


def open_store(images: int, folder: Path) -> Call:
    """A store that is there; its origins are hashed and compared."""
    noise = Noise(images)
    PixelStore.open(noise, 16, folder, workers=1, progress=False)
    return lambda: PixelStore.open(noise, 16, folder, workers=1, progress=False) and None


def fingerprint(images: int, folder: Path) -> Call:
    """Of names, pixels' origins, labels and splits."""
    whole = dataset(images)
    store = store_of(whole)
    return lambda: dataset_fingerprint(whole, store) and None


def data_gate(images: int, folder: Path) -> Call:
    """What every command looks at before anything is learnt."""
    whole = dataset(images)
    store = store_of(whole)

    def look() -> None:
        usual = gate.reference(whole, store)
        gate.warnings(whole, store, gate.inspect(whole, store, usual), [None] * images)

    return look


def data_audit(images: int, folder: Path) -> Call:
    """The audit without its search for near copies, which is measured by itself."""
    whole = dataset(images)

    def look() -> None:
        with mock.patch.object(duplicates, "find", return_value=duplicates.Found((), ())):
            audit.audit(whole, workers=1, progress=False)

    return look


def compare(images: int, folder: Path) -> Call:
    """Three arms, two seeds and five rounds against random and against the baseline."""
    write_run(folder, images)
    return lambda: comparison_text(load(folder)) and None


def report(images: int, folder: Path) -> Call:
    """The page of the same run with its tables and figures: the bytes of report.html."""
    write_run(folder / "run", images)

    def write() -> int:
        write_report(folder / "run", folder / "page")
        return (folder / "page" / "report.html").stat().st_size

    return write


def alone(case: Callable[[int, Path], Call]) -> Case:
    """A case of one call."""
    return lambda images, folder: {"": case(images, folder)}


CASES = {
    "score a head on features": alone(score_head),
    "score at most 2,000 with a small CNN": alone(score_cnn),
    "ask and tell": alone(ask_and_tell),
    "draw splits, check labels": alone(draw_splits),
    "open the pixel store, verified": alone(open_store),
    "fingerprint of the data set": alone(fingerprint),
    "gate of every command": alone(data_gate),
    "audit without near copies": alone(data_audit),
    "compare a run": alone(compare),
    "report of a run": alone(report),
}
