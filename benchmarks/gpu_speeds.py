"""How fast a device trains, scores and makes features, against Baal and against its own rate of matrix products."""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from baal_modes import MODES, baal
from gpu_cases import NETWORKS, Bench
from gpu_equality import ENGINES
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from al_cxr.config import AugmentSettings, TrainSettings
from al_cxr.core.progress import Progress
from al_cxr.data.loader import Loader
from al_cxr.models.backbone import Backbone
from al_cxr.sampling.engine import Batch, Sampling, engine
from al_cxr.sampling.passes import monte_carlo, race_over
from al_cxr.sampling.race import Racing
from al_cxr.training.extractor import Extractor
from al_cxr.training.feature_pass import BATCH, GPU_BATCH
from al_cxr.training.runtime import DTYPES, Runtime
from al_cxr.training.trainer import Task, _train_part
from al_cxr.training.training_state import TrainingState

SHARE = 0.1
"""Of the pool that a race chooses."""
BAAL_BATCHES = {"default": (32,), "batch not copied": (32, 256), "cached layers": (32, 256)}
"""Copied 20 times, a large batch is larger than most cards."""


@dataclass(frozen=True)
class Speed:
    """One way to compute something, timed."""

    what: str
    precision: str
    batch: int
    images_per_second: float
    """NaN where there is none."""
    flops: float
    """Of an image; NaN where nobody counted them."""
    missing: str = ""
    """Why there is no speed."""


def matrix_rate(bench: Bench, precision: str) -> float:
    """Measured FLOP/s of a large matrix product."""
    side = bench.scale.matrix
    a = torch.randn(side, side, device=bench.runtime.device).to(DTYPES[precision])
    return 2 * side**3 / _seconds(lambda: a @ a, bench)


def scoring(bench: Bench) -> Iterator[tuple[str, list[Speed]]]:
    """T passes over a pool: title, and the ways to compute them."""
    scale = bench.scale
    for what in list(NETWORKS)[: scale.timed]:
        pixels = bench.many(scale.pool, scale.side)
        yield f"{what}, {scale.side} px, {len(pixels):,} images", list(_scored(bench, bench.trained(what), pixels))
    pixels = bench.many(scale.pool // 16, scale.large)
    options = {"width": scale.width, "channel_dropout": False}
    wide = bench.runtime.place(bench.network("cnn", options, scale.large)).eval()
    title = (
        f"CNN of width {scale.width:g}, single values dropped, not trained, {scale.large} px, {len(pixels):,} images"
    )
    yield title, list(_scored(bench, wide, pixels, raced=False))


def _scored(bench: Bench, model: nn.Module, pixels: np.ndarray, raced: bool = True) -> Iterator[Speed]:
    runtime, passes = bench.runtime, bench.scale.passes
    loader = Loader(pixels, runtime.device, memory_format=runtime.memory_format)
    index, k = np.arange(len(pixels)), max(round(SHARE * len(pixels)), 1)
    if importlib.util.find_spec("baal") is not None:
        few = torch.cat([x.cpu() for _, x in loader.batches(index[: 64 * min(max(1, len(pixels) // 512), 4)], 64)])
        for mode in MODES:
            for batch in BAAL_BATCHES[mode]:
                call = baal(model, mode, passes, batch=batch, cuda=runtime.device.startswith("cuda"))
                yield _timed(f"Baal, {mode}", "fp32", batch, functools.partial(call, few), len(few), bench)

    def batches(index_N: np.ndarray, batch: int = 256) -> Iterator[Batch]:
        return loader.batches(index_N, batch)

    loop = Sampling(passes, 0, 0, fast=False)
    some = index[:256]
    yield _timed("plain loop", "fp32", 256, lambda: monte_carlo(model, batches(some), loop), len(some), bench)
    for precision in bench.precisions:
        how = Sampling(passes, 0, 0, dtype=DTYPES[precision])
        flops = _flops_of_passes(model, next(batches(index[:64]))[1], how)
        for batch in bench.scale.batches:

            def every(how: Sampling = how, batch: int = batch) -> object:
                return monte_carlo(model, batches(index, batch), how)

            yield _timed("al-cxr", precision, batch, every, len(index), bench, flops)

        def race(how: Sampling = how) -> object:
            return race_over(model, index, batches, how, Racing(k))

        if raced:
            yield _timed("al-cxr, raced", precision, 256, race, len(index), bench)


def features(bench: Bench) -> Iterator[tuple[str, list[Speed]]]:
    """Images that lie in the device's memory, or in the machine's own, -> features of frozen networks."""
    side, most = bench.scale.large, max(bench.scale.batches)
    pixels, index = bench.many(most, side), np.arange(most)
    for name, network, features_of in bench.backbones(side):
        make = functools.partial(features_of, network)
        rows = []
        for precision in bench.precisions:
            runtime = replace(bench.runtime, precision=precision)
            loader = Loader(pixels, runtime.device, mean=0.0, std=1.0, memory_format=runtime.memory_format)

            def every(
                batch: int,
                runtime: Runtime = runtime,
                loader: Loader = loader,
                make: Callable[[Tensor], Tensor] = make,
            ) -> Tensor:
                with torch.no_grad(), runtime.autocast():
                    return torch.cat([make(x).float() for _, x in loader.batches(index, batch)]).cpu()

            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                make(next(loader.batches(index[:1], 1))[1])
            flops = float(counter.get_total_flops())
            for batch in bench.scale.batches:
                call = functools.partial(every, batch)
                rows.append(_timed("frozen network", precision, batch, call, most, bench, flops))
        if isinstance(network, Backbone):
            rows += [_extracted(network, engine, pixels, bench, flops) for engine in ENGINES]
        yield f"{name}, {side} px", rows


def _extracted(network: Backbone, engine: str, pixels: np.ndarray, bench: Bench, flops: float) -> Speed:
    """What the feature cache does with images that lie in the machine's own memory."""
    with Extractor(network, bench.runtime, engine, workers=1) as extractor:
        call = functools.partial(extractor, pixels)
        batch = GPU_BATCH if bench.runtime.device.startswith("cuda") else BATCH
        return _timed(f"feature cache, engine {engine}", ENGINES[engine], batch, call, len(pixels), bench, flops)


def training(bench: Bench) -> Iterator[tuple[str, list[Speed]]]:
    """Steps of the trainer, and of a bare loop that no trainer can beat."""
    scale = bench.scale
    for side, width in ((scale.side, 0.25), (scale.large, scale.width)):
        rows = []
        network = bench.network("cnn", {"width": width}, side).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 1, side, side))
        flops = 3.0 * counter.get_total_flops()
        for batch in scale.batches[:2]:
            pixels = bench.many(4 * batch, side)
            for precision in bench.precisions:
                runtime = replace(bench.runtime, precision=precision)
                settings = TrainSettings(steps=4, batch_size=batch, augment=AugmentSettings())
                task = bench.task(runtime, settings, pixels)
                state = TrainingState.start(bench.network("cnn", {"width": width}, side), settings, runtime)
                for name, call in (("bare loop", _bare(state, task)), ("trainer, augmented", _parts(state, task))):
                    rows.append(_timed(name, precision, batch, call, 4 * batch, bench, flops))
        yield f"CNN of width {width:g}, {side} px", rows


def _bare(state: TrainingState, task: Task) -> Callable[[], None]:
    """Forward, backward, step on batches that lie on the device."""
    index = np.arange(4 * task.settings.batch_size)
    given = list(task.loader.batches(index, task.settings.batch_size))
    labels = torch.from_numpy(task.labels_N).to(task.runtime.device)
    targets = [labels[torch.from_numpy(index_B).to(labels.device)] for index_B, _ in given]

    def call() -> None:
        state.model.train()
        for (_, images), target in zip(given, targets, strict=True):
            with task.runtime.autocast():
                logits = state.model(images)
            loss = nn.functional.cross_entropy(logits.float(), target)
            state.optimizer.zero_grad(set_to_none=True)
            state.scaler.scale(loss).backward()
            state.scaler.step(state.optimizer)
            state.scaler.update()

    return call


def _parts(state: TrainingState, task: Task) -> Callable[[], object]:
    return lambda: _train_part(state, task, 0, 4, Progress(4, "training", "steps", shown=False))


def _flops_of_passes(model: nn.Module, images: Tensor, how: Sampling) -> float:
    """Of an image, with all its passes; NaN where there are recurrences, which torch does not count."""
    if any(isinstance(module, nn.RNNBase) for module in model.modules()):
        return float("nan")
    with FlopCounterMode(display=False) as counter, engine(model, images, how) as sampled:
        start = counter.get_total_flops()
        for _, logits in sampled.run([(np.arange(len(images)), images)], range(how.passes)):
            list(logits)
        return float(counter.get_total_flops() - start) / len(images)


def _timed(
    what: str,
    precision: str,
    batch: int,
    call: Callable[[], object],
    images: int,
    bench: Bench,
    flops: float = float("nan"),
) -> Speed:
    """The speed of a call that computes so many images."""
    missing = "" if time.monotonic() < bench.until else "no time left"
    speed = float("nan")
    if not missing:
        try:
            speed = images / _seconds(call, bench)
        except RuntimeError as error:
            if not any(isinstance(e, torch.OutOfMemoryError) for e in (error, error.__cause__)):
                raise
            missing = "out of memory"
    if missing and bench.runtime.device.startswith("cuda"):
        torch.cuda.empty_cache()
    return Speed(what, precision, batch, speed, flops, missing)


def _seconds(call: Callable[[], object], bench: Bench) -> float:
    """The fastest of some turns, after one that warms up; few where a turn is long."""
    device, least = bench.runtime.device, bench.scale.seconds

    def once() -> float:
        started = time.perf_counter()
        call()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)  # what was launched has not been computed yet
        return time.perf_counter() - started

    once()
    turns = [once()]
    while sum(turns) < least or (len(turns) == 1 and turns[0] < 3 * least):
        turns.append(once())
    return min(turns)
