"""A real Ray on this machine: the same bytes as without it, also when workers are killed; pools scored in shards."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import TINY, do_not_report, science_files, write_tiny

from al_cxr import strategies
from al_cxr.cli.__main__ import main
from al_cxr.config.files import load
from al_cxr.core.records import FitRecord, read
from al_cxr.experiment.engines import ray as ray_engine
from al_cxr.experiment.engines.ray import IdleWorkers
from al_cxr.experiment.executor import ThisProcess, shards_of
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.pool_scoring import PoolScoring, batches_of
from al_cxr.experiment.workspace import Workspace, reopen
from al_cxr.strategies.pool import Pool
from al_cxr.strategies.statistics import PoolStatistics

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # as ray_engine does it, for the Ray that is started here
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - else a worker starves beside whatever else this machine tests
try:
    import ray
except ImportError:
    if os.environ.get("CI"):
        raise
    pytest.skip('ray is not installed; pip install "al-cxr[ray]"', allow_module_level=True)

SHORT = (
    TINY.replace("rounds: 2", "rounds: 1")
    .replace("seeds: [0, 1]", "seeds: [0]")
    .replace("epochs: 2", "epochs: 20")  # long enough to be killed in
    .replace("checkpoint_seconds: 0", "checkpoint_seconds: 0, score_batch: 16, ray: {shard: 16}")
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which this process ran the experiment by itself."""
    folder = tmp_path_factory.mktemp("local")
    assert play(folder) == 0
    return folder


def play(folder: Path, *more: str) -> int:
    path = write_tiny(folder, SHORT)
    with pytest.MonkeyPatch.context() as patch:
        do_not_report(patch)
        return main(["run", str(path), "--runs", str(folder / "runs"), "--results", str(folder / "results"), *more])


def opened(folder: Path) -> Workspace:
    return reopen(folder / "runs" / "tiny", load(folder / "tiny.yaml"))


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def workers() -> list[int]:
    """Processes below this one that are running a job."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            above = pid = int(command.parent.name)
            if not command.read_bytes().startswith(b"ray::_work"):
                continue
            while above not in (0, 1, os.getpid()):
                above = parent(above)
        except OSError:  # it has ended meanwhile
            continue
        if above == os.getpid():
            found.append(pid)
    return found


def kill_in_the_middle(fits: Path, killed: list[int]) -> None:
    """SIGKILL to all workers at a moment in which a training has a checkpoint and is not finished."""
    deadline = time.monotonic() + 240
    while not killed and time.monotonic() < deadline:
        time.sleep(0.005)
        if any(fits.glob("*/training.safetensors")) and (pids := workers()):
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            if any(not (c.parent / "fit.json").exists() for c in fits.glob("*/training.safetensors")):
                killed += pids


def test_the_records_are_those_of_one_process_although_workers_were_killed(
    cluster: None, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed: list[int] = []
    killer = threading.Thread(target=kill_in_the_middle, args=(tmp_path / "runs" / "tiny" / "fits", killed))
    killer.start()
    assert play(tmp_path, "--set", "machine.engine=ray") == 0
    killer.join()
    assert killed, "no worker was killed while it trained"
    one, other = (science_files(folder / "runs" / "tiny") for folder in (whole, tmp_path))
    for files in (one, other):
        files.pop("experiment.json")  # holds the command, which names the folder
    assert one == other
    said = re.findall(r"^\[(\d+)/(\d+)\] ", capsys.readouterr().out, re.M)
    assert said == [(str(i), "9") for i in range(1, 10)]  # a baseline, four arms with two rounds


class InShards(ThisProcess):
    """Shards that nobody else takes."""

    def shards(self, index_N: np.ndarray, batch: int) -> list[np.ndarray]:
        return shards_of(index_N, 16, batch)


def same_bits(joined: PoolStatistics, expected: PoolStatistics) -> None:
    assert joined.per_image().keys() == expected.per_image().keys()
    for field, array in expected.per_image().items():
        assert array.tobytes() == joined.per_image()[field].tobytes(), field
    assert (joined.passes, joined.sites, joined.sampling) == (expected.passes, expected.sites, expected.sampling)
    assert joined.temperatures == expected.temperatures


@pytest.mark.parametrize(
    ("name", "race"), [("mc_entropy", "capped"), ("mc_entropy", "off"), ("badge", "off"), ("ensemble_bald", "off")]
)
def test_a_pool_scored_in_shards_has_the_same_bits(
    cluster: None, whole: Path, monkeypatch: pytest.MonkeyPatch, name: str, race: str
) -> None:
    workspace = opened(whole)
    settings = workspace.settings
    scoring = settings.scoring.model_copy(update={"race": race, "passes": 6, "temperature": "validation"})
    budget = settings.budget.model_copy(update={"query": 4, "query_of": "number"})
    workspace = replace(workspace, settings=settings.model_copy(update={"scoring": scoring, "budget": budget}))
    folders = [p.parent for p in sorted(workspace.fits.glob("*/fit.json"))][: 2 if "ensemble" in name else 1]
    fits = [Fit(folder, read(folder / "fit.json", FitRecord)) for folder in folders]
    pool = Pool(len(workspace.dataset), workspace.train_index, len(workspace.dataset.classes))
    first = workspace.train_index[:3]
    pool.tell(first, workspace.dataset.labels_N[first])
    alone = PoolScoring(workspace, strategies.get(name), pool, 0, 1, ThisProcess())
    expected = alone.statistics(fits)
    mine: list[int] = []
    pause = 0.0

    def slowly(of: Workspace, index_N: np.ndarray) -> Iterator[Any]:
        """A worker may have to import torch first: this process waits for it."""
        mine.append(len(index_N))
        time.sleep(pause * (6 if len(mine) == 1 else 1))
        return batches_of(of, index_N)

    monkeypatch.setattr("al_cxr.experiment.pool_scoring.batches_of", slowly)
    same_bits(replace(alone, executor=InShards()).statistics(fits), expected)
    without_help, pause = len(mine), 0.5
    for _ in range(10):
        mine.clear()
        joined = replace(alone, executor=IdleWorkers(16)).statistics(fits)
        same_bits(joined, expected)
        assert len(joined.temperatures) == len(fits)
        if len(mine) < without_help:
            return
    pytest.fail("no worker of Ray has helped")


def test_a_users_mistake_in_a_worker_reads_as_elsewhere(
    cluster: None, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play(tmp_path, "--set", "machine.engine=ray", "--set", "model.arch=mlp") == 2
    error = capsys.readouterr().err
    assert error.startswith("al-cxr: error: nothing in this") and "Traceback" not in error


def test_shards_have_fixed_boundaries_at_whole_batches() -> None:
    index = np.arange(100, 145)
    assert [len(s) for s in shards_of(index, 16)] == [16, 16, 13]
    assert [len(s) for s in shards_of(index, 10, batch=4)] == [12, 12, 12, 9]
    assert np.array_equal(np.concatenate(shards_of(index, 7, 3)), index)
    assert [s.tolist() for s in shards_of(index[:3], 4096, 256)] == [[100, 101, 102]]
    assert shards_of(index[:0], 4) == []
    with pytest.raises(ValueError, match="both must be 1 or more"):
        shards_of(index, 0)


def test_a_ray_of_its_own_and_a_task_that_fits_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    if ray.is_initialized():  # the last test of this file: the Ray of the others has done its work
        ray.shutdown()
    seen: list[str] = []
    slots = ray_engine.slots_of
    patch = pytest.MonkeyPatch()
    request.addfinalizer(patch.undo)
    patch.setattr(
        ray_engine,
        "slots_of",
        lambda ray, options: (seen.extend(node["NodeManagerAddress"] for node in ray.nodes()), slots(ray, options))[1],
    )
    assert play(tmp_path, "--set", "machine.engine=ray", "--set", "machine.ray.gpus=100") == 2
    error = capsys.readouterr().err
    assert "a task asks for 1 CPUs and 100 GPUs; no node has that" in error and "Traceback" not in error
    assert seen == ["127.0.0.1"], "a Ray of this machine alone must listen on the loopback interface only"
    assert not ray.is_initialized()
