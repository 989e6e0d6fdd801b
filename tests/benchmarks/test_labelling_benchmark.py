"""benchmarks/labelling.py at a tiny size: all that a reader waits for is in its table."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def labelling() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("labelling")
    finally:
        sys.path.remove(str(FOLDER))


def test_a_row_a_wait_and_a_column_a_number_of_images(labelling: ModuleType, tmp_path: Path) -> None:
    labelling.main(["--images", "120", "--answers", "40", "--out", str(tmp_path / "page.md")])
    lines = (tmp_path / "page.md").read_text().splitlines()
    assert lines[2] == f"    python benchmarks/labelling.py --images 120 --answers 40 --out {tmp_path / 'page.md'}"
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][2:]
    named = [row[0] for row in rows]
    assert named[0] == "start: list and identify the files" and "`al-cxr label ask -n 20`, 40 answers later" in named
    assert {"the first question", "a head trained on all labels", "an answer on the disk"} <= {*named}
    assert all(" s, " in row[1] and row[1].endswith(" MB") for row in rows)
