"""The report of a trained model on another data set: table, confusion matrix, every prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.metrics import Metrics
from al_cxr.records import write_atomically
from al_cxr.report import figures
from al_cxr.report.classes import per_class
from al_cxr.report.page import LIMITS, Page
from al_cxr.report.tables import escape


def write_evaluation(
    folder: Path,
    metrics: Metrics,
    names: Sequence[str],
    labels_N: np.ndarray,
    probs_NC: np.ndarray,
    model: str,
    data: str,
    facts: dict[str, str],
    notes: Sequence[str] = (),
) -> Path:
    """README.md, tables/, figures/ and predictions.csv of one model's predictions in `folder`; the path of the page.

    `metrics` are measured on `labels_N` and `probs_NC` (N x C, its classes' order); `names` are the images'; `model`
    and `data` say which (`Dataset.stamp`); `facts` are printed as they are (command, commit, fingerprint, ...);
    `notes` are the data set's warnings.
    """
    if not len(names) == len(labels_N) == len(probs_NC) == metrics.n:
        raise ValueError(f"{len(names)} names, {len(labels_N)} labels, {len(probs_NC)} rows, {metrics.n} measured")
    mark = f"{data} · {metrics.n:,} images · model: {model}"
    page = Page(folder, f"{escape(model)} on {escape(data)}")
    page.add("\n".join(["## Warnings", "", *([f"- {escape(note)}" for note in notes] or ["- None was found."])]))
    lines = [f"- {escape(name)}: {escape(value)}" for name, value in facts.items()]
    page.add("\n".join(["## Where the numbers come from", "", *lines]) if lines else "", LIMITS, "## Results")
    page.table(per_class("per-class", "Class by class", [metrics], mark))
    page.figure(figures.confusion(metrics, "Confusion matrix", mark), "confusion", "Confusion matrix")
    page.add("Every prediction: [predictions.csv](predictions.csv)")

    classes = [c.name for c in metrics.classes]
    predictions = pd.DataFrame({"name": list(names)})
    predictions["true"] = [classes[i] for i in labels_N]
    predictions["predicted"] = [classes[i] for i in probs_NC.argmax(axis=1)]
    for c, name in enumerate(classes):
        predictions[f"p_{name}"] = probs_NC[:, c]
    csv = predictions.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_atomically(folder / "predictions.csv", csv.encode())
    return page.write()
