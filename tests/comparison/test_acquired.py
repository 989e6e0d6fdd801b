"""What was acquired, against plain arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_run import CLASSES, edit, fake_images, fake_run

from al_cxr.comparison.acquired import acquired
from al_cxr.comparison.finished import Finished, load
from al_cxr.core.seeds import digest, rng
from al_cxr.report.evidence_tables import acquired_tables
from al_cxr.strategies.budget import seed_set


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    root = fake_run(tmp_path_factory.mktemp("run"))
    fake_images(root)
    return load(root)


def test_what_was_acquired_by_hand(tmp_path: Path) -> None:
    root = fake_run(tmp_path, {"r": ("random", "focal"), "e": ("entropy", "focal")}, seeds=(0,), rounds=2)
    images = fake_images(root)
    start = seed_set(np.arange(600), 180, rng(0, "seed_set"))
    hashes = load(root).rounds["r", 0][0].hashes
    for path in root.glob("arms/*/seed-0/round-*.json"):
        edit(path, hashes=hashes | {"seed_set": digest(start)})
    left = np.setdiff1d(np.arange(600), [*start, 0, 1])
    # Image 1 of patient 0 comes with its copy 0; in round 2 the next images have patients of their own.
    edit(
        root / "arms/r/seed-0/query-0.json", indices=[0, 1] if 0 not in start and 1 not in start else left[:2].tolist()
    )
    edit(root / "arms/r/seed-0/query-1.json", indices=left[5:9].tolist())
    frame = acquired(load(root)).set_index(["arm", "round"])
    taken = np.array(load(root).queries["r", 0][1].indices)
    row = frame.loc[("r", 2)]
    assert row["images"] == 4 and row["patients"] == images["patient_id"][taken].nunique()
    before = set(images["patient_id"][[*start, *load(root).queries["r", 0][0].indices]])
    assert row["new_patients"] == len(set(images["patient_id"][taken]) - before)
    assert sum(row[f"class {c}"] for c in CLASSES) == 4 == row["source a"] + row["source b"]
    assert frame.loc[("r", 0), "copies_inside"] == pytest.approx(2 * {0, 1}.issubset(start) / 180)
    both = acquired_tables(load(root))
    assert both is not None and len(both[0].frame) == 2


def test_an_unknown_seed_set_leaves_what_follows_from_it_open(finished: Finished) -> None:
    frame = acquired(finished)  # its hash is s0
    assert set(frame["round"]) == {1, 2, 3} and frame["new_patients"].isna().all()
    assert frame["patients"].notna().all() and frame["copies_labelled"].isna().all()
