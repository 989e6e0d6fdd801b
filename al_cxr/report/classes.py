"""Tables of trained models class by class, as scikit-learn's classification_report has them, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from al_cxr.core.metrics import Metrics, measure
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape


def always(test: Metrics, answer: str) -> Metrics:
    """What the answer `answer` for every image scores on the test set of `test`."""
    names = tuple(c.name for c in test.classes)
    labels_N = np.repeat(np.arange(len(names)), [c.support for c in test.classes])
    return measure(np.tile(np.eye(len(names))[names.index(answer)], (len(labels_N), 1)), labels_N, names)


def majority(test: Metrics) -> str:
    """The most frequent class of the test set; of equals, the first."""
    return max(test.classes, key=lambda c: c.support).name


def mean_sd(values: Sequence[float | None]) -> tuple[float, float]:
    """Mean and sample standard deviation over seeds; NaN where there is none (no value; one seed)."""
    known = np.array([v for v in values if v is not None], dtype=np.float64)
    return float(known.mean()) if len(known) else np.nan, float(known.std(ddof=1)) if len(known) > 1 else np.nan


def of_class(metrics: Metrics, name: str, field: str) -> float | None:
    """A figure of one class; None where the test set has no image of it, of which there is nothing to say."""
    found = metrics.of(name)
    value: float | None = getattr(found, field)
    return value if found.support else None


def _report(tests: Sequence[Metrics]) -> dict[str, dict[str, object]]:
    """Rows of scikit-learn's report, each a mean over models with its standard deviation."""
    first, fields = tests[0], ("precision", "recall", "f1", "roc_auc")

    def row(support: int, **values: Sequence[float | None]) -> dict[str, object]:
        cells: dict[str, object] = {"support": support, "seeds": len(tests)}
        for name in fields:
            cells[name], cells[f"{name}_sd"] = mean_sd(values.get(name, ()))
        return cells

    rows = {
        c.name: row(c.support, **{field: [of_class(t, c.name, field) for t in tests] for field in fields})
        for c in first.classes
    }
    rows["accuracy"] = row(first.n, f1=[t.accuracy for t in tests])
    for kind in ("macro", "weighted"):
        values = {name: [getattr(getattr(t, kind), name) for t in tests] for name in fields[:3]}
        area = {"roc_auc": [t.roc_auc for t in tests]} if kind == "macro" else {}
        rows[f"{kind} avg"] = row(first.n, **values, **area)
    return rows


def per_class(name: str, title: str, tests: Sequence[Metrics], source: Metrics | None = None) -> Table:
    """Precision, recall, F1, support and ROC-AUC of each class, accuracy, macro and weighted average: mean over the
    seeds of `tests` (one test set) with its standard deviation. The last rows need no model: the majority class always
    and, where given, what each `source` mostly holds."""
    answer = majority(tests[0])
    rows = [{"row": label, **row} for label, row in _report(tests).items()]
    answers = {f"always {answer}": (always(tests[0], answer), [answer])}
    if source is not None:
        answers["predict the source"] = source, [c.name for c in source.classes]
    for what, (metrics, named) in answers.items():
        trivial = _report([metrics])
        for label in (*named, "accuracy", "macro avg"):  # no model, so no seeds
            rows.append({"row": f"{what}: {label}", **trivial[label], "seeds": np.nan})
    shown = (
        Column("", "row"),
        Column("precision, %", "precision", "percent", "sd"),
        Column("recall, %", "recall", "percent", "sd"),
        Column("F1, %", "f1", "percent", "sd"),
        Column("support", "support", "count"),
        Column("ROC-AUC", "roc_auc", "area", "sd"),
        Column("seeds", "seeds", "count"),
    )
    notes = (
        "Mean ± standard deviation over seeds; accuracy stands in the F1 column, as in scikit-learn's report.",
        f"ROC-AUC is one class against the rest. *always {escape(answer)}* answers the test set's majority class for "
        "every image: what no model should be below.",
    )
    return Table(name, title, pd.DataFrame(rows), shown, notes)


def class_accuracy(
    name: str, title: str, models: Mapping[str, Sequence[Metrics]], source: Metrics | None = None
) -> Table:
    """Share of each class's own images that were right, one row a model, and answers that need no model."""
    first = next(iter(models.values()))[0]
    classes = [c.name for c in first.classes]
    answer = majority(first)
    rows = []
    trivial = {f"always {answer}": [always(first, answer)]}
    if source is not None:
        trivial["predict the source"] = [source]
    for model, tests in {**models, **trivial}.items():
        row: dict[str, object] = {"model": model, "seeds": len(tests) if model in models else np.nan}
        for c in classes:
            row[f"class_{c}"], row[f"class_{c}_sd"] = mean_sd([of_class(t, c, "accuracy") for t in tests])
        row["balanced"], row["balanced_sd"] = mean_sd([t.balanced_accuracy for t in tests])
        row["accuracy"], row["accuracy_sd"] = mean_sd([t.accuracy for t in tests])
        rows.append(row)
    shown = (
        Column("model", "model"),
        *(Column(f"{c}, %", f"class_{c}", "percent", "sd") for c in classes),
        Column("mean of classes, %", "balanced", "percent", "sd"),
        Column("all images, %", "accuracy", "percent", "sd"),
        Column("seeds", "seeds", "count"),
    )
    sizes = ", ".join(f"{escape(c.name)} {c.support:,}" for c in first.classes)
    return Table(name, title, pd.DataFrame(rows), shown, (f"Images of the test set: {sizes}.",))
