"""The fully labelled models of an experiment: one run folder each, side by side in one folder.

runs/baseline-NAME/baselines.json      BaselinesRecord: what the run folders beside it do not say
runs/baseline-NAME/MODEL/              a run folder without arms (al_cxr.core.records) of an architecture or a variant
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from al_cxr.comparison.finished import Finished, load_baseline
from al_cxr.config import Publication
from al_cxr.config.files import differences
from al_cxr.core.errors import UserError
from al_cxr.core.records import Record, read

RECORD = "baselines.json"


class BaselinesRecord(Record):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Of the folder, and of the report's."""
    unavailable: dict[str, str]
    """Model -> why it could not be built here, and what to fetch."""
    published: dict[str, Publication]
    """Name -> figures of others on the same data."""


@dataclass(frozen=True)
class Baselines:
    """All models of a folder, as far as they are finished; `gaps` says in words what is missing."""

    record: BaselinesRecord
    runs: dict[str, Finished]
    """Model -> its run, by name; at least one."""
    gaps: tuple[str, ...]

    @property
    def first(self) -> Finished:
        return next(iter(self.runs.values()))

    @property
    def seeds(self) -> list[int]:
        """Of any model."""
        return list(dict.fromkeys(seed for run in self.runs.values() for seed in run.settings.seeds))

    @property
    def unavailable(self) -> dict[str, str]:
        """Models that lack something here, without those that are finished nevertheless."""
        return {name: why for name, why in self.record.unavailable.items() if name not in self.runs}

    def differences(self) -> list[str]:
        """Settings, but the model, in which a run is not like the first one."""
        kept = {"data", "train", "losses", "baseline"}
        of = {name: run.settings.model_dump(mode="json", include=kept) for name, run in self.runs.items()}
        first = next(iter(of))
        for science in of.values():
            del science["data"]["sources"]  # what was loaded is compared by its fingerprint
        return [f"{first} -> {name}: {change}" for name in of for change in differences(of[first], of[name])]


def load_baselines(folder: Path) -> Baselines:
    """What `al-cxr baseline` left in a folder; UserError if no model is finished or they are of different data."""
    record = read(folder / RECORD, BaselinesRecord)
    runs: dict[str, Finished] = {}
    gaps: list[str] = []
    for path in sorted(path.parent for path in folder.glob("*/experiment.json")):
        if not any((path / "baseline").glob("seed-*.json")):
            gaps.append(f"{path.name}: no seed is finished")
            continue
        run = runs[path.name] = load_baseline(path)
        gaps += [f"{path.name}, {gap}" for gap in run.gaps]
    if not runs:
        raise UserError(f"{folder}: no model is finished there yet; start the same command again to go on")
    first, *others = runs.values()
    for other in others:
        if other.experiment.data.fingerprint != first.experiment.data.fingerprint:
            raise UserError(
                f"{first.folder} and {other.folder} are of different data, so they cannot be compared; delete "
                "the folder of one and run again"
            )
    return Baselines(record, runs, tuple(gaps))
