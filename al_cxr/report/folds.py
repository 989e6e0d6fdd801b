"""The report of cross-validations: all folds as one test set, and each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.comparison.cross_validation import CrossValidations, load_cross_validations
from al_cxr.core import enough, provenance
from al_cxr.core.metrics import Metrics, measure
from al_cxr.core.records import DataCard
from al_cxr.data.folds import NOTE
from al_cxr.evaluation.intervals import clusters
from al_cxr.evaluation.predicted import Group
from al_cxr.evaluation.study import StudyDesign
from al_cxr.report.classes import Row, over_seeds
from al_cxr.report.evaluation_tables import performance_table
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.prose import notes, paragraph
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape
from al_cxr.report.origin import LIMITS, name_of, warnings


def write_folds_report(validations: Sequence[Sequence[Path]], results_dir: Path) -> Path:
    """README.md and tables of one or more cross-validations of the same images, each the folders of its folds in order;
    several also as one ensemble. The path of the page. UserError as in `load_cross_validations`."""
    found = load_cross_validations(validations)
    record, images, groups = found.folds[0].first.experiment, found.images, found.groups
    data = _card(found)
    seeds = max(len(group.models) for group in groups)
    stamp = f"{name_of(data)} · {len(images):,} images · {seeds} seed{'' if seeds == 1 else 's'}"
    title = f"{escape(results_dir.name)}: {found.count}-fold cross-validation on {escape(data.name)}"
    page = Page(results_dir, title, stamp)
    page.add(warnings(data, record.commit, seeds, []))
    page.add("## Where the numbers come from", f"    {' '.join(provenance.command().split())}")
    page.facts(
        {
            "commit": ", ".join(dict.fromkeys(fold.first.experiment.commit for fold in found.folds)),
            "seeds": ", ".join(map(str, found.folds[0].seeds)),
            "data set": stamp,
            "attribution": data.attribution or "none given",
            "versions": ", ".join(f"{package} {version}" for package, version in record.versions.items()),
        }
    )
    page.add(LIMITS, "## Results")
    patients = images["patient_id"].fillna("").astype(str).tolist()
    study = StudyDesign(data.classes, None, clusters_N=clusters(patients))
    page.table(performance_table(groups, study, "models", "All folds as one test set"))
    page.add(paragraph("models", "pooled", patients_known="" not in patients))
    page.table(_by_fold(groups, images["fold"].to_numpy(), tuple(data.classes)))
    return page.write()


def _card(found: CrossValidations) -> DataCard:
    """The data set's, with the notes that are true of all folds together."""
    data, labels = found.folds[0].first.experiment.data, found.images["label"].tolist()
    every = [note for fold in found.folds for run in fold.runs.values() for note in run.experiment.data.notes]
    remarks = [note for note in dict.fromkeys(every) if not note.startswith((NOTE, enough.PREFIX))]
    remarks += enough.of_split("test", {name: labels.count(name) for name in data.classes}, "all folds together")
    return data.model_copy(update={"notes": remarks})


def _by_fold(groups: Sequence[Group], fold_N: np.ndarray, classes: tuple[str, ...]) -> Table:
    """A row a model and fold, the mean over seeds, and a row for the mean over folds."""
    rows: list[Row] = []
    for group in groups:
        folds: list[Row] = []
        for number in np.unique(fold_N):
            in_N = fold_N == number
            tests = [measure(model.probs_NC[in_N], model.labels_N[in_N], classes) for model in group.models]
            folds.append({"model": group.label, "fold": str(number), "images": tests[0].n} | _over_seeds(tests))
        means: Row = {"model": group.label, "fold": "mean of folds", "images": len(fold_N)}
        frame = pd.DataFrame(folds)
        means |= over_seeds({name: frame[name].tolist() for name in ("accuracy", "roc_auc")})
        rows += [*folds, means]
    shown = (
        Column("model", "model"),
        Column("fold", "fold"),
        Column("test images", "images", "count"),
        Column("accuracy, %", "accuracy", "percent", "sd"),
        Column("ROC-AUC", "roc_auc", "area", "sd"),
    )
    return Table("folds", "Fold by fold", pd.DataFrame(rows), shown, notes("models", "folds"))


def _over_seeds(tests: Sequence[Metrics]) -> Row:
    return over_seeds({"accuracy": [test.accuracy for test in tests], "roc_auc": [test.roc_auc for test in tests]})
