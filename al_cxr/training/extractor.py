"""Features of many radiographs, on all that the machine has: a GPU, or one thread a core."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType

import numpy as np

from al_cxr.config import AugmentSettings
from al_cxr.data.store import cores
from al_cxr.models.backbone import Backbone
from al_cxr.training.feature_engines import DEFAULT
from al_cxr.training.feature_pass import Batch, Pass, parts
from al_cxr.training.feature_threads import FeatureThreads
from al_cxr.training.runtime import Runtime


class Extractor:
    """A frozen backbone that computes features for as long as it is open.

    `workers` are threads (0: as many as cores), and on a GPU one. They change no bit of a feature.
    """

    def __init__(
        self,
        backbone: Backbone,
        runtime: Runtime,
        engine: str = DEFAULT,
        workers: int = 0,
        varied: AugmentSettings | None = None,
    ) -> None:
        threads = 1 if runtime.device.startswith("cuda") else workers or cores()
        self._compute = Pass(backbone, runtime, engine, varied, threads)
        self._threads: FeatureThreads | None = None

    def __enter__(self) -> Extractor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads, if there are any."""
        if self._threads is not None:
            self._threads.close()
            self._threads = None

    def __call__(self, pixels_NSS: np.ndarray) -> np.ndarray:
        """Features, float32 (N, K), of radiographs, uint8 (N, S, S)."""
        return np.concatenate(list(self.stream([Batch(pixels_NSS)])))

    def stream(self, batches: Iterable[Batch]) -> Iterator[np.ndarray]:
        """The features of batches of any size, in order but in pieces of other sizes.

        A batch is taken when it is needed, and few are held at a time: who reads and decodes them may do so meanwhile.
        UserError where a feature is not finite.
        """
        pieces = (part for batch in batches for part in parts(batch, self._compute.size))
        if self._compute.threads == 1:
            yield from self._compute.stream(pieces)
            return
        if self._threads is None:
            for first in islice(pieces, 1):  # builds the engine, which all threads then share
                yield self._compute(first)
                self._threads = FeatureThreads(self._compute)
        if self._threads is not None:
            yield from self._threads.stream(pieces)
