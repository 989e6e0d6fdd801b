"""The report of a cross-validation: every image tested on once, all folds as one test set and each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr import provenance
from al_cxr.comparison.baselines import Baselines, load_baselines
from al_cxr.comparison.finished import Finished
from al_cxr.data.folds import NOTE
from al_cxr.errors import UserError
from al_cxr.report.classes import mean_sd
from al_cxr.report.page import LIMITS, Page, warnings
from al_cxr.report.tables import Column, Table, escape, file_name
from al_cxr.report.trust_tables import performance_table
from al_cxr.trust.intervals import clusters
from al_cxr.trust.predicted import Group, Predicted
from al_cxr.trust.trial import Trial
from al_cxr.trust.truth import labels_of, predicted


def write_folds_report(folders: Sequence[Path], results_dir: Path, name: str) -> Path:
    """README.md and tables of the folds of `al-cxr baseline --folds`, a folder each; the path of the page.

    UserError where a fold lacks a model or a seed that another has, or an image was tested on twice.
    """
    folds = [load_baselines(folder) for folder in folders]
    for folder, fold in zip(folders, folds, strict=True):
        if fold.gaps or list(fold.runs) != list(folds[0].runs):
            raise UserError(
                f"{folder}: {', '.join(fold.gaps) or 'other models than in the first fold'}; finish it first"
            )
    record, seeds = folds[0].first.experiment, folds[0].seeds
    notes = dict.fromkeys(n for fold in folds for run in fold.runs.values() for n in run.experiment.data.notes)
    data = record.data.model_copy(update={"notes": [note for note in notes if not note.startswith(NOTE)]})
    tested = {model: _pooled([fold.runs[model] for fold in folds], seeds) for model in folds[0].runs}
    table = next(iter(tested.values()))[1]
    if table["index"].duplicated().any():
        raise UserError(f"{folders[0].parent}: an image was tested on in two folds; are these of one cross-validation?")
    plural = f"{len(seeds)} seed{'s' * (len(seeds) != 1)}"
    mark = f"{data.name}{' (synthetic: no patient was imaged)' * data.synthetic} · {len(table):,} images · {plural}"
    page = Page(results_dir, f"{escape(name)}: {len(folds)}-fold cross-validation on {escape(data.name)}")
    page.add(warnings(data, record.commit, len(seeds), []))
    page.add("## Where the numbers come from", f"    {' '.join(provenance.command().split())}")
    page.facts(
        {
            "commit": ", ".join(dict.fromkeys(fold.first.experiment.commit for fold in folds)),
            "seeds": ", ".join(map(str, seeds)),
            "data set": mark,
            "attribution": data.attribution or "none given",
            "versions": ", ".join(f"{package} {version}" for package, version in record.versions.items()),
        }
    )
    page.add(LIMITS, "## Results")
    patients = clusters(table["patient_id"].fillna("").astype(str).tolist())
    groups = [group for group, _ in tested.values()]
    trial = Trial(data.classes, None, mark, clusters_N=patients)
    page.table(performance_table(groups, trial, "models", "All folds as one test set"))
    known = (table["patient_id"].fillna("") != "").all()
    page.add(
        f"Each image was tested on once, by models that have not seen {'its patient' if known else 'it'}"
        f"{'' if known else ' (patients are not known, or not all)'}. The ROC-AUC ranks the images of all "
        "folds together, although other models scored them: that of single folds is a little higher as a rule."
    )
    page.table(_by_fold(folds, mark))
    return page.write()


def _pooled(runs: Sequence[Finished], seeds: Sequence[int]) -> tuple[Group, pd.DataFrame]:
    """A model's predictions of the test sets of all folds, a `Predicted` a seed, and the images' rows in that order."""
    tables: list[pd.DataFrame] = []
    parts: dict[int, list[Predicted]] = {seed: [] for seed in seeds}
    for run in runs:
        if run.images is None:
            raise UserError(f"{run.folder}: made before runs kept images.csv; run it again")
        labels_N = labels_of(run.images, run.experiment.data.classes)
        for seed in seeds:
            record = run.baselines[seed]
            index_N, one = predicted(run.fit_folder(record.fit), f"seed {seed}", labels_N, record.val, record.test)
            parts[seed].append(one)
        tables.append(run.images.iloc[index_N])
    whole = [
        Predicted(
            f"seed {seed}", np.concatenate([p.probs_NC for p in some]), np.concatenate([p.labels_N for p in some])
        )
        for seed, some in parts.items()
    ]
    label = runs[0].folder.name
    return Group(file_name(label), label, whole), pd.concat(tables, ignore_index=True)


def _by_fold(folds: Sequence[Baselines], mark: str) -> Table:
    """A row a model and fold, the mean over seeds, and a row for the mean over folds."""
    rows: list[dict[str, object]] = []
    for model in folds[0].runs:
        of_folds = [[b.test for b in fold.runs[model].baselines.values()] for fold in folds]
        means = [(mean_sd([t.accuracy for t in tests]), mean_sd([t.roc_auc for t in tests])) for tests in of_folds]
        for number, (tests, (accuracy, area)) in enumerate(zip(of_folds, means, strict=True), start=1):
            row = {"model": model, "fold": str(number), "images": tests[0].n}
            row |= {"accuracy": accuracy[0], "accuracy_sd": accuracy[1], "roc_auc": area[0], "roc_auc_sd": area[1]}
            rows.append(row)
        row = {"model": model, "fold": "mean of folds", "images": sum(tests[0].n for tests in of_folds)}
        row["accuracy"], row["accuracy_sd"] = mean_sd([accuracy[0] for accuracy, _ in means])
        row["roc_auc"], row["roc_auc_sd"] = mean_sd([area[0] for _, area in means])
        rows.append(row)
    shown = (
        Column("model", "model"),
        Column("fold", "fold"),
        Column("test images", "images", "count"),
        Column("accuracy, %", "accuracy", "percent", "accuracy_sd"),
        Column("ROC-AUC", "roc_auc", "area", "roc_auc_sd"),
    )
    notes = ("Mean ± standard deviation over the seeds of a fold; in the last row over folds.",)
    return Table("folds", "Fold by fold", pd.DataFrame(rows), shown, mark, notes)
