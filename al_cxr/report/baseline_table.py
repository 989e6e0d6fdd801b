"""One table of fully labelled models: measured here, published by others, and what could not be built here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from al_cxr.comparison.baselines import Baselines
from al_cxr.config import Figures, Publication
from al_cxr.core.metrics import Metrics
from al_cxr.report.classes import Row, of_class, over_seeds
from al_cxr.report.kit.numbers import Kind
from al_cxr.report.kit.prose import notes
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.trivial import by_source, without_model

FIELDS = ("precision", "recall", "f1")
TITLES = {"precision": "precision", "recall": "recall", "f1": "F1"}


def models_table(found: Baselines) -> Table:
    """One row a model: test metrics (mean ± standard deviation over seeds) with what others published of it beside
    each, parameters, seconds of training. Below them models that could not be built, and answers that need no model."""
    test = next(iter(found.first.baselines.values())).test
    classes = [c.name for c in test.classes]
    published = {n: p for n, p in found.record.published.items() if set(p.classes()) <= set(classes)}
    rows: list[Row] = []
    for name, run in found.runs.items():
        done = list(run.baselines.values())
        fit = run.fit(done[0].fit)
        row: Row = {"model": name, "arch": fit.arch, "seeds": len(done)} | _measured([b.test for b in done])
        row |= _stated(name, published) | {"labels": fit.n_labelled, "parameters": fit.parameters}
        seconds = [timing.train for timing in run.baseline_timings.values() if not math.isnan(timing.train)]
        rows.append(row | over_seeds({"train_s": seconds}))
    for name, why in found.unavailable.items():
        rows.append({"model": name, "seeds": np.nan, "unavailable": why} | _stated(name, published))
    answers = without_model(test, by_source(found.first))
    rows += [{"model": name, "seeds": np.nan} | _measured([metrics]) for name, metrics in answers.items()]

    frame = pd.DataFrame(rows)
    shown, beside = [Column("model", "model")], {}
    for key, (title, kind) in _titles(classes).items():
        shown.append(Column(title, key, kind, "sd"))
        for name, publication in published.items():
            if _of(key, name) in frame:
                shown.append(Column(f"{title} ({name})", _of(key, name), kind))
                beside[name] = publication.reference
    shown += [
        Column("parameters", "parameters", "count"),
        Column("training, s", "train_s", "seconds", "sd"),
        Column("seeds", "seeds", "count"),
    ]
    remarks = notes("models", "models", published=beside, unavailable=found.unavailable)
    return Table("models", "Fully labelled models", frame, tuple(shown), remarks)


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
    values: dict[str, Sequence[float | None]] = {
        "accuracy": [t.accuracy for t in tests],
        "roc_auc": [t.roc_auc for t in tests],
        "macro_f1": [t.macro.f1 for t in tests],
        "weighted_f1": [t.weighted.f1 for t in tests],
    }
    values |= {f"{f}_{c.name}": [of_class(t, c.name, f) for t in tests] for c in tests[0].classes for f in FIELDS}
    return over_seeds(values)


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
