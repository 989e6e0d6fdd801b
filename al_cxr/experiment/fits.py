"""Trained models by content: whoever needs the same model gets the same one, trained once.

A fit's key is the hash of everything that determines its weights (data, model, training settings, loss, seed, labelled
images). Arms that share a labelled set and a loss, such as all strategies at round 0, therefore share a fit.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from al_cxr import models
from al_cxr.core.checkpoint import load_tensors, load_weights, save_tensors, weights_hash
from al_cxr.core.errors import UserError
from al_cxr.core.locks import alone
from al_cxr.core.metrics import measure
from al_cxr.core.records import FitRecord, Timing, read, write
from al_cxr.core.seeds import digest, digest_text, member_seed
from al_cxr.data.loader import FeatureLoader, Loader
from al_cxr.experiment.assembly import scale
from al_cxr.experiment.workspace import Workspace
from al_cxr.models.backbone import Backbone, Head
from al_cxr.models.tuning import Tune
from al_cxr.sampling.scoring import predict
from al_cxr.training.runtime import Runtime
from al_cxr.training.trainer import fit

CHECKPOINT = "training.safetensors"
LOCK = ".lock"
OTHER_WEIGHTS = "the backbone has other weights now than its head was trained on; put the file of weights back"
VERSION = 3
"""Raised whenever a change of code changes the weights that the same settings give."""


class ModelCard(BaseModel):
    """All that is needed to use the weights without the experiment they came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    arch: str
    in_channels: int
    image_size: int
    options: dict[str, object]
    classes: list[str]
    mean: float
    std: float
    tune: Tune = "all"
    backbone: str = ""
    """Hex SHA-256 of the frozen backbone's weights, which the options name and the fit does not hold; else empty."""
    data: str
    fingerprint: str


@dataclass(frozen=True)
class Fit:
    """A finished fit: its folder and record."""

    folder: Path
    record: FitRecord

    def model_card(self) -> ModelCard:
        """All that is needed to use its weights."""
        return read(self.folder / "model.json", ModelCard)

    def model(self, runtime: Runtime) -> nn.Module:
        """The network with its trained weights, in eval mode on the device: pixels (B, channels, S, S) -> logits.

        UserError where the backbone was frozen and its weights are no longer those that the head was trained on.
        """
        c, path = self.model_card(), self.folder / "model.safetensors"
        options = c.options if c.tune == "frozen" else _without_weights(c.arch, c.options)
        model = models.build(c.arch, c.in_channels, len(c.classes), c.image_size, options)
        if c.tune == "frozen" and isinstance(model, Backbone):
            if weights_hash(model.body) != c.backbone:
                raise UserError(f"{self.folder}: model.options.{c.arch}: {OTHER_WEIGHTS}")
            load_weights(model.head, path)
        else:
            load_weights(model, path)
        return runtime.place(model).eval()

    def part_for(self, loader: Loader, runtime: Runtime) -> nn.Module:
        """The network that the batches of a loader go into: the head alone where they are a backbone's features.

        UserError where these are the features of other weights than the head was trained on.
        """
        if not isinstance(loader, FeatureLoader):
            return self.model(runtime)
        c = self.model_card()
        if c.backbone != loader.backbone:
            raise UserError(f"{self.folder}: model.options.{c.arch}: {OTHER_WEIGHTS}")
        options = models.defaults(c.arch) | c.options
        head = Head(loader.width, len(c.classes), float(str(options["head_dropout"])))
        load_weights(head, self.folder / "model.safetensors")
        return runtime.place(head).eval()

    def loader(self, pixels: np.ndarray, runtime: Runtime) -> Loader:
        """Batches of other pixels (uint8 (N, S, S), S the model's size), prepared as in training."""
        c = self.model_card()
        return Loader(pixels, runtime.device, c.in_channels, c.mean, c.std, runtime.memory_format)

    def predictions(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """(absolute indices (M,), probabilities (M, C)) on "val" or "test", as they were when the fit ended."""
        tensors, _ = load_tensors(self.folder / "predictions.safetensors")
        return tensors[f"{split}_index"].numpy(), tensors[f"{split}_probs"].numpy()

    def timing(self) -> Timing:
        return read(self.folder / "fit.timing.json", Timing)


def fit_key(workspace: Workspace, loss: str, seed: int, labelled: np.ndarray) -> str:
    """A setting with its default is left out, so that a new one, off by default, makes no other fit of an old one;
    whoever changes a default raises VERSION."""
    s = workspace.settings
    facts = {
        "version": VERSION,
        "data": workspace.data_card.fingerprint,
        "val": digest(workspace.dataset.indices("val")),
        "model": {**s.model.model_dump(mode="json", exclude_defaults=True), "options": s.model.arguments()},
        "features": workspace.loader.key if isinstance(workspace.loader, FeatureLoader) else "",
        "image_size": s.data.image_size,
        "train": s.train.model_dump(mode="json", exclude_defaults=True) | {"length": s.train.length},
        "loss": s.losses[loss].model_dump(mode="json", exclude_defaults=True),
        "seed": seed,
        "labelled": digest(np.sort(labelled)),
    }
    return digest_text(json.dumps(facts, sort_keys=True))[:20]


def obtain(workspace: Workspace, loss: str, seed: int, labelled: np.ndarray, title: str = "training") -> Fit:
    """The fit of a loss and a seed on some labelled images: read where it is finished, else trained (or gone on)."""
    labelled = np.sort(labelled)
    folder = workspace.fits / fit_key(workspace, loss, seed, labelled)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / LOCK):  # two arms can have come to the same labels
        if not (folder / "fit.json").exists():
            _train(workspace, loss, seed, labelled, folder, title)
        _tidy(folder)
    return Fit(folder, read(folder / "fit.json", FitRecord))


def _train(workspace: Workspace, loss: str, seed: int, labelled: np.ndarray, folder: Path, title: str) -> None:
    """Train, evaluate and write down; a training that was killed goes on."""
    model = workspace.build_model(seed)
    initial = weights_hash(model)
    fitted = fit(model, workspace.task(loss, seed, labelled), folder / CHECKPOINT, title)

    started = time.perf_counter()
    dataset, batch = workspace.dataset, workspace.runtime.score_batch
    probs = {s: predict(fitted.model, workspace.loader.batches(dataset.indices(s), batch)) for s in ("val", "test")}
    measured = {s: measure(p, dataset.labels_N[dataset.indices(s)], dataset.classes) for s, p in probs.items()}
    save_tensors(folder / "model.safetensors", fitted.model.state_dict())
    save_tensors(
        folder / "predictions.safetensors",
        {f"{s}_index": torch.from_numpy(dataset.indices(s)) for s in probs}
        | {f"{s}_probs": torch.from_numpy(p) for s, p in probs.items()},
    )
    write(folder / "model.json", _model_card(workspace))
    timing = Timing(
        train=fitted.seconds,
        evaluate=time.perf_counter() - started,
        images_per_second=fitted.images_per_second,
    )
    write(folder / "fit.timing.json", timing)
    record = FitRecord(
        key=folder.name,
        arch=workspace.settings.model.arch,
        parameters=models.parameters(fitted.model),
        loss=loss,
        n_labelled=len(labelled),
        labelled_hash=digest(labelled),
        initial_weights_hash=initial,
        final_weights_hash=weights_hash(fitted.model),
        steps=fitted.steps,
        best_epoch=fitted.best_epoch,
        history=fitted.history,
        val=measured["val"],
        test=measured["test"],
    )
    write(folder / "fit.json", record)  # last: its presence says that all the rest is there


def obtain_members(
    workspace: Workspace, loss: str, seed: int, labelled: np.ndarray, title: str = "training"
) -> list[Fit]:
    """The `scoring.members` networks of a deep ensemble (Lakshminarayanan et al. 2017): the same labelled images, each
    with initial weights, order, augmentation and dropout of its own; the first is the fit of the seed itself."""
    return [
        obtain(workspace, loss, member_seed(seed, m), labelled, f"{title} member {m}")
        for m in range(workspace.settings.scoring.members)
    ]


def _tidy(folder: Path) -> None:
    """Remove what a finished fit no longer needs: its checkpoint, and drafts of attempts that were killed."""
    for leftover in (folder / CHECKPOINT, *folder.glob(".*.tmp")):
        leftover.unlink(missing_ok=True)


def _model_card(workspace: Workspace) -> ModelCard:
    s = workspace.settings
    mean, std = scale(s)
    return ModelCard(
        arch=s.model.arch,
        in_channels=s.model.in_channels,
        image_size=s.data.image_size,
        options=s.model.arguments(),
        classes=list(workspace.dataset.classes),
        mean=mean,
        std=std,
        tune=s.model.tune,
        backbone=workspace.loader.backbone if isinstance(workspace.loader, FeatureLoader) else "",
        data=workspace.data_card.name,
        fingerprint=workspace.data_card.fingerprint,
    )


def _without_weights(arch: str, options: dict[str, object]) -> dict[str, object]:
    """Trained weights replace whatever the architecture would start from; do not fetch that again."""
    scratch = {"weights": "none"} if "weights" in models.defaults(arch) else {}
    return {k: v for k, v in options.items() if not k.startswith("weights")} | scratch
