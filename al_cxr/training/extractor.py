"""Features of many radiographs, on all that the machine has: a GPU, or one process a core where that is worth it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from types import TracebackType

import numpy as np

from al_cxr.config import AugmentSettings
from al_cxr.data.store import cores
from al_cxr.models.backbone import Backbone
from al_cxr.training.feature_engines import DEFAULT
from al_cxr.training.feature_pass import Batch, Pass, parts
from al_cxr.training.feature_processes import FeatureProcesses
from al_cxr.training.runtime import Runtime

TRIAL = 4
"""Batches after which it is known how long the rest takes in this process; the first, which warms up, is not timed."""

START_SECONDS = 8.0
"""Until processes have imported PyTorch and computed their first batch; 6 (PyTorch) to 11 (OpenVINO) were measured."""


class Extractor:
    """A frozen backbone that computes features for as long as it is open.

    `workers` are processes of one thread each (0: as many as cores); they are started when that
    spares more time than it takes, and on a GPU never. They change no bit of a feature.
    """

    def __init__(
        self,
        backbone: Backbone,
        runtime: Runtime,
        engine: str = DEFAULT,
        workers: int = 0,
        varied: AugmentSettings | None = None,
    ) -> None:
        self._compute = Pass(backbone, runtime, engine, varied)
        alone = self._compute.on_gpu or os.name != "posix"
        self._workers = 1 if alone else workers or cores()
        self._processes: FeatureProcesses | None = None

    def __enter__(self) -> Extractor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, if there are any."""
        if self._processes is not None:
            self._processes.close()
            self._processes = None

    def __call__(self, pixels_NSS: np.ndarray) -> np.ndarray:
        """Features, float32 (N, K), of radiographs, uint8 (N, S, S)."""
        return np.concatenate(list(self.stream([Batch(pixels_NSS)], len(pixels_NSS))))

    def stream(self, batches: Iterable[Batch], expected: int) -> Iterator[np.ndarray]:
        """The features of batches of any size, in order but in pieces of other sizes; about `expected` images come.

        A batch is taken when it is needed, and few are held at a time: who reads and decodes them may do so meanwhile.
        UserError where a feature is not finite or a process was killed.
        """
        pieces = (part for batch in batches for part in parts(batch, self._compute.size))
        if self._workers == 1:
            yield from self._compute.stream(pieces)
            return
        if self._processes is None:
            left, spent, timed = expected, 0.0, 0
            for number, piece in enumerate(pieces):
                began = time.perf_counter()
                features_BK = self._compute(piece)
                seconds = time.perf_counter() - began
                yield features_BK
                left -= len(features_BK)
                if number > 0:
                    spent, timed = spent + seconds, timed + len(features_BK)
                if number >= TRIAL and self._spared(left * spent / timed) > START_SECONDS:
                    break
            else:
                return
            self._processes = FeatureProcesses(self._compute, self._workers)
        yield from self._processes.stream(pieces)

    def _spared(self, seconds: float) -> float:
        """What several processes would spare of so many seconds of one."""
        return seconds * (1 - 1 / self._workers)
