"""benchmarks/scale.py at a tiny size: the cases run (the report, which draws for a minute, aside), and the table says
what was measured."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from al_cxr import strategies

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scale() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("scale")
    finally:
        sys.path.remove(str(FOLDER))


def test_a_row_a_call_and_a_column_a_number_of_images(scale: ModuleType, tmp_path: Path) -> None:
    scale.main(["--images", "90", "60", "--only", "select coreset", "--out", str(tmp_path / "scale.md")])
    lines = (tmp_path / "scale.md").read_text().splitlines()
    assert "    python benchmarks/scale.py --images 90 60 --only 'select coreset' --out" in lines[2]
    rows = [line.split(" | ") for line in lines if line.startswith("| ")]
    assert [row[0] for row in rows] == ["| what", "| ---", "| select coreset, 100", "| select coreset, 10 %"]
    assert rows[0][1:] == ["60", "90 |"]
    assert all(" s, " in cell and " MB" in cell for row in rows[2:] for cell in row[1:])


def test_a_case_that_takes_too_long_is_stopped_and_said(
    scale: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scale.main(["--images", "60", "90", "--only", "ask", "--limit", "0.01", "--out", str(tmp_path / "scale.md")])
    assert "stopped after 0.01 s" in capsys.readouterr().out
    assert len(scale.table({"ask": {60: "1.00 s"}}, [60, 90])[2].split("stopped")) == 2


@pytest.mark.parametrize("strategy", strategies.names())
def test_every_strategy_is_measured(scale: ModuleType, strategy: str) -> None:
    found = scale.measure(f"select {strategy}", 60)
    assert list(found) == ["100", "10 %"] and all(of.seconds > 0 for of in found.values())


@pytest.mark.parametrize(
    "case",
    [
        "score a head",
        "score at most",
        "draw splits",
        "open the pixel",
        "fingerprint",
        "gate",
        "audit",
        "compare",
    ],
)
def test_everything_else_is_measured(scale: ModuleType, case: str) -> None:
    (name,) = [name for name in scale.others() if name.startswith(case)]
    (of,) = scale.measure(name, 300).values()
    assert of.seconds > 0 and of.number is None
