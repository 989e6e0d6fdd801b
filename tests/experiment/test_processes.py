"""The engine `processes`: Ctrl-C ends it and all of its workers in good order, whatever they are doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import TINY, write_tiny

ROOT = Path(__file__).parents[2]
LONG = TINY.replace("epochs: 2", "epochs: 300").replace(
    "threads: 1,", "threads: 1, engine: processes, processes: COUNT,"
)
COMMAND = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started without it
from al_cxr.cli import __main__ as cli
from al_cxr.experiment import sweep
from al_cxr.experiment.estimate import Speeds
sweep.measure_speeds = lambda workspace: Speeds()  # only for the estimate, and it takes seconds
sys.exit(cli.main(sys.argv[1:]))
"""


def workers(of: int) -> list[int]:
    """Processes that multiprocessing has spawned for this one."""
    found = []
    for pid in Path(f"/proc/{of}/task/{of}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            found.append(int(pid))
    return found


def starting(process: int, folder: Path) -> bool:
    return len(workers(process)) == 2  # while they import


def training(process: int, folder: Path) -> bool:
    return any(folder.rglob("training.safetensors"))


def wait_for(done: Callable[[], bool], seconds: float = 240) -> None:  # a busy machine takes a minute to start a worker
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize(("moment", "count"), [(starting, 2), (training, 1)])
def test_ctrl_c_ends_everything_in_one_line(tmp_path: Path, moment: Callable[[int, Path], bool], count: int) -> None:
    write_tiny(tmp_path, LONG.replace("COUNT", str(count)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run", "tiny.yaml"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal sends Ctrl-C to a group
    )
    try:
        wait_for(lambda: process.poll() is not None or moment(process.pid, tmp_path))
        begun = workers(process.pid)
        for _ in range(2):  # people press it twice
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.02)
        _, error = process.communicate(timeout=240)
    finally:
        process.kill()
    # no traceback of a worker that was still importing, no leaked semaphores
    assert (process.returncode, error) == (130, "\nal-cxr: stopped; the same command goes on from here\n")
    assert len(begun) == count
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in begun))
