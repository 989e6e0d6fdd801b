"""Cross-validations read back: every image tested on once, all folds of a model as one test set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.comparison.baselines import Baselines, load_baselines
from al_cxr.comparison.finished import Finished
from al_cxr.core.errors import UserError
from al_cxr.evaluation.ensemble import mean_probs
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.truth import labels_of, load_predicted


@dataclass(frozen=True, eq=False)
class CrossValidations:
    """One or more cross-validations of the same images."""

    folds: Sequence[Baselines]
    """Of all of them, one after the other."""
    count: int
    """Folds of each."""
    groups: Sequence[Group]
    """One a model, a `Predicted` a seed; of several cross-validations also all networks together."""
    images: pd.DataFrame
    """A row a tested image, in the order of the groups, with the number of its `fold`."""


def fold_folders(run: Path) -> list[Path]:
    """The folders RUN-fold1ofK to RUN-foldKofK that `al-cxr baseline --folds` has made; UserError if one is missing."""
    numbered = re.compile(re.escape(run.name) + r"-fold(\d+)of(\d+)")
    found: dict[tuple[int, int], Path] = {}
    for folder in run.parent.glob("*"):
        if match := numbered.fullmatch(folder.name):
            found[int(match[2]), int(match[1])] = folder
    counts = sorted({count for count, _ in found})
    if not counts:
        raise UserError(
            f"{run}: no cross-validation has this name; there is no folder {run}-fold1ofK; "
            "`al-cxr baseline --folds 5` makes one"
        )
    if len(counts) > 1:
        there = " and ".join(f"{run.name}-fold1of{count}" for count in counts)
        raise UserError(f"{run}: two cross-validations have this name, {there}; move the folders of one away")
    count = counts[0]
    if missing := [k for k in range(1, count + 1) if (count, k) not in found]:
        raise UserError(f"{run}: fold {', '.join(map(str, missing))} of {count} is missing; finish it first")
    return [found[count, k] for k in range(1, count + 1)]


def load_cross_validations(validations: Sequence[Sequence[Path]]) -> CrossValidations:
    """Each given as the folders of its folds, in order.

    UserError where a fold lacks a model or a seed that another has, an image was tested on twice, or the
    cross-validations have dealt out their images differently.
    """
    loaded = [_load(folders) for folders in validations]
    groups, tables = [], []
    for folds in loaded:
        for model in folds[0].runs:
            label = model if len(loaded) == 1 else f"{_name(folds)}: {model}"
            group, table = _pool(label, [fold.runs[model] for fold in folds])
            groups.append(group)
            tables.append(table)
    first = tables[0]
    if first["index"].duplicated().any():
        raise UserError(
            f"{validations[0][0].parent}: an image was tested on in two folds, so these are not the folds of one "
            "cross-validation"
        )
    same = ["name", "label", "fold"]
    for group, table in zip(groups, tables, strict=True):
        if not table[same].equals(first[same]):
            raise UserError(
                f"{group.label}: tested on other images, or in other folds, than {groups[0].label}; name "
                "cross-validations of the same images"
            )
    if len(loaded) > 1:
        groups.append(_together(groups))
    return CrossValidations([fold for folds in loaded for fold in folds], len(loaded[0]), groups, first)


def _load(folders: Sequence[Path]) -> list[Baselines]:
    folds = [load_baselines(folder) for folder in folders]
    for folder, fold in zip(folders, folds, strict=True):
        if fold.gaps:
            raise UserError(f"{folder}: {', '.join(fold.gaps)}; finish it first")
        if list(fold.runs) != list(folds[0].runs):
            raise UserError(f"{folder}: its models are not those of the first fold; finish it first")
    return folds


def _name(folds: Sequence[Baselines]) -> str:
    """The cross-validation's, as its run folders have it."""
    return re.sub(r"-fold\d+of\d+$", "", folds[0].record.name).removeprefix("baseline-")


def _pool(label: str, runs: Sequence[Finished]) -> tuple[Group, pd.DataFrame]:
    """A model's predictions of the test sets of all folds, a `Predicted` a seed, and the images' rows in that order,
    with the number of their `fold`."""
    seeds = list(runs[0].baselines)
    tables: list[pd.DataFrame] = []
    parts: dict[int, list[Predicted]] = {seed: [] for seed in seeds}
    for number, run in enumerate(runs, start=1):
        if run.images is None:
            raise UserError(f"{run.folder}: made before runs kept images.csv; run it again")
        if list(run.baselines) != seeds:
            raise UserError(f"{run.folder}: its seeds are not those of the first fold; run this fold again")
        labels_N = labels_of(run.images, run.experiment.data.classes)
        for seed in seeds:
            record = run.baselines[seed]
            index_N, one = load_predicted(run.fit_folder(record.fit), f"seed {seed}", labels_N, record.val, record.test)
            parts[seed].append(one)
        tables.append(run.images.iloc[index_N].assign(fold=number))
    models = []
    for seed, folds in parts.items():
        probs_NC = np.concatenate([fold.probs_NC for fold in folds])
        models.append(Predicted(f"seed {seed}", probs_NC, np.concatenate([fold.labels_N for fold in folds])))
    return Group(label, label, models), pd.concat(tables, ignore_index=True)


def _together(groups: Sequence[Group]) -> Group:
    """All networks as one: the mean of what those of a fold say of its images."""
    networks = [model for group in groups for model in group.models]
    name = f"ensemble of {len(networks)} networks a fold"
    one = Predicted(name, mean_probs([model.probs_NC for model in networks]), groups[0].labels_N)
    return Group(name, name, [one])
