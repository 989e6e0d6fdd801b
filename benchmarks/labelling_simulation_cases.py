"""The simulated projects of labelling_simulation.py: archives of real radiographs, and the arms that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from al_cxr.config.files import merge
from al_cxr.core.drafts import write_atomically
from al_cxr.labelling.settings import ProjectSettings, project_settings

AUDIT = 0.3
LEAST = "entropy, least audit"
START = "entropy, with --start"


@dataclass(frozen=True)
class Case:
    """An archive whose labels are known."""

    name: str
    about: str
    manifest: str
    classes: tuple[str, ...]
    target: str
    goal: float
    """Accuracy; see CHOSEN."""
    pilot: float
    """Accuracy that the pilot ended with."""
    source: str = ""
    """The only source of the manifest that is in the archive; empty = all."""
    start: bool = False
    """Whether it is also begun with the bundle of another hospital."""
    changes: Mapping[str, Any] = field(default_factory=dict)


CASES = (
    Case("shenzhen", "one hospital, adults", "shenzhen.csv", ("normal", "tuberculosis"), "tuberculosis", 0.75, 0.808),
    Case(
        "cxr3",
        "three sources, children and adults",
        "cxr3.csv",
        ("normal", "pneumonia", "tuberculosis"),
        "tuberculosis",
        0.70,
        0.783,
    ),
    Case(
        "nih14",
        "one hospital, labels mined from reports",
        "cxr3.csv",
        ("normal", "pneumonia"),
        "pneumonia",
        0.70,
        0.764,
        source="nih14",
        start=True,
    ),
)

CHOSEN = (
    "The wanted accuracy was laid down before, by a pilot of each archive: one project of seed 0, which is none of "
    "those shown, whose questions were all random. It is the largest multiple of 5 % that lies at least 5 points below "
    "what the pilot's last model was truly worth (there by images), so that there is something to certify."
)


def arms_of(case: Case, start: str) -> dict[str, dict[str, Any]]:
    """Name -> what it changes in the settings, beginning with the one that the others are compared with."""
    arms: dict[str, dict[str, Any]] = {
        "random": {"acquisition": {"strategy": "random"}},
        "entropy": {},
        "badge": {"acquisition": {"strategy": "badge"}},
        LEAST: {"streams": {"audit": 0.05, "second": 0.0, "repeat": 0.0}},
    }
    if case.start and start:
        arms[START] = {"start": start}
    return arms


def archive_of(case: Case, data: Path, folder: Path) -> Path:
    """The manifest of a case; one of a single source is written into a folder."""
    manifest = data / case.manifest
    if not case.source:
        return manifest
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    made = folder / f"{case.name}.csv"
    text = table[table["source"] == case.source].to_csv(index=False, lineterminator="\n").encode()
    if not made.exists() or made.read_bytes() != text:
        write_atomically(made, text)
    return made


def settings_of(case: Case, arm: Mapping[str, Any], archive: str, root: Path | None) -> ProjectSettings:
    """Those of an arm; its seed comes later."""
    given: dict[str, Any] = {
        "archive": {"source": archive, "root": None if root is None else str(root)},
        "classes": list(case.classes),
        "target": case.target,
        "goal": {"figure": "accuracy", "at_least": case.goal},
        "streams": {"audit": AUDIT},
    }
    return project_settings(merge(merge(given, case.changes), arm), case.name)
