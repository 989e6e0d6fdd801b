"""The networks that benchmarks/scoring.py measures, on how many images, and their training."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from al_cxr import models
from al_cxr.config import AugmentSettings, DataSettings, LossSettings, TrainSettings
from al_cxr.core.seeds import rng
from al_cxr.data.load import load_first
from al_cxr.data.loader import Loader
from al_cxr.data.sources.named import named_source
from al_cxr.data.store import PixelStore
from al_cxr.training.losses import build as build_loss
from al_cxr.training.runtime import Runtime
from al_cxr.training.trainer import Task, fit


@dataclass(frozen=True)
class Case:
    """A network, and how many images the slow rows and the pool have."""

    title: str
    arch: str
    options: dict[str, Any]
    size: int
    pool: int = 1100
    few: int = 64
    epochs: int = 40
    lr: float = 2e-3
    reference: int = 500
    """Independent passes that the batches are judged by."""
    trained: dict[str, Any] = field(default_factory=dict)
    """Options that differ in training, where weights are shared with another case."""
    judges: int = 5
    """Seeds of masks that the share of the reference's batch is a mean over."""
    slow: bool = False
    """Seconds an image: one turn, and what is slower than al-cxr is timed on few images and not judged."""


WIDE = Case(
    "The report's CNN at full width, as al-cxr builds it: dropout of whole channels in every block",
    "cnn",
    {"channel_dropout": True},
    224,
    pool=120,
    few=6,
    epochs=8,
    lr=3e-4,
    reference=100,
    judges=1,
    slow=True,
)
CASES = {
    "cnn": Case(
        "The report's CNN: dropout of single values in every block, width 0.25",
        "cnn",
        {"width": 0.25, "channel_dropout": False},
        64,
    ),
    "cnn-channels": Case(
        "The CNN of experiments/cxr3.yaml at width 0.25: a fifth of that dropout, of whole channels",
        "cnn",
        {"width": 0.25, "dropout": 0.2, "head_dropout": 0.25},
        64,
    ),
    "resnet18": Case("ResNet-18, dropout in the head", "resnet18", {"head_dropout": 0.5}, 64, pool=400, epochs=15),
    "rnn": Case("BiLSTM over rows, width 0.25", "rnn", {"width": 0.25}, 64, pool=400, epochs=20),
    "vit": Case("ViT, 128 dimensions, 4 layers", "vit", {"patch": 8, "dim": 128, "depth": 4, "heads": 4}, 64, pool=400),
    "cnn-224-channels": WIDE,
    "cnn-224": replace(
        WIDE,
        title="The report's CNN at full width: dropout of single values in every block (weights of the one above)",
        options={"channel_dropout": False},
        trained=WIDE.options,
    ),
}


def trained(case: Case, data: str) -> tuple[nn.Module, Tensor, float, str]:
    """The network after training on 30 % of the labels, the pool's images, validation accuracy, the data's name."""
    options = {**case.options, **case.trained}
    state, pool, loader, accuracy, stamp = weights(
        case.arch, tuple(sorted(options.items())), case.size, case.epochs, case.lr, data
    )
    model = models.build(case.arch, 1, state["classes"], case.size, case.options)
    model.load_state_dict(state["weights"])
    images = torch.cat([x for _, x in loader.batches(pool[: case.pool], 256)])
    return model.to(memory_format=torch.channels_last).eval(), images, accuracy, stamp


@functools.lru_cache(maxsize=1)
def weights(
    arch: str, options: tuple[tuple[str, Any], ...], size: int, epochs: int, lr: float, data: str
) -> tuple[dict[str, Any], np.ndarray, Loader, float, str]:
    """Weights and number of classes, the pool, the loader, validation accuracy, the data's name; on all threads."""
    dataset = load_first(DataSettings(sources=[named_source(data)], image_size=size))
    store = PixelStore.open(dataset.images, size)
    runtime = Runtime("cpu", "bf16", True, os.cpu_count() or 1, 256, 1e9).activate()
    loader = Loader(store.pixels, memory_format=runtime.memory_format)
    train, classes = dataset.indices("train"), len(dataset.classes)
    labelled = np.sort(rng(0, "benchmark").permutation(train)[: round(0.3 * len(train))])
    torch.manual_seed(0)
    model = runtime.place(models.build(arch, 1, classes, size, dict(options)))
    settings = TrainSettings(epochs=epochs, batch_size=32, lr=lr, schedule="cosine", augment=AugmentSettings())
    loss = build_loss(LossSettings(kind="cross_entropy"), [1] * classes)
    task = Task(loader, dataset.labels_N, labelled, dataset.indices("val"), classes, settings, loss, 0, runtime)
    fitted = fit(model, task)
    state = {"classes": classes, "weights": fitted.model.state_dict()}
    accuracy = fitted.history[fitted.best_epoch - 1].val_accuracy
    return state, np.setdiff1d(train, labelled), loader, accuracy, dataset.stamp
