"""The report of cross-validations: every image tested on once, all folds as one test set and each by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.comparison.baselines import Baselines, load_baselines
from al_cxr.comparison.finished import Finished
from al_cxr.core import enough, provenance
from al_cxr.core.errors import UserError
from al_cxr.core.metrics import measure
from al_cxr.data.folds import NOTE
from al_cxr.evaluation.ensemble import mean_probs
from al_cxr.evaluation.intervals import clusters
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign
from al_cxr.evaluation.truth import labels_of, load_predicted
from al_cxr.report.classes import mean_sd
from al_cxr.report.evaluation_tables import performance_table
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape, file_name
from al_cxr.report.origin import LIMITS, name_of, warnings


def fold_folders(run: Path) -> list[Path]:
    """The folders RUN-fold1ofK to RUN-foldKofK that `al-cxr baseline --folds` has made; UserError if one is missing."""
    numbered = re.compile(re.escape(run.name) + r"-fold(\d+)of(\d+)")
    found = {(int(m[2]), int(m[1])): f for f in run.parent.glob("*") if (m := numbered.fullmatch(f.name))}
    counts = {folds for folds, _ in found}
    if len(counts) != 1:
        if not counts:
            raise UserError(f"{run}: no cross-validation has this name; there is no folder {run}-fold1ofK")
        there = " and ".join(f"{run.name}-fold1of{folds}" for folds in sorted(counts))
        raise UserError(f"{run}: two cross-validations have this name, {there}; move the folders of one away")
    folds = counts.pop()
    if missing := [k for k in range(1, folds + 1) if (folds, k) not in found]:
        raise UserError(f"{run}: fold {', '.join(map(str, missing))} of {folds} is missing; finish it first")
    return [found[folds, k] for k in range(1, folds + 1)]


def write_folds_report(validations: Sequence[Sequence[Path]], results_dir: Path) -> Path:
    """README.md and tables of one or more cross-validations of the same images, each the folders of its folds in order;
    several also as one ensemble. The path of the page.

    UserError where a fold lacks a model or a seed that another has, an image was tested on twice, or the
    cross-validations have dealt out their images differently.
    """
    loaded = [_loaded(folders) for folders in validations]
    every = [fold for folds in loaded for fold in folds]
    record, folds = every[0].first.experiment, len(loaded[0])
    notes = list(dict.fromkeys(n for fold in every for run in fold.runs.values() for n in run.experiment.data.notes))
    pooled = [
        _pooled(f"{_name(done)}: " * (len(loaded) > 1) + model, [fold.runs[model] for fold in done])
        for done in loaded
        for model in done[0].runs
    ]
    groups, table = [group for group, _ in pooled], pooled[0][1]
    if table["index"].duplicated().any():
        raise UserError(
            f"{validations[0][0].parent}: an image was tested on in two folds, so these are not the folds of one "
            "cross-validation"
        )
    for group, other in pooled[1:]:
        if not other[["name", "label", "fold"]].equals(table[["name", "label", "fold"]]):
            raise UserError(
                f"{group.label}: tested on other images, or in other folds, than {groups[0].label}; name "
                "cross-validations of the same images"
            )
    fold_N = table["fold"].to_numpy()
    # What is said of single folds is not said of all together.
    notes = [note for note in notes if not note.startswith((NOTE, enough.PREFIX))]
    classes, labels = record.data.classes, table["label"].tolist()
    notes += enough.of_split("test", {name: labels.count(name) for name in classes}, "all folds together")
    data = record.data.model_copy(update={"notes": notes})
    if len(validations) > 1:
        groups.append(_together(groups))
    most = max(len(group.models) for group in groups)
    plural = f"{most} seed{'s' * (most != 1)}"
    mark = f"{name_of(data)} · {len(table):,} images · {plural}"
    page = Page(results_dir, f"{escape(results_dir.name)}: {folds}-fold cross-validation on {escape(data.name)}", mark)
    page.add(warnings(data, record.commit, most, []))
    page.add("## Where the numbers come from", f"    {' '.join(provenance.command().split())}")
    page.facts(
        {
            "commit": ", ".join(dict.fromkeys(fold.first.experiment.commit for fold in every)),
            "seeds": ", ".join(map(str, every[0].seeds)),
            "data set": mark,
            "attribution": data.attribution or "none given",
            "versions": ", ".join(f"{package} {version}" for package, version in record.versions.items()),
        }
    )
    page.add(LIMITS, "## Results")
    patients = clusters(table["patient_id"].fillna("").astype(str).tolist())
    study = StudyDesign(data.classes, None, clusters_N=patients)
    page.table(performance_table(groups, study, "models", "All folds as one test set"))
    known = (table["patient_id"].fillna("") != "").all()
    page.add(
        f"Each image was tested on once, by models that have not seen {'its patient' if known else 'it'}"
        f"{'' if known else ' (patients are not known, or not all)'}. The ROC-AUC ranks the images of all "
        "folds together, although other models scored them: that of single folds is a little higher as a rule."
    )
    page.table(_by_fold(groups, fold_N, tuple(data.classes)))
    return page.write()


def _loaded(folders: Sequence[Path]) -> list[Baselines]:
    folds = [load_baselines(folder) for folder in folders]
    for folder, fold in zip(folders, folds, strict=True):
        if fold.gaps or list(fold.runs) != list(folds[0].runs):
            raise UserError(
                f"{folder}: {', '.join(fold.gaps) or 'its models are not those of the first fold'}; finish it first"
            )
    return folds


def _name(folds: Sequence[Baselines]) -> str:
    """The cross-validation's, as its run folders have it."""
    return re.sub(r"-fold\d+of\d+$", "", folds[0].record.name).removeprefix("baseline-")


def _pooled(label: str, runs: Sequence[Finished]) -> tuple[Group, pd.DataFrame]:
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
    whole = [
        Predicted(
            f"seed {seed}", np.concatenate([p.probs_NC for p in some]), np.concatenate([p.labels_N for p in some])
        )
        for seed, some in parts.items()
    ]
    return Group(file_name(label), label, whole), pd.concat(tables, ignore_index=True)


def _together(groups: Sequence[Group]) -> Group:
    """All networks as one: the mean of what those of a fold say of its images."""
    networks = [model for group in groups for model in group.models]
    name = f"ensemble of {len(networks)} networks a fold"
    one = Predicted(name, mean_probs([model.probs_NC for model in networks]), groups[0].labels_N)
    return Group(file_name(name), name, [one])


def _by_fold(groups: Sequence[Group], fold_N: np.ndarray, classes: tuple[str, ...]) -> Table:
    """A row a model and fold, the mean over seeds, and a row for the mean over folds."""
    rows: list[dict[str, object]] = []
    for group in groups:
        means: list[tuple[float, float]] = []
        for number in np.unique(fold_N):
            in_N = fold_N == number
            tests = [measure(m.probs_NC[in_N], m.labels_N[in_N], classes) for m in group.models]
            accuracy, area = mean_sd([t.accuracy for t in tests]), mean_sd([t.roc_auc for t in tests])
            means.append((accuracy[0], area[0]))
            row = {"model": group.label, "fold": str(number), "images": tests[0].n}
            row |= {"accuracy": accuracy[0], "accuracy_sd": accuracy[1], "roc_auc": area[0], "roc_auc_sd": area[1]}
            rows.append(row)
        row = {"model": group.label, "fold": "mean of folds", "images": len(fold_N)}
        row["accuracy"], row["accuracy_sd"] = mean_sd([accuracy for accuracy, _ in means])
        row["roc_auc"], row["roc_auc_sd"] = mean_sd([area for _, area in means])
        rows.append(row)
    shown = (
        Column("model", "model"),
        Column("fold", "fold"),
        Column("test images", "images", "count"),
        Column("accuracy, %", "accuracy", "percent", "sd"),
        Column("ROC-AUC", "roc_auc", "area", "sd"),
    )
    notes = ("Mean ± standard deviation over the seeds of a fold; in the last row over folds.",)
    return Table("folds", "Fold by fold", pd.DataFrame(rows), shown, notes)
