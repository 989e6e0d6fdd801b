"""Jobs of a sweep as Ray tasks, on this machine or on a cluster, and the scoring of a large pool in shards.

All that a task is given is where the run folder lies and what to do. Records, models and checkpoints lie in the run
folder, which is on a file system that all nodes share; the pixels are memory-mapped from the pixel store. So a task
that lost its worker is simply begun again elsewhere, and goes on from the last checkpoint.
"""

from __future__ import annotations

import functools
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from al_cxr.config import Ray, Settings
from al_cxr.core.cache import default_cache
from al_cxr.core.errors import UserError
from al_cxr.core.locks import alone
from al_cxr.core.progress import mute
from al_cxr.core.records import FitRecord, read
from al_cxr.experiment.executor import J, Network, Perform, T, Work, shards_of
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.workspace import Workspace, reopen

RETRIES = 10
"""How many workers a job may lose before the sweep is given up."""


@dataclass(frozen=True)
class Place:
    """Where an experiment lies, for a worker that has to open it."""

    folder: Path
    here: Path
    """Working directory, which relative paths of sources refer to."""
    settings: Settings


def perform_all(
    workspace: Workspace, phases: Sequence[Sequence[J]], perform: Perform[J], slots: Callable[[int], None]
) -> None:
    """`perform` every job of one phase after the other, each a task; idle workers help to score large pools. `slots` is
    told how many jobs run at once.

    The first error ends everything and is raised here. UserError where Ray is not installed or not reached, where no
    node has what a task asks for, or where a job has lost too many workers.
    """
    options = workspace.settings.machine.ray
    if workspace.runtime.device.startswith("cuda") and options.gpus == 0:
        raise UserError("machine.ray.gpus: the device is a GPU, so a task needs a share of one; set it, e.g. to 1")
    with connected(options) as ray:
        slots(slots_of(ray, options))
        work = ray.remote(_work).options(num_cpus=options.cpus, num_gpus=options.gpus, max_retries=RETRIES)
        for jobs in phases:
            pending = [work.remote(_place(workspace), perform, job) for job in jobs]
            try:
                while pending:
                    done, pending = ray.wait(pending)
                    if mistake := ray.get(done[0]):
                        raise UserError(mistake)
            except ray.exceptions.RayTaskError:
                raise  # a bug, with its traceback
            except ray.exceptions.RayError as error:
                raise UserError(
                    f"Ray stopped, or a job has lost its worker {RETRIES + 1} times "
                    f"({type(error).__name__}); the same command goes on"
                ) from None
            finally:
                for task in pending:
                    ray.cancel(task, force=True)


@dataclass(frozen=True)
class IdleWorkers:
    """Scores a pool of more than `size` images in shards, of which workers of Ray that are idle take some.

    They take shards from the end while this process takes them from the front, so nobody waits for a worker that never
    comes free; whoever computes a shard, the bits are the same.
    """

    size: int

    def shards(self, index_N: np.ndarray, batch: int) -> list[np.ndarray]:
        """The pool in parts of `size` images, rounded up to whole batches."""
        return shards_of(index_N, self.size, batch)

    def map_shards(
        self, workspace: Workspace, network: Network, shards: Sequence[np.ndarray], work: Work[T]
    ) -> list[T]:
        """`work(workspace, network.part, shard)` of all shards, in their order."""
        ray = _imported()
        helpers: dict[int, Any] = {}
        if ray.is_initialized():
            options = workspace.settings.machine.ray
            help = ray.remote(_help).options(num_cpus=options.cpus, num_gpus=options.gpus, max_retries=0)
            given = (_place(workspace), network.fit.record.key, work)
            helpers = {i: help.remote(*given, shards[i]) for i in reversed(range(1, len(shards)))}
        done = []
        for i, shard in enumerate(shards):
            result = _helped(ray, helpers[i]) if i in helpers else None
            done.append(work(workspace, network.part, shard) if result is None else result)
        return done


def _helped(ray: Any, task: Any) -> Any:
    """What a worker has made of a shard; None where it has not, and then it need not any more."""
    ready, _ = ray.wait([task], timeout=0)
    if not ready:
        ray.cancel(task)
        return None
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError:
        raise  # a bug, with its traceback
    except ray.exceptions.RayError:
        return None  # its worker was lost


def _imported() -> Any:
    try:
        import ray
    except ImportError:
        raise UserError('machine.engine: ray is not installed; pip install "al-cxr[ray]", or use processes') from None
    return ray


@contextmanager
def connected(options: Ray) -> Iterator[Any]:
    """The module ray, connected: to what this process is connected to already, else to the cluster, else to its own."""
    # Both are read when ray is imported. Nothing is reported to anybody; and a Ray of this machine alone listens on the
    # loopback interface only (the switch has the name of the systems on which that is the default).
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if options.address is None:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    ray = _imported()
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(
            address=options.address or "local",
            logging_level="ERROR",
            log_to_driver=False,
            **({} if options.address else {"include_dashboard": False}),
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = options.address or "this machine"
        raise UserError(f"machine.ray.address: no Ray was reached on {where} ({str(error).splitlines()[0]})") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def slots_of(ray: Any, options: Ray) -> int:
    """Tasks that fit onto the nodes at once; UserError if none does, which Ray would wait for without end."""
    wanted = {"CPU": options.cpus, "GPU": options.gpus}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fits = [min(int(node.get(k, 0) / v + 1e-9) for k, v in wanted.items() if v > 0) for node in nodes]
    if sum(fits) == 0:
        has = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in nodes)
        raise UserError(
            f"machine.ray: a task asks for {options.cpus:g} CPUs and {options.gpus:g} GPUs; no node has that ({has})"
        )
    return sum(fits)


def _place(workspace: Workspace) -> Place:
    machine = workspace.settings.machine
    cache = Path(machine.cache).expanduser() if machine.cache else default_cache()
    settings = workspace.settings.model_copy(
        update={"machine": machine.model_copy(update={"cache": str(cache.absolute())})}
    )
    return Place(workspace.folder.absolute(), Path.cwd(), settings)


_opened: tuple[Place, Workspace] | None = None


def _workspace(place: Place) -> Workspace:
    """The workspace, opened once a worker. Where the pixel store is not there it is built, by one worker of a node."""
    global _opened
    if _opened is None or _opened[0] != place:
        if not (place.folder / "experiment.json").exists():
            raise UserError(
                f"{place.folder} is not there on node {platform.node()}; put --runs on a file system all nodes share"
            )
        if place.here.is_dir():
            os.chdir(place.here)
        mute()  # the process that began the sweep says how far it is
        with alone(Path(tempfile.gettempdir()) / f"al-cxr-{os.getuid()}.lock"):
            _opened = place, reopen(place.folder, place.settings)
    return _opened[1]


@functools.lru_cache(maxsize=1)
def _model(workspace: Workspace, key: str) -> nn.Module:
    folder = workspace.fits / key
    return Fit(folder, read(folder / "fit.json", FitRecord)).part_for(workspace.loader, workspace.runtime)


def _work(place: Place, perform: Perform[J], job: J) -> str | None:
    """One job; a user's mistake comes back as its text, so that it reads the same as in any other engine."""
    try:
        workspace = _workspace(place)
        perform(workspace, job, IdleWorkers(workspace.settings.machine.ray.shard))
    except UserError as error:
        return str(error)
    return None


def _help(place: Place, key: str, work: Work[T], index_N: np.ndarray) -> T | None:
    """A part; None for a mistake, which the process that asked meets by itself."""
    try:
        workspace = _workspace(place)
        return work(workspace, _model(workspace, key), index_N)
    except UserError:
        return None
