"""Several threads that compute features, for one that feeds them and takes what they have made, in order.

Threads and not processes: the networks compute outside of the interpreter's lock, and a thread starts at once, shares
the weights, the libraries and what an engine compiled, and ends with its process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np

from al_cxr.training.feature_pass import Batch, Pass

AHEAD = 2
"""Batches for each thread: the one that it computes, and the next."""


class FeatureThreads:
    """Threads that share the weights of a `Pass`, one for each of its `threads`, until they are closed."""

    def __init__(self, compute: Pass) -> None:
        self._passes: SimpleQueue[Pass] = SimpleQueue()
        for one in (compute, *(compute.twin() for _ in range(compute.threads - 1))):
            self._passes.put(one)
        self._ahead = AHEAD * compute.threads
        self._pool = ThreadPoolExecutor(compute.threads, "features", compute.runtime.activate_thread)

    def stream(self, batches: Iterable[Batch]) -> Iterator[np.ndarray]:
        """The features of each batch, in order; batches are taken as threads come free.

        UserError for a mistake that one of them met.
        """
        begun: deque[Future[np.ndarray]] = deque()
        try:
            for batch in batches:
                begun.append(self._pool.submit(self._compute, batch))
                if len(begun) == self._ahead:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()

    def close(self) -> None:
        """End the threads, each after the batch that it computes."""
        self._pool.shutdown(cancel_futures=True)

    def _compute(self, batch: Batch) -> np.ndarray:
        mine = self._passes.get()
        try:
            return mine(batch)
        finally:
            self._passes.put(mine)
