"""One process at a time: what two of them want is computed once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opened import opened_run
from tiny import write_tiny

from al_cxr.config.files import load
from al_cxr.core.locks import alone
from al_cxr.experiment import fits

HOLDER = """\
import sys, time
from pathlib import Path
from al_cxr.core.locks import alone
with alone(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(60)
"""


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"in\n"
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: alone(tmp_path / "lock").__enter__())
            time.sleep(0.3)
            assert not waiting.done()
            os.kill(holder.pid, signal.SIGKILL)
            waiting.result(timeout=20)


def test_without_locks_the_block_is_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("al_cxr.core.locks.FileLock.acquire", refuse)
    entered = []
    with alone(tmp_path / "lock"):
        entered.append(True)
    assert entered


def test_two_who_want_the_same_fit_train_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(write_tiny(tmp_path))
    workspace = opened_run(settings, tmp_path / "runs" / "tiny")
    labelled, loss = workspace.train_index[:12], next(iter(settings.losses))
    trained, train = [], fits._train

    def slowly(*arguments: Any) -> None:
        trained.append(arguments)
        time.sleep(0.2)  # so that the other one comes while this one is at it
        train(*arguments)

    monkeypatch.setattr(fits, "_train", slowly)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: fits.obtain(workspace, loss, 0, labelled), range(2))
    assert len(trained) == 1 and one == other and (one.folder / "fit.json").is_file()
