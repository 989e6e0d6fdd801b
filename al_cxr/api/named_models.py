"""The models that an external test is asked for: those of runs, and bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_cxr.bundles import evaluate as bundled
from al_cxr.bundles.bundling import usual_of
from al_cxr.bundles.folder import is_bundle
from al_cxr.core.errors import UserError
from al_cxr.data.quality.usual import Usual
from al_cxr.data.store import PixelStore
from al_cxr.evaluation.operating import Goal, goal_from
from al_cxr.experiment import external_test as external
from al_cxr.experiment import seen
from al_cxr.experiment.fits import ModelCard
from al_cxr.models.adaptation import CANNOT


@dataclass(frozen=True)
class NamedModels:
    """The models that are tested: those of runs, and bundles."""

    runs: list[Path]
    single: list[external.Named]
    bundles: list[bundled.NamedBundle]

    @property
    def cards(self) -> list[ModelCard]:
        """One each; at least one."""
        return [m.fit.model_card() for m in self.single] + [named.bundle.fits[0].model_card() for named in self.bundles]

    @property
    def frozen(self) -> list[bool]:
        """Which of the runs' models have a head that can be adapted."""
        return [model.fit.model_card().tune == "frozen" for model in self.single]

    @property
    def target(self) -> str | None:
        """The class that the first model is about; None of a fit that was taken out of its run."""
        if not self.single:
            return self.bundles[0].bundle.record.target
        run = self.single[0].run
        return external.target_of(run) if run else None

    @property
    def goal(self) -> Goal | None:
        """What the first bundle's threshold was made for."""
        return next((goal_from(named.bundle.record.decision.goal) for named in self.bundles), None)

    @property
    def usual(self) -> dict[str, Usual | None]:
        """What the training images of each run and bundle look like, by its name."""
        runs = {str(m.run): m.run for m in self.single if m.run is not None}
        return {name: usual_of([run]) for name, run in runs.items()} | {
            named.name: named.bundle.usual for named in self.bundles
        }

    def seen(self) -> frozenset[str]:
        return external.seen_by(self.single).union(*(named.bundle.seen for named in self.bundles))


def find_named(folders: Sequence[Path], out: Path | None, adapt: bool) -> NamedModels:
    """The models in these folders; UserError where they cannot be tested together, or not in this way."""
    bundles = bundled.find_bundles([folder for folder in folders if is_bundle(folder)])
    runs = [folder for folder in folders if not is_bundle(folder)]
    models = NamedModels(runs, external.find_all(runs) if runs else [], bundles)
    if out is None and len(folders) > 1:
        raise UserError("--out: several models were named; name the folder of the report too")
    if out is None and bundles:
        raise UserError("--out: nothing may be added to a bundle; name another folder for the report")
    if adapt and not any(models.frozen):
        own = "; a bundle is adapted by `al-cxr adapt`, and then named here beside the first" if bundles else ""
        raise UserError(f"--adapt: {CANNOT}{own}")
    first = models.cards[0].classes
    for named in bundles:
        classes = named.bundle.record.classes
        if classes != first:
            what = f"its classes are {', '.join(classes)}, those of the first model {', '.join(first)}"
            raise UserError(f"{named.name}: {what}; evaluate them one by one")
    return models


def warnings_of(
    models: NamedModels, store: PixelStore, known_N: Mapping[Path | None, np.ndarray | None], goal: Goal
) -> list[str]:
    """What has to be known before any figure: images that the models have seen, and thresholds that are missing."""
    notes = []
    if known := seen.count(store, models.seen()):
        notes.append(f"{known:,} of {len(store.digests):,} images trained or chose the models: no external test")
    if any(labels is None for labels in known_N.values()):
        notes.append("the models' own validation labels cannot be read: neither a temperature nor a threshold")
    for named in models.bundles:
        made = named.bundle.record.decision.goal
        if made != str(goal):
            notes.append(
                f"{named.name} was made for {made}, and is judged here at the threshold for {goal}: `predict` has "
                "another one"
            )
    for named in models.bundles:
        if named.bundle.validation is None:
            notes.append(
                f"{named.name} holds no validation answers, as older bundles do: no threshold; make it anew with "
                "al-cxr bundle"
            )
    return notes
