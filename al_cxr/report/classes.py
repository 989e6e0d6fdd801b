"""Tables of trained models class by class, as scikit-learn's classification_report has them, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from al_cxr.core.metrics import Metrics
from al_cxr.report.kit.prose import notes
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.trivial import BY_SOURCE, majority, without_model

Row = dict[str, object]


def mean_sd(values: Sequence[float | None]) -> tuple[float, float]:
    """Mean and sample standard deviation over seeds; NaN where there is none (no value; one seed)."""
    known = np.array([v for v in values if v is not None], dtype=np.float64)
    mean = float(known.mean()) if len(known) else np.nan
    return mean, float(known.std(ddof=1)) if len(known) > 1 else np.nan


def over_seeds(values: Mapping[str, Sequence[float | None]]) -> Row:
    """Cells of a frame from the values of each seed: NAME and NAME_sd."""
    row: Row = {}
    for name, of_seeds in values.items():
        row[name], row[f"{name}_sd"] = mean_sd(of_seeds)
    return row


def of_class(metrics: Metrics, name: str, field: str) -> float | None:
    """A figure of one class; None where the test set has no image of it, of which there is nothing to say."""
    found = metrics.of(name)
    value: float | None = getattr(found, field)
    return value if found.support else None


def _report(tests: Sequence[Metrics]) -> dict[str, Row]:
    """Rows of scikit-learn's report, each a mean over models with its standard deviation."""
    fields = ("precision", "recall", "f1", "roc_auc")
    nothing: dict[str, Sequence[float | None]] = dict.fromkeys(fields, ())
    values: dict[str, dict[str, Sequence[float | None]]] = {
        c.name: {field: [of_class(t, c.name, field) for t in tests] for field in fields} for c in tests[0].classes
    }
    values["accuracy"] = nothing | {"f1": [t.accuracy for t in tests]}
    for kind in ("macro", "weighted"):
        values[f"{kind} avg"] = nothing | {f: [getattr(getattr(t, kind), f) for t in tests] for f in fields[:3]}
    values["macro avg"] |= {"roc_auc": [t.roc_auc for t in tests]}
    support = {c.name: c.support for c in tests[0].classes}
    return {
        label: {"support": support.get(label, tests[0].n), "seeds": len(tests)} | over_seeds(of)
        for label, of in values.items()
    }


def per_class(name: str, title: str, tests: Sequence[Metrics], source: Metrics | None = None) -> Table:
    """Precision, recall, F1, support and ROC-AUC of each class, accuracy, macro and weighted average: mean over the
    seeds of `tests` (one test set) with its standard deviation. The last rows need no model: the majority class always
    and, where given, what each `source` mostly holds."""
    answer = majority(tests[0])
    rows = [{"row": label} | row for label, row in _report(tests).items()]
    for what, metrics in without_model(tests[0], source).items():
        named = [c.name for c in metrics.classes] if what == BY_SOURCE else [answer]
        report = _report([metrics])
        for label in (*named, "accuracy", "macro avg"):  # no model, so no seeds
            rows.append({"row": f"{what}: {label}"} | report[label] | {"seeds": np.nan})
    shown = (
        Column("", "row"),
        Column("precision, %", "precision", "percent", "sd"),
        Column("recall, %", "recall", "percent", "sd"),
        Column("F1, %", "f1", "percent", "sd"),
        Column("support", "support", "count"),
        Column("ROC-AUC", "roc_auc", "area", "sd"),
        Column("seeds", "seeds", "count"),
    )
    return Table(name, title, pd.DataFrame(rows), shown, notes("models", "per_class", answer=answer))


def class_accuracy(
    name: str, title: str, models: Mapping[str, Sequence[Metrics]], source: Metrics | None = None
) -> Table:
    """Share of each class's own images that were right, one row a model, and answers that need no model."""
    first = next(iter(models.values()))[0]
    answers = {what: [metrics] for what, metrics in without_model(first, source).items()}
    rows = []
    for model, tests in {**models, **answers}.items():
        values: dict[str, Sequence[float | None]] = {
            f"class_{c.name}": [of_class(t, c.name, "accuracy") for t in tests] for c in first.classes
        }
        values |= {"balanced": [t.balanced_accuracy for t in tests], "accuracy": [t.accuracy for t in tests]}
        rows.append({"model": model, "seeds": len(tests) if model in models else np.nan} | over_seeds(values))
    shown = (
        Column("model", "model"),
        *(Column(f"{c.name}, %", f"class_{c.name}", "percent", "sd") for c in first.classes),
        Column("mean of classes, %", "balanced", "percent", "sd"),
        Column("all images, %", "accuracy", "percent", "sd"),
        Column("seeds", "seeds", "count"),
    )
    return Table(name, title, pd.DataFrame(rows), shown, notes("models", "class_accuracy", classes=first.classes))
