"""What a run writes down and everything else reads: JSON files with a schema.

    runs/NAME/experiment.json                 ExperimentRecord: settings, data card, code version
    runs/NAME/images.csv                       what is known of each image (al_cxr.comparison.images)
    runs/NAME/fits/KEY/                        one trained model, shared by all arms that need the same one
        fit.json                               FitRecord
        model.safetensors                      weights
        predictions.safetensors                val_index, val_probs, test_index, test_probs
        maps-*.safetensors                     what it used of the few images that a report shows
    runs/NAME/arms/ARM/seed-S/round-R.json     RoundRecord
    runs/NAME/arms/ARM/seed-S/query-R.json     QueryRecord: what was asked for after round R, with scores
    runs/NAME/arms/ARM/seed-S/stopped.json     StopRecord, where a stopping rule ended it before its budget
    runs/NAME/baseline/seed-S.json             BaselineRecord
    runs/NAME/REGIME/                          the same of another label regime, whose models lie in runs/NAME/fits too
    *.timing.json beside each                  seconds: never compared, never hashed

All but the timings are byte-identical however often the run was stopped and started (on one CPU machine).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import EDITED, first_reason
from al_cxr.core.metrics import Metrics


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataCard(Record):
    """Which radiographs: name, where from, how many of what, and a fingerprint of pixels, labels and splits."""

    name: str
    synthetic: bool
    classes: list[str]
    counts: dict[str, dict[str, int]]
    """split -> class -> images"""
    fingerprint: str
    image_size: int
    attribution: str
    notes: list[str]


class ExperimentRecord(Record):
    name: str
    regime: str = Field("", pattern=r"^([a-z0-9][a-z0-9._+-]{0,63})?$")
    """Name of the label regime whose budget stands in the settings; empty for the experiment's own budget."""
    settings: dict[str, Any]
    data: DataCard
    command: str
    commit: str
    """Git commit of the code, "-dirty" appended where files differed, or "unknown" outside a checkout."""
    versions: dict[str, str]

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{self.name}, regime {self.regime}" if self.regime else self.name


class Epoch(Record):
    """A part of a training and what validation said after it: a pass over the labelled images where `train.epochs` is
    set, an equal share of `train.steps` otherwise."""

    epoch: int
    """Which part, from 1 on."""
    steps: int | None = None
    """Optimizer steps up to here; None in records of older versions."""
    lr: float
    train_loss: float
    train_accuracy: float
    """On the augmented batches as they were trained on."""
    val_loss: float
    """Mean negative log-likelihood, nats."""
    val_accuracy: float
    val_macro_f1: float


class FitRecord(Record):
    """One model: what it was made from, how training went and how it does. Test figures are for the record only."""

    key: str
    arch: str
    parameters: int
    loss: str
    n_labelled: int
    labelled_hash: str
    initial_weights_hash: str
    final_weights_hash: str
    steps: int | None = None
    """Optimizer steps of the whole training; None in records of older versions."""
    best_epoch: int
    """The part whose weights were kept."""
    history: list[Epoch]
    val: Metrics
    test: Metrics


class RoundRecord(Record):
    arm: str
    strategy: str
    loss: str
    seed: int
    round: int
    n_labelled: int
    labelled_classes: dict[str, int]
    acquired: dict[str, int]
    """Classes of the images labelled since the round before (round 0: of the seed set)."""
    hashes: dict[str, str]
    """seed_set, initial_weights, loader, masks, test_set, data: equal for all arms of a seed."""
    fit: str
    steps: int | None = None
    """Optimizer steps of the round's training; None in records of older versions."""
    val: Metrics
    test: Metrics


class QueryRecord(Record):
    """Absolute indices in the order chosen, with each one's score (None for strategies that have none)."""

    arm: str
    seed: int
    round: int
    strategy: str
    pool: int
    passes: int
    """T of the settings; 0 where nothing was sampled."""
    mean_passes: float | None = None
    """Passes an image had on average, where they were raced for."""
    sampling: str = ""
    """How the passes were computed."""
    head_agreement: float | None = None
    """Scope head: rank correlation of the entropies with those of all sites, on a part of the pool."""
    temperatures: list[float] = []
    """What the logits of each network that was asked were divided by; empty where they were left as trained."""
    same_batch: float | None = None
    """Share of the images that would have been chosen without the temperature too, where the score is computed from one
    network's probabilities."""
    members: list[str] = []
    """Keys of an ensemble's fits, the round's own first; empty where one network was asked."""
    random_sites: list[str]
    indices: list[int]
    names: list[str]
    scores: list[float] | None
    unit: str
    uncertainty: float | None = None
    """Mean entropy of the pool in nats; None where it was not predicted."""
    predicted: list[int] | None = None
    """Class that the model which asked gave each image, as a position in the classes; None where it was not asked."""


class StopRecord(Record):
    """Why a run asked for no more labels before its budget was spent."""

    round: int
    """The last one that was played."""
    reason: str


class BaselineRecord(Record):
    seed: int
    loss: str
    n_labelled: int
    hashes: dict[str, str]
    """initial_weights, loader, test_set, data: equal to those of the arms of the seed."""
    fit: str
    steps: int | None = None
    """Optimizer steps of the training; None in records of older versions."""
    val: Metrics
    test: Metrics


class Timing(Record):
    """Seconds of wall clock, summed over interruptions."""

    train: float = 0.0
    evaluate: float = 0.0
    score: float = 0.0
    images_per_second: float = 0.0


R = TypeVar("R", bound=BaseModel)


def fits_folder(folder: Path, regime: str) -> Path:
    """Where the trained models of a run folder lie: the regimes of an experiment share theirs."""
    return (folder.parent if regime else folder) / "fits"


def write(path: Path, record: BaseModel) -> None:
    """A record as JSON with a fixed layout, so that equal records are equal bytes."""
    text = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def read(path: Path, kind: type[R]) -> R:
    """A record of a kind; UserError where the file is missing or is something else."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such record; was the run started?") from None
    except ValidationError as error:
        raise UserError(
            f"{path}: cannot be used ({first_reason(error)}): {EDITED}; put it back, or compute it again"
        ) from None
