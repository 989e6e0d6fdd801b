"""benchmarks/labelling_simulation.py at a tiny size: an archive of noise, bright where it is ill."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from labelling_projects import settings
from PIL import Image

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def simulation() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("labelling_simulation")
    finally:
        sys.path.remove(str(FOLDER))


def write_data(folder: Path) -> None:
    """90 images of two sources, a patient each, in all.csv."""
    folder.mkdir()
    rows = []
    for number in range(90):
        ill = number % 2
        pixels = np.random.default_rng(number).integers(90 * ill, 160 + 90 * ill, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        source = "here" if number < 80 else "elsewhere"
        rows.append([f"{number}.png", ["well", "ill"][ill], f"p{number}", source, "train"])
    pd.DataFrame(rows, columns=["path", "label", "patient_id", "source", "split"]).to_csv(
        folder / "all.csv", index=False
    )


def test_the_page_is_made_of_records_that_are_not_simulated_again(
    simulation: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path / "data")
    case = simulation.Case(
        "noise", "of a test", "all.csv", ("well", "ill"), "ill", 0.75, 0.8, "here", changes=settings(tmp_path)
    )
    monkeypatch.setattr(simulation, "CASES", (case,))
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "cache"))
    records, out = tmp_path / "records", tmp_path / "page.md"
    places = ["--data", str(tmp_path / "data"), "--records", str(records), "--out", str(out)]
    command = [*places, "--seeds", "2", "-n", "30"]
    simulation.main(command)
    page = out.read_text()
    assert "80 images of 80 patients (well 40, ill 40)" in page or "80 images of 80 patients (ill 40, well 40)" in page
    rows = [line.split(" | ")[0].strip("| ") for line in page.splitlines() if line.startswith("| ")]
    assert {"random", "entropy", "badge", "entropy, least audit", "prevalence", "auc", "accuracy less random"} <= {
        *rows
    }
    assert "nan" not in page
    made = {file: file.stat().st_mtime_ns for file in records.glob("noise-*.csv")}
    assert len(made) == 8
    simulation.main(command)
    assert out.read_text() == page and {file: file.stat().st_mtime_ns for file in made} == made


def test_what_never_came_counts_as_all_answers_and_is_said(simulation: ModuleType) -> None:
    tables = importlib.import_module("labelling_simulation_tables")
    assert tables.count(pd.Series([100.0, np.inf]), 300) == "1 of 2, 200 answers"
    assert tables.count(pd.Series([np.inf, np.inf]), 300) == "0 of 2"


def test_a_difference_has_students_interval_and_words_that_follow_from_it(simulation: ModuleType) -> None:
    tables = importlib.import_module("labelling_simulation_tables")
    few, none = pd.Series([10.0, 12.0, 14.0]), pd.Series([-10.0, 0.0, 10.0])
    assert tables.bounds(few) == pytest.approx((12 - 4.303 * 2 / 3**0.5, 12 + 4.303 * 2 / 3**0.5), abs=1e-3)
    assert tables.verdict(few) == "shown to take fewer answers than random questions"
    assert tables.verdict(-few) == "shown to take more answers than random questions"
    assert tables.verdict(none) == "not shown to differ from random questions"
