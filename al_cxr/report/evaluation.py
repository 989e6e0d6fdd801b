"""The report of trained models on another data set: tables, confusion matrices, every prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.metrics import Metrics
from al_cxr.records import write_atomically
from al_cxr.report import figures
from al_cxr.report.classes import always, majority, mean_sd, per_class
from al_cxr.report.page import LIMITS, Page
from al_cxr.report.tables import Column, Table, escape, file_name


@dataclass(frozen=True, eq=False)
class Judged:
    """One model's probabilities (N, C) on the data set, and what they are worth; seeds of one arm share a `group`."""

    group: str
    name: str
    probs_NC: np.ndarray
    metrics: Metrics


def write_evaluation(
    folder: Path,
    judged: Sequence[Judged],
    names: Sequence[str],
    labels_N: np.ndarray,
    data: str,
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Path:
    """README.md, tables/, figures/ and predictions/MODEL.csv in `folder`; the path of the page.

    `names` and `labels_N` are the images' (N), `data` says which they are (`Dataset.stamp`), `facts` are printed as
    they are (command, commit, fingerprint, ...), `notes` are the data set's warnings.
    """
    for one in judged:
        if not len(names) == len(labels_N) == len(one.probs_NC) == one.metrics.n:
            raise ValueError(f"{len(names)} names, {len(labels_N)} labels, {len(one.probs_NC)} rows of {one.name}")
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        groups.setdefault(one.group, []).append(one)
    mark = f"{data} · {len(labels_N):,} images"
    page = Page(folder, f"Tested on {escape(data)}")
    page.add("\n".join(["## Warnings", "", *([f"- {escape(note)}" for note in notes] or ["- None was found."])]))
    lines = [f"- {escape(name)}: {escape(value)}" for name, value in facts.items()]
    page.add("\n".join(["## Where the numbers come from", "", *lines]), LIMITS, "## Results")
    page.table(_overview(groups, mark))
    for group, models in groups.items():
        page.add(f"## {escape(group)}")
        page.table(per_class(f"per-class-{file_name(group)}", "Class by class", [m.metrics for m in models], mark))
        shown = figures.confusion(models[0].metrics, models[0].name, mark)
        page.figure(shown, f"confusion-{file_name(group)}", f"Confusion matrix: {models[0].name}")
        for model in models:
            path = Path("predictions") / f"{file_name(model.name)}.csv"
            _write_predictions(folder / path, model, names, labels_N)
            page.add(f"Every prediction of {escape(model.name)}: [{path.as_posix()}]({path.as_posix()})")
    return page.write()


def _overview(groups: Mapping[str, Sequence[Judged]], mark: str) -> Table:
    """A row a group, mean ± standard deviation over its models, and the majority class's row."""
    first = next(iter(groups.values()))[0].metrics
    answer = majority(first)

    def row(group: str, tests: Sequence[Metrics]) -> dict[str, object]:
        cells: dict[str, object] = {"model": group, "seeds": len(tests)}
        columns: dict[str, list[float | None]] = {
            "accuracy": [t.accuracy for t in tests],
            "macro_f1": [t.macro.f1 for t in tests],
            "roc_auc": [t.roc_auc for t in tests],
            **{f"f1_{c.name}": [t.of(c.name).f1 if c.support else None for t in tests] for c in first.classes},
        }
        for name, values in columns.items():
            cells[name], cells[f"{name}_sd"] = mean_sd(values)
        return cells

    rows = [row(group, [m.metrics for m in models]) for group, models in groups.items()]
    rows.append(row(f"always {answer}", [always(first, answer)]) | {"seeds": np.nan})
    shown = (
        Column("model", "model"),
        Column("accuracy, %", "accuracy", "percent", "accuracy_sd"),
        Column("macro F1, %", "macro_f1", "percent", "macro_f1_sd"),
        *(Column(f"{c.name} F1, %", f"f1_{c.name}", "percent", f"f1_{c.name}_sd") for c in first.classes),
        Column("ROC-AUC", "roc_auc", "area", "roc_auc_sd"),
        Column("seeds", "seeds", "count"),
    )
    notes = ["Mean ± standard deviation over seeds; arms at their last round."]
    if absent := [escape(c.name) for c in first.classes if c.support == 0]:
        notes.append(f"Without an image here, and therefore not in macro F1: {', '.join(absent)}.")
    return Table("models", "All models", pd.DataFrame(rows), shown, mark, tuple(notes))


def _write_predictions(path: Path, model: Judged, names: Sequence[str], labels_N: np.ndarray) -> None:
    classes = [c.name for c in model.metrics.classes]
    frame = pd.DataFrame({"name": list(names)})
    frame["true"] = [classes[i] for i in labels_N]
    frame["predicted"] = [classes[i] for i in model.probs_NC.argmax(axis=1)]
    for c, name in enumerate(classes):
        frame[f"p_{name}"] = model.probs_NC[:, c]
    write_atomically(path, frame.to_csv(index=False, float_format="%.6f", lineterminator="\n").encode())
