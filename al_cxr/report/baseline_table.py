"""One table of fully labelled models: measured here, published by others, and what could not be built here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from al_cxr.comparison.baselines import Baselines
from al_cxr.config import Figures, Publication
from al_cxr.core.metrics import Metrics
from al_cxr.report.classes import always, majority, mean_sd, of_class
from al_cxr.report.kit.numbers import Kind
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape
from al_cxr.report.trivial import by_source

FIELDS = ("precision", "recall", "f1")
TITLES = {"precision": "precision", "recall": "recall", "f1": "F1"}

Row = dict[str, object]


def models_table(found: Baselines) -> Table:
    """One row a model: test metrics (mean ± standard deviation over seeds) with what others published of it beside
    each, parameters, seconds of training. Below them models that could not be built, and answers that need no model."""
    runs = found.runs
    test = next(iter(found.first.baselines.values())).test
    classes = [c.name for c in test.classes]
    published = {n: p for n, p in found.record.published.items() if set(p.classes()) <= set(classes)}

    rows: list[Row] = []
    for name, run in runs.items():
        done = list(run.baselines.values())
        fit = run.fit(done[0].fit)
        row: Row = {"model": name, "arch": fit.arch, "seeds": len(done)} | _measured([b.test for b in done])
        row |= _stated(name, published) | {"labels": fit.n_labelled, "parameters": fit.parameters}
        seconds = [t.train for t in run.baseline_timings.values()]
        row["train_s"], row["train_s_sd"] = mean_sd([s for s in seconds if s == s])
        rows.append(row)
    for name, why in found.unavailable.items():
        rows.append({"model": name, "seeds": np.nan, "unavailable": why} | _stated(name, published))
    answers = {f"always {majority(test)}": always(test, majority(test))}
    if (told := by_source(found.first)) is not None:
        answers["predict the source"] = told
    rows += [{"model": name, "seeds": np.nan} | _measured([metrics]) for name, metrics in answers.items()]

    frame = pd.DataFrame(rows)
    shown = [Column("model", "model")]
    for key, (title, kind) in _titles(classes).items():
        shown.append(Column(title, key, kind, "sd"))
        shown += [Column(f"{title} ({p})", _of(key, p), kind) for p in published if _of(key, p) in frame]
    shown += [
        Column("parameters", "parameters", "count"),
        Column("training, s", "train_s", "seconds", "sd"),
        Column("seeds", "seeds", "count"),
    ]
    beside = [p for p in published if any(column.value.endswith(_of("", p)) for column in shown)]
    return Table("models", "Fully labelled models", frame, tuple(shown), tuple(_notes(found, beside)))


def _titles(classes: Sequence[str]) -> dict[str, tuple[str, Kind]]:
    """What is shown of a model: key in the frame -> heading and unit, in the order of the columns."""
    whole: dict[str, tuple[str, Kind]] = {
        "accuracy": ("accuracy, %", "percent"),
        "roc_auc": ("ROC-AUC", "area"),
        "macro_f1": ("macro F1, %", "percent"),
    }
    return whole | {f"{f}_{c}": (f"{c} {TITLES[f]}, %", "percent") for c in classes for f in FIELDS}


def _measured(tests: Sequence[Metrics]) -> Row:
    """The mean of every metric over seeds, and its standard deviation."""
    values: dict[str, list[float | None]] = {
        "accuracy": [t.accuracy for t in tests],
        "roc_auc": [t.roc_auc for t in tests],
        "macro_f1": [t.macro.f1 for t in tests],
        "weighted_f1": [t.weighted.f1 for t in tests],
    }
    values |= {f"{f}_{c.name}": [of_class(t, c.name, f) for t in tests] for c in tests[0].classes for f in FIELDS}
    row: Row = {}
    for key, of_seeds in values.items():
        row[key], row[f"{key}_sd"] = mean_sd(of_seeds)
    return row


def _stated(model: str, published: dict[str, Publication]) -> Row:
    """What others say of a model, under the keys of what was measured."""
    row: Row = {}
    for name, publication in published.items():
        figures = publication.models.get(model, Figures())
        values = figures.model_dump(exclude={"classes"})
        values |= {f"{f}_{c}": value for c, of_class in figures.classes.items() for f, value in of_class}
        row |= {_of(key, name): value for key, value in values.items() if value is not None}
    return row


def _of(key: str, publication: str) -> str:
    return f"{key} ({publication})"


def _notes(found: Baselines, beside: Sequence[str]) -> list[str]:
    """What has to be said below the table; `beside` are the publications that have a column."""
    notes = [
        "Mean ± standard deviation over seeds. ROC-AUC is the mean of the classes, each against the rest; with two "
        "classes that is the area of either. Answers that need no model stand at the end."
    ]
    notes += [f"({escape(name)}): {escape(found.record.published[name].reference)}" for name in beside]
    notes += [f"{escape(name)} could not be built here. {escape(why)}" for name, why in found.unavailable.items()]
    return notes
