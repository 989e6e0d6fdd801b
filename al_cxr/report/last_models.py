"""The models that a page of a run is about: the fully labelled ones, and those of each arm at its last round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from al_cxr.comparison.finished import Finished
from al_cxr.core.metrics import Metrics
from al_cxr.core.records import BaselineRecord, RoundRecord

BASELINE = "fully-labelled"
"""Name of the fully labelled models, beside those of the arms."""


@dataclass(frozen=True)
class LastModels:
    """An arm at its last round (or the baseline), a record a seed; at least one."""

    label: str
    records: Sequence[BaselineRecord | RoundRecord]

    @property
    def tests(self) -> list[Metrics]:
        return [record.test for record in self.records]


def last_models(finished: Finished) -> dict[str, LastModels]:
    """The baseline and each arm at the last round that a seed of it finished."""
    models = {}
    if finished.baselines:
        models[BASELINE] = LastModels("fully labelled", list(finished.baselines.values()))
    for arm in finished.settings.arms:
        records = finished.last(arm)
        if records:
            models[arm] = LastModels(f"{arm}, round {max(record.round for record in records)}", records)
    return models


def main_arm(finished: Finished) -> str:
    """The arm that a page shows in full: the first that is not random; the others are linked."""
    arms = finished.settings.arms
    return next((name for name, arm in arms.items() if arm.strategy != "random"), next(iter(arms)))
