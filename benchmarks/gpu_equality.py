"""Whether a device computes what the CPU computes: training, Monte-Carlo scoring, features."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import torch
from gpu_cases import NETWORKS, Bench
from torch import Tensor

from al_cxr.config import AugmentSettings, TrainSettings
from al_cxr.data import loader as loading
from al_cxr.data.augment import augment
from al_cxr.data.loader import Loader
from al_cxr.sampling.engine import Batch, Sampling
from al_cxr.sampling.passes import monte_carlo, race_over
from al_cxr.sampling.race import Racing
from al_cxr.strategies.statistics import PoolStatistics
from al_cxr.training.feature_cache import feature_loader
from al_cxr.training.runtime import DTYPES, Runtime
from al_cxr.training.trainer import train_step
from al_cxr.training.training_state import TrainingState

LIMITS: dict[str, dict[str, float]] = {
    "pixels": {"": 0.0},
    "augmentation": {"": 2e-3},
    "gradient": {"fp32": 5e-4},
    "loss": {"fp32": 2e-3, "bf16": 0.1, "fp16": 0.03},
    "probabilities": {"fp32": 5e-4, "bf16": 0.08, "fp16": 0.02},
    "raced": {"": 0.1},
    "features": {"fp32": 2e-4, "bf16": 0.2, "fp16": 0.03},
}
"""Largest differences that are rounding, by precision where that matters. Pixels are 0..1; gradients and features are
one vector each: the length of the difference over the length; losses relatively; probabilities as they are; raced is a
share of the chosen."""

ENGINES = {"torch": "fp32"}
"""Those of the feature cache that a GPU has for this backbone, and their precision: float16 is refused for it."""


@dataclass(frozen=True)
class Check:
    """One comparison of the device with the CPU."""

    what: str
    difference: float
    limit: float
    note: str = ""

    @property
    def within(self) -> bool:
        return bool(self.difference <= self.limit)  # NaN is not

    @property
    def cells(self) -> list[str]:
        verdict = "yes" if self.within else "**NO**"
        return [self.what, f"{self.difference:.2g}", f"{self.limit:.2g}", verdict, self.note]


def training(bench: Bench) -> Iterator[Check]:
    """Batches, augmentation, and a few steps without dropout, whose random numbers differ between devices."""
    pixels = _pixels(bench.reference, bench)
    yield Check("batches of pixels", _largest(_pixels(bench.runtime, bench), pixels), LIMITS["pixels"][""])
    with mock.patch.object(loading, "RESIDENT_SHARE", -1.0):  # as if the card had no room for them
        streamed = _pixels(bench.runtime, bench)
    yield Check("batches of pixels, read ahead", _largest(streamed, pixels), LIMITS["pixels"][""])
    varied = [
        augment(pixels.to(device), AugmentSettings(), torch.Generator().manual_seed(0)).cpu()
        for device in (bench.runtime.device, "cpu")
    ]
    yield Check("augmentation", _largest(*varied), LIMITS["augmentation"][""])
    right, gradient = _steps(bench, bench.reference)
    for precision in bench.precisions:
        losses, found = _steps(bench, replace(bench.runtime, precision=precision))
        if precision in LIMITS["gradient"]:
            yield Check(
                f"gradient of a training step, {precision}", _apart(found, gradient), LIMITS["gradient"][precision]
            )
        apart = float(np.max(np.abs(losses - right) / np.abs(right)))
        note = f"loss {losses[0]:.3f} to {losses[-1]:.3f}"
        yield Check(f"losses of {len(losses)} steps, {precision}", apart, LIMITS["loss"][precision], note)


def scoring(bench: Bench) -> Iterator[Check]:
    """The fast passes of the device against the plain loop on the CPU, which defines the numbers."""
    passes = bench.scale.passes
    pool = bench.pool[:200]
    for what in NETWORKS:
        model = bench.trained(what)
        plain = bench.on_cpu(model)
        right = monte_carlo(plain, _batches(bench, bench.reference, pool), Sampling(passes, 0, 0, fast=False))
        vary = f"entropies vary by {float(np.std(_entropy(right))):.2g}"
        for precision in bench.precisions:
            how = Sampling(passes, 0, 0, dtype=DTYPES[precision])
            found = monte_carlo(model, _batches(bench, bench.runtime, pool), how)
            apart = float(np.abs(_probs(found) - _probs(right)).max())
            note = f"{vary}; {found.sampling}" if precision == "fp32" else ""
            yield Check(f"{what}, {passes} passes, {precision}", apart, LIMITS["probabilities"][precision], note)
        k = max(len(pool) // 10, 2)

        def given(index_N: np.ndarray) -> Iterator[Batch]:
            return _batches(bench, bench.runtime, index_N)

        raced = race_over(model, pool, given, Sampling(passes, 0, 0), Racing(k))
        lost = 1 - len(_top(raced, k) & _top(right, k)) / k
        yield Check(f"{what}, raced: share of the {k} chosen that differs", lost, LIMITS["raced"][""])


def features(bench: Bench) -> Iterator[Check]:
    """What frozen networks make of images: through the feature cache, and in the precision that is fast."""
    backbone = bench.backbone(bench.scale.side)
    for engine, precision in ENGINES.items():
        if backbone is None:  # timm is not installed
            continue
        found, right = (
            np.array(feature_loader(copy.deepcopy(backbone), bench.store, folder, runtime, engine=e).features_NK)
            for folder, runtime, e in (
                (bench.folder / "device", bench.runtime, engine),
                (bench.folder / "cpu", bench.reference, "torch"),
            )
        )
        apart = _apart(torch.from_numpy(found), torch.from_numpy(right))
        what = f"EfficientNet-Lite0 through the feature cache, engine {engine}"
        yield Check(what, apart, LIMITS["features"][precision])
    pixels = _pixels(bench.reference, bench)[:64]
    for name, network, features_of in bench.backbones(bench.scale.side):
        plain = bench.on_cpu(network)
        with torch.no_grad():
            right_BK = features_of(plain, pixels)
            for precision in bench.precisions:
                runtime = replace(bench.runtime, precision=precision)
                there = pixels.to(runtime.device, memory_format=runtime.memory_format)
                with runtime.autocast():
                    found_BK = features_of(network, there).float().cpu()
                apart = _apart(found_BK, right_BK)
                note = f"of the worst image {max(map(_apart, found_BK, right_BK)):.2g}"
                yield Check(f"{name}, {precision}", apart, LIMITS["features"][precision], note)


def _steps(bench: Bench, runtime: Runtime) -> tuple[np.ndarray, Tensor]:
    """The losses of five steps, and the gradient of the first as one vector."""
    settings = TrainSettings(batch_size=16, augment=None)
    task = bench.task(runtime, settings)
    network = bench.network("cnn", {"width": 0.25, "dropout": 0.0, "head_dropout": 0.0})
    state = TrainingState.start(network, settings, runtime)
    labels = torch.from_numpy(bench.dataset.labels_N)
    losses, gradient = [], torch.zeros(0)
    state.model.train()
    for index_B, images in task.loader.batches(np.resize(bench.pool, 80), 16):
        loss, _ = train_step(state, images, labels[torch.from_numpy(index_B)].to(runtime.device), task)
        losses.append(float(loss))
        if not len(gradient):
            given = [p.grad for p in state.model.parameters() if p.grad is not None]
            gradient = torch.cat([g.detach().flatten().double().cpu() for g in given])
    return np.array(losses), gradient


def _pixels(runtime: Runtime, bench: Bench) -> Tensor:
    """The pool's images in 0..1, through the loader, on the CPU."""
    loader = Loader(bench.pixels, runtime.device, memory_format=runtime.memory_format)
    return torch.cat([images.cpu() for _, images in loader.raw(bench.pool, 32)])


def _batches(bench: Bench, runtime: Runtime, index_N: np.ndarray) -> Iterator[Batch]:
    loader = Loader(bench.pixels, runtime.device, memory_format=runtime.memory_format)
    return loader.batches(index_N, 32)


def _probs(statistics: PoolStatistics) -> np.ndarray:
    assert statistics.mean_probs_NC is not None
    return statistics.mean_probs_NC


def _entropy(statistics: PoolStatistics) -> np.ndarray:
    assert statistics.predictive_entropy_N is not None
    return statistics.predictive_entropy_N


def _top(statistics: PoolStatistics, k: int) -> set[int]:
    return set(np.argsort(-_entropy(statistics), kind="stable")[:k].tolist())


def _largest(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def _apart(found: Tensor, right: Tensor) -> float:
    """Length of the difference over the length of what is right."""
    return float((found.double() - right.double()).norm() / right.double().norm().clamp(min=1e-30))
