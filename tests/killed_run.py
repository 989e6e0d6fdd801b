"""Runs a command again and again, killing it (SIGKILL) at its nth write each time, until it ends by itself.

A process of its own, with OMP_NUM_THREADS=1: `python killed_run.py COMMAND...`. Each attempt is a fork, so that torch
is imported once; a fork of a process with threads would hang. A kill falls before or after the moment a file appears,
in turn. Prints the number of kills.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from tiny import do_not_draw

from al_cxr.api import experiment  # noqa: F401 - imported here so that no attempt has to
from al_cxr.cli import __main__ as cli
from al_cxr.experiment import sweep
from al_cxr.experiment.estimate import Speeds


def attempt(arguments: list[str], fatal: int, before: bool) -> int:
    """Exit status of one attempt that dies at its `fatal`-th write."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sweep.measure_speeds = lambda workspace: Speeds()  # only for the estimate, and it takes seconds
    replace, writes = os.replace, 0

    def deadly(source: object, target: object) -> None:
        nonlocal writes
        writes += "results" not in Path(str(target)).parts  # a report is written whole every time, so it is spared
        if writes == fatal and before:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)  # type: ignore[arg-type]
        if writes == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = deadly
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os._exit(cli.main(arguments))


def main() -> int:
    do_not_draw(pytest.MonkeyPatch())
    for kills in range(500):
        # At the third to 13th write: a finished training needs seven in one attempt to become a record.
        status = attempt(sys.argv[1:], 3 + 5 * kills % 11, before=kills % 2 == 0)
        if status != -signal.SIGKILL:
            print(kills)
            return status
    return 99


if __name__ == "__main__":
    sys.exit(main())
