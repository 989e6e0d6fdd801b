"""One pass of a frozen backbone over a batch of radiographs: from 8-bit pixels to features, the same in every thread.

On a CPU a pass always has BATCH images on one thread, because the last bits depend on both: so the features of an image
do not depend on what stands beside it, nor on how many threads compute. On a GPU a pass has as many images as fit.
"""

from __future__ import annotations

import contextlib
import copy
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from al_cxr.config import AugmentSettings
from al_cxr.core.errors import UserError
from al_cxr.data import augment
from al_cxr.models.backbone import Backbone
from al_cxr.sampling.stochastic import eval_mode
from al_cxr.training import feature_engines
from al_cxr.training.runtime import Runtime

BATCH = 8
"""Images a pass on a CPU: few, so that memory is used again and not fetched anew."""

FAITHFUL = 0.99999
"""Smallest cosine between features by another engine and PyTorch's, on the first batch, with which it is taken: every
engine that asked for other images was below it (results/benchmarks/features-faithful.md)."""

GPU_BATCH = 512
"""Images a pass on a GPU, halved as often as its memory asks for."""


class Batch(NamedTuple):
    """Some radiographs, and how each is varied."""

    pixels_BSS: np.ndarray
    """uint8."""
    draws_BD: np.ndarray | None = None
    """What `al_cxr.data.augment.draw` drew for each; None for the radiographs as they are."""


class Pass:
    """A backbone with an engine, ready to be called by one thread; `threads` says how many twins there will be, with
    it."""

    def __init__(
        self,
        backbone: Backbone,
        runtime: Runtime,
        engine: str = feature_engines.DEFAULT,
        varied: AugmentSettings | None = None,
        threads: int = 1,
    ) -> None:
        self.backbone, self.runtime, self.engine, self.varied = backbone, runtime, engine, varied
        self.threads = threads
        self.on_gpu = runtime.device.startswith("cuda")
        self.size = GPU_BATCH if self.on_gpu else BATCH
        self._features: feature_engines.Engine | None = None

    def twin(self) -> Pass:
        """For another thread, with the same weights and what the engine has compiled; after the first batch."""
        assert self._features is not None
        other = copy.copy(self)
        with eval_mode(self.backbone):
            other.backbone = feature_engines.sharing(self.backbone)
        other._features = self._features.twin(other.backbone)
        return other

    def __call__(self, batch: Batch) -> np.ndarray:
        """Features, float32 (B, K); UserError where one is not finite."""
        return next(self.stream([batch]))

    def stream(self, batches: Iterable[Batch]) -> Iterator[np.ndarray]:
        """The features of each batch, in order.

        A GPU is given the next batch before the features of the last are fetched, so that it never waits.
        """
        begun: deque[tuple[list[Tensor], torch.cuda.Event | None]] = deque()
        for batch in batches:
            begun.append((self._begin(batch), self._mark()))
            if len(begun) > self.on_gpu:
                yield self._finished(*begun.popleft())
        while begun:
            yield self._finished(*begun.popleft())

    def _mark(self) -> torch.cuda.Event | None:
        """When a GPU has done all that it was given until now."""
        return torch.cuda.current_stream(self.runtime.device).record_event() if self.on_gpu else None

    def _begin(self, batch: Batch) -> list[Tensor]:
        """Features on their way to the machine's own memory: in one piece, or in several where memory was short."""
        with _one_thread(), eval_mode(self.backbone):
            if self._features is None:
                self.runtime.place(self.backbone)
                self._features = self._engine(batch)
            try:
                return [self._on_its_way(self._features, self._images(batch))]
            except torch.OutOfMemoryError:
                pass  # outside of this block, so that what the error holds on to is free
        count = len(batch.pixels_BSS)
        if count == 1:
            raise UserError(f"{self.runtime.device}: its memory does not hold one image; use smaller images, or a CPU")
        self.size = half = (count + 1) // 2
        if self.on_gpu:
            torch.cuda.empty_cache()
        return [piece for part in parts(batch, half) for piece in self._begin(part)]

    def _engine(self, batch: Batch) -> feature_engines.Engine:
        """The engine, after a look whether it sees what PyTorch sees in some of the images."""
        engine = feature_engines.build(self.engine, self.backbone, self.runtime, self.threads)
        if self.engine == feature_engines.DEFAULT:
            return engine
        images = self._images(next(parts(batch, BATCH)))
        plain_BK, made_BK = (self._filled(one, images) for one in (feature_engines.Plain(self.backbone), engine))
        cosine = float(functional.cosine_similarity(plain_BK.double(), made_BK.double()).min())
        if cosine < FAITHFUL:
            raise UserError(
                f"model.feature_engine: {self.engine} does not see in these images what PyTorch sees (smallest cosine "
                f"{cosine:.6f}, and {FAITHFUL} is asked for: results/benchmarks/features-faithful.md); use torch"
            )
        return engine

    def _images(self, batch: Batch) -> Tensor:
        """Floats in 0..1, (B, 1, S, S), on the device."""
        stored = torch.from_numpy(np.array(batch.pixels_BSS))  # a copy: what came from elsewhere is read-only
        if self.on_gpu:
            stored = stored.pin_memory().to(self.runtime.device, non_blocking=True)
        images = stored.unsqueeze(1).to(torch.float32).mul_(1 / 255)
        if batch.draws_BD is not None:
            assert self.varied is not None
            images = augment.apply(images, self.varied, torch.from_numpy(batch.draws_BD))
        return images.contiguous(memory_format=self.runtime.memory_format)

    def _on_its_way(self, engine: feature_engines.Engine, images: Tensor) -> Tensor:
        if self.on_gpu:
            made = engine(images)
            return torch.empty(made.shape, dtype=made.dtype, pin_memory=True).copy_(made, non_blocking=True)
        return self._filled(engine, images)

    def _filled(self, engine: feature_engines.Engine, images: Tensor) -> Tensor:
        """The features of up to BATCH images, in a pass of so many."""
        short = BATCH - len(images)
        filled = torch.cat([images, images[-1:].expand(short, -1, -1, -1)]) if short > 0 else images
        return engine(filled)[: len(images)]

    def _finished(self, pieces: list[Tensor], done: torch.cuda.Event | None) -> np.ndarray:
        if done is not None:
            done.synchronize()  # and no longer: the next batch is being computed
        features_BK = torch.cat(pieces)
        if not torch.isfinite(features_BK).all():
            raise UserError(f"{self.backbone.name}: some features are not finite numbers; are these the right weights?")
        return features_BK.numpy()


def parts(batch: Batch, size: int) -> Iterator[Batch]:
    """A batch in batches of up to `size` images."""
    for start in range(0, len(batch.pixels_BSS), size):
        rows = slice(start, start + size)
        yield Batch(batch.pixels_BSS[rows], None if batch.draws_BD is None else batch.draws_BD[rows])


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A block in which torch computes on one thread, whatever it has otherwise."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
