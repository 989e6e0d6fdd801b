"""The blocks of Python that the documentation shows are run as they stand."""

from __future__ import annotations

import subprocess
import sys

import pytest
from shown import Block, blocks

NEEDS_A_BUNDLE = "docs/howto/use-a-model.md"
"""The page whose block is run where there is a trained model: by the test of the tutorial."""

RUN = [block for block in blocks("python") if not block.not_run and block.page != NEEDS_A_BUNDLE]

ONE_AFTER_THE_OTHER = """\
import runpy, sys, traceback
for file in sys.argv[1:]:
    try:
        runpy.run_path(file)
    except Exception:
        traceback.print_exc()
"""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The errors of all blocks, run in one fresh process, so that what they register stays there."""
    folder = tmp_path_factory.mktemp("blocks")
    files = [f"block_{number}.py" for number in range(len(RUN))]
    for file, block in zip(files, RUN, strict=True):
        (folder / file).write_text(block.text, "utf-8")
    command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("number", range(len(RUN)), ids=lambda number: RUN[number].page)
def test_a_block_of_python_runs(number: int, complaints: str) -> None:
    assert f"block_{number}.py" not in complaints, complaints


def test_a_block_that_is_not_run_says_why() -> None:
    shown: list[Block] = blocks("python")
    assert len(RUN) >= 4
    assert all(len(block.not_run.split()) > 3 for block in shown if block not in RUN and block.page != NEEDS_A_BUNDLE)
