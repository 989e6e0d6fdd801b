"""Several processes that compute features, for one that feeds them and takes what they have made, in order."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from dataclasses import replace as changed
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np

import al_cxr
from al_cxr.core.errors import UserError
from al_cxr.training import feature_worker
from al_cxr.training.feature_pass import Batch, Pass

AHEAD = 2
"""Batches that a process has at a time: the one that it computes, and the next."""

ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


@dataclass(eq=False)
class _Process:
    child: subprocess.Popen[bytes]
    connection: Connection
    ready: bool = False
    given: int = 0
    """Batches whose features it has not sent back."""


class FeatureProcesses:
    """`count` processes of one thread each, with the backbone of a `Pass`, until they are closed.

    They end with this process, however that ends, because their connections end with it.
    """

    def __init__(self, compute: Pass, count: int) -> None:
        given = Pass(compute.backbone, changed(compute.runtime, threads=1), compute.engine, compute.varied)
        try:
            sent = pickle.dumps(given, protocol=5)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(
                f"{compute.backbone.name}: cannot be sent to other processes ({error}); set machine.workers: 1"
            ) from None
        self._processes = [_start() for _ in range(count)]
        for process in self._processes:
            self._send(process, sent)

    def stream(self, batches: Iterable[Batch]) -> Iterator[np.ndarray]:
        """The features of each batch, in order; batches are taken as processes come free.

        UserError where a process was killed, or for a mistake that it met.
        """
        waiting, numbers = iter(batches), iter(range(sys.maxsize))
        made: dict[int, np.ndarray] = {}
        order: dict[_Process, list[int]] = {process: [] for process in self._processes}
        following, more = 0, True
        while True:
            for process in sorted(self._processes, key=lambda p: len(order[p])):
                # Far ahead of a process that is slow nobody computes: what waits for its turn takes memory.
                while more and process.ready and len(order[process]) < AHEAD and len(made) < 16 * len(order):
                    batch = next(waiting, None)
                    if batch is None:
                        more = False
                        break
                    order[process].append(next(numbers))
                    self._send(process, pickle.dumps(batch, protocol=5))
            while following in made:
                yield made.pop(following)
                following += 1
            if not more and not any(order.values()):
                return
            for process in self._spoken():
                answer = self._receive(process)
                if not process.ready:
                    process.ready = True
                    continue
                features = pickle.loads(answer)
                if isinstance(features, str):
                    raise UserError(features)
                made[order[process].pop(0)] = features

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for process in self._processes:
            process.connection.close()
            process.child.kill()
        for process in self._processes:
            process.child.wait()
        self._processes = []

    def _spoken(self) -> list[_Process]:
        heard = wait([process.connection for process in self._processes])
        return [process for process in self._processes if process.connection in heard]

    def _send(self, process: _Process, message: bytes) -> None:
        try:
            process.connection.send_bytes(message)
        except OSError:
            raise _killed(process) from None

    def _receive(self, process: _Process) -> bytes:
        try:
            return process.connection.recv_bytes()
        except (EOFError, OSError):
            raise _killed(process) from None


def _start() -> _Process:
    ours, theirs = Pipe()
    with theirs:
        command = [sys.executable, "-m", feature_worker.__name__, str(theirs.fileno())]
        paths = [str(Path(al_cxr.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)}
        child = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL)
    return _Process(child, ours)


def _killed(process: _Process) -> UserError:
    code = process.child.wait()
    how = f"was killed (signal {-code}; out of memory?)" if code < 0 else f"ended (exit code {code})"
    return UserError(
        f"a process that computes features {how}; the same command goes on, with a smaller machine.workers where "
        "memory is short"
    )
