"""The blocks of Python that the documentation shows are run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from shown import Block, blocks
from small_run import write_images

FOLLOWED = ("docs/howto/use-a-model.md", "docs/tutorial.md")
"""Pages whose blocks need what the tutorial made: test_tutorial.py runs them there."""

RUN = [block for block in blocks("python") if not block.not_run and block.page not in FOLLOWED]

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
    assert all(len(block.not_run.split()) > 3 for block in shown if block not in RUN and block.page not in FOLLOWED)


def test_the_source_that_the_how_to_shows_reads_a_folder(tmp_path: Path) -> None:
    (block,) = (block for block in RUN if block.page == "docs/howto/new-source.md")
    write_images(tmp_path / "scans", 40)
    for number, image in enumerate(sorted((tmp_path / "scans").rglob("*.png"))):
        image.rename(tmp_path / "scans" / f"{'normal' if number % 2 else 'tuberculosis'}_{number}.png")
    script = f"{block.text}\nfrom al_cxr import load_data\nprint(load_data('prefix:scans').table.to_csv())"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert "normal_1.png,normal," in done.stdout and "tuberculosis_2.png,tuberculosis," in done.stdout, done.stderr


def test_the_loss_that_the_how_to_shows_is_cross_entropy_where_epsilon_is_zero() -> None:
    (block,) = (block for block in RUN if block.page == "docs/howto/new-loss.md")
    names: dict[str, Any] = {}
    exec(block.text.split("@loss")[0], names)
    logits, targets = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0]]), torch.tensor([0, 1])
    own, known = names["PolyLoss"](0.0)(logits, targets), torch.nn.functional.cross_entropy(logits, targets)
    assert float(own) == pytest.approx(float(known))
    assert float(names["PolyLoss"](2.0)(logits, targets)) > float(known)
