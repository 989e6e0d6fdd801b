"""What benchmarks/gpu.py runs: images, networks, the device, and the CPU that it is compared with."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from al_cxr import models
from al_cxr.config import LossSettings, TrainSettings
from al_cxr.core.errors import Unavailable
from al_cxr.data.dataset import Dataset
from al_cxr.data.loader import Loader
from al_cxr.data.sources.phantom import PhantomSource
from al_cxr.data.store import PixelStore
from al_cxr.models.backbone import Backbone
from al_cxr.training.losses import build as build_loss
from al_cxr.training.runtime import Runtime
from al_cxr.training.trainer import Task, fit

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "CNN, whole channels dropped": ("cnn", {"width": 0.25, "dropout": 0.4}),
    "CNN, single values dropped": ("cnn", {"width": 0.25, "channel_dropout": False}),
    "ViT, dropout everywhere": ("vit", {"patch": 8, "dim": 128, "depth": 4, "heads": 4}),
    "BiLSTM, dropout between layers": ("rnn", {"width": 0.25}),
    "ResNet-18, dropout in the head": ("resnet18", {"head_dropout": 0.5}),
}
"""Whole channels, single values, attention, recurrence, the head: the ways in which networks here are random."""


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    phantoms: int
    side: int
    steps: int
    """Of the trainings, before networks are scored."""
    passes: int
    pool: int
    """Images that are scored for their time."""
    large: int
    """Side of the images for features, and for the network of full width."""
    width: float
    """Of that network."""
    timed: int
    """How many of NETWORKS are timed."""
    batches: tuple[int, ...]
    seconds: float
    """Least time that one number is measured for."""
    matrix: int
    """Side of the matrices whose product is the card's own rate."""


FULL = Scale(300, 64, 60, 20, 8192, 224, 1.0, 3, (64, 256, 1024), 1.0, 8192)
TINY = Scale(45, 32, 4, 3, 32, 32, 0.05, 1, (8,), 0.01, 256)


@dataclass(frozen=True, eq=False)
class Bench:
    """The device that is looked at, and what it is given."""

    runtime: Runtime
    """The device, as an experiment uses it, in float32."""
    reference: Runtime
    """The CPU in float32 and in the plain layout of memory: so even a CPU as the device computes by other ways."""
    half: str
    """bf16 or fp16, whichever the device is made for; empty for none."""
    scale: Scale
    dataset: Dataset
    pixels: np.ndarray
    """uint8 (N, side, side)."""
    folder: Path
    """For caches, removed at the end."""
    until: float
    """When, on time.monotonic's clock, nothing new is begun."""

    @classmethod
    def open(cls, runtime: Runtime, half: str, scale: Scale, folder: Path, seconds: float) -> Bench:
        until = time.monotonic() + seconds
        dataset = PhantomSource(count=scale.phantoms, seed=3).read()
        store = PixelStore.open(dataset.images, scale.side, folder, progress=False)
        reference = replace(runtime, device="cpu", channels_last=False)
        return cls(runtime.activate(), reference, half, scale, dataset, store.pixels, folder, until)

    @property
    def store(self) -> PixelStore:
        return PixelStore.open(self.dataset.images, self.scale.side, self.folder, progress=False)

    @property
    def pool(self) -> np.ndarray:
        return np.asarray(self.dataset.indices("train"))

    @property
    def precisions(self) -> list[str]:
        return ["fp32", *([self.half] if self.half else [])]

    def network(self, arch: str, options: dict[str, Any], side: int = 0) -> nn.Module:
        """With the same weights at each call, on the CPU."""
        torch.manual_seed(0)
        return models.build(arch, 1, len(self.dataset.classes), side or self.scale.side, options)

    def task(self, runtime: Runtime, settings: TrainSettings, pixels: np.ndarray | None = None) -> Task:
        """A training on the phantoms, or on other pixels in the order of these."""
        shown = self.pixels if pixels is None else pixels
        loader = Loader(shown, runtime.device, memory_format=runtime.memory_format)
        classes = len(self.dataset.classes)
        labels_N = np.resize(self.dataset.labels_N, len(shown))
        train_index = self.pool if pixels is None else np.arange(len(shown))
        loss = build_loss(LossSettings(kind="cross_entropy"), [1] * classes)
        val_index = self.dataset.indices("val") if pixels is None else train_index[:2]
        return Task(loader, labels_N, train_index, val_index, classes, settings, loss, 0, runtime)

    @functools.cache  # noqa: B019 - there is one bench
    def trained(self, what: str) -> nn.Module:
        """One of NETWORKS after a short training on the device, in eval mode: its scores differ between images."""
        settings = TrainSettings(steps=self.scale.steps, validations=1, batch_size=32, monitor="none")
        model = self.runtime.place(self.network(*NETWORKS[what]))
        return fit(model, self.task(self.runtime, settings), shown=False).model

    def backbones(self, side: int) -> Iterator[tuple[str, nn.Module, Callable[[Any, Tensor], Tensor]]]:
        """Names, networks on the device, and what makes features of pixels in 0..1."""
        if (lite := self.backbone(side)) is not None:
            yield "EfficientNet-Lite0", self.runtime.place(lite).eval(), lambda network, x: network.features(x)
        resnet = self.runtime.place(self.network("resnet18", {}, side)).eval()
        yield "ResNet-18", resnet, lambda network, x: network(x)

    def backbone(self, side: int) -> Backbone | None:
        """EfficientNet-Lite0 on the CPU, with ImageNet's weights where they are there; None without timm."""
        for weights in ("imagenet", "none"):
            try:
                torch.manual_seed(0)
                built = models.build("efficientnet_lite0", 1, 2, side, {"weights": weights})
            except Unavailable:
                continue
            assert isinstance(built, Backbone)
            return built
        return None

    def on_cpu(self, network: nn.Module) -> nn.Module:
        """A copy as the reference computes it."""
        return self.reference.place(copy.deepcopy(network))

    def many(self, count: int, side: int) -> np.ndarray:
        """uint8 (count, side, side) in which no two images are alike: the phantoms, or noise of another size."""
        noise = np.random.default_rng(0).integers(0, 16, (count, side, side), np.uint8)
        shown: np.ndarray = noise * 16
        if side == self.scale.side:
            shown = np.resize(self.pixels[self.pool], (count, side, side)) // 16 * 15 + noise
        return shown
