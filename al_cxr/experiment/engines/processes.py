"""Jobs of a sweep in several processes of this machine.

Each worker opens the workspace for itself; records are written atomically under names that follow from their content,
so workers need no word with each other. Whatever dies, the same command goes on from what is on disk.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from al_cxr.config import Settings
from al_cxr.core.errors import UserError
from al_cxr.core.progress import mute
from al_cxr.experiment.executor import J, Perform, ThisProcess
from al_cxr.experiment.workspace import Workspace, reopen

_workspace: Workspace | None = None


def perform_all(workspace: Workspace, phases: Sequence[Sequence[J]], perform: Perform[J], count: int) -> None:
    """`perform` every job of one phase after the other, `count` at a time; each worker scores its own pools.

    The first error ends everything and is raised here; UserError where a worker was killed.
    """
    # Spawned, not forked: a fork of a process in which torch has started threads hangs.
    context = multiprocessing.get_context("spawn")
    given = (workspace.folder.absolute(), workspace.settings, os.getpid())
    most = max(1, *map(len, phases))
    with ProcessPoolExecutor(min(count, most), context, _start, given) as pool:
        try:
            for jobs in phases:
                with _without_interrupts():  # a worker is started by `submit`
                    begun = [pool.submit(_work, perform, job) for job in jobs]
                for done in as_completed(begun):
                    done.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed (out of memory?); the same command goes on, with a smaller "
                "machine.processes where memory is short"
            ) from None
        except BaseException:
            with _without_interrupts():  # who presses Ctrl-C twice gets no half-closed pool either
                for child in multiprocessing.active_children():
                    child.terminate()
                pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A block of the main thread in which Ctrl-C waits for its end. A process that is started in it never gets one:
    it would interrupt the worker's imports, with a traceback, before any code of ours can ignore it there."""
    caught: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited, unlike a handler
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, before)
        if caught:
            signal.raise_signal(signal.SIGINT)


def _start(folder: Path, settings: Settings, parent: int) -> None:
    global _workspace
    mute()  # the parent says how far all of them are
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _workspace = reopen(folder, settings)


def _end_with(parent: int) -> None:
    """A worker whose parent was killed would go on for hours; it stops, and the next start goes on from its records."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work(perform: Perform[J], job: J) -> None:
    assert _workspace is not None
    perform(_workspace, job, ThisProcess())
