"""Classification metrics of one model on one split, as plain numbers that go into a record."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score


class ClassMetrics(BaseModel):
    """One class against the rest, each in 0..1. `accuracy` is the share of the class's own images that were right."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    precision: float
    recall: float
    f1: float
    support: int
    accuracy: float
    roc_auc: float | None
    """None where the split lacks the class or has no other."""


class Average(BaseModel):
    """Macro (unweighted) or weighted (by support) mean over the classes that the split has images of."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    precision: float
    recall: float
    f1: float


class Metrics(BaseModel):
    """All that a table says of a model on a split. `confusion[i][j]`: images of true class i predicted as j."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    n: int
    accuracy: float
    balanced_accuracy: float
    classes: list[ClassMetrics]
    macro: Average
    weighted: Average
    roc_auc: float | None
    """Mean of the per-class one-vs-rest areas."""
    log_loss: float
    """Mean negative log-likelihood of the true class, in nats."""
    confusion: list[list[int]]

    def of(self, name: str) -> ClassMetrics:
        return next(c for c in self.classes if c.name == name)


def measure(probs_NC: np.ndarray, labels_N: np.ndarray, classes: tuple[str, ...]) -> Metrics:
    """Metrics of predicted probabilities (N, C), rows summing to 1, against integer labels (N,).

    A class that is never predicted has precision 0, as in scikit-learn with `zero_division=0`.
    """
    if probs_NC.shape != (len(labels_N), len(classes)):
        raise ValueError(f"probabilities {probs_NC.shape} do not fit {len(labels_N)} labels, {len(classes)} classes")
    if len(labels_N) == 0:
        raise ValueError("no images to measure")
    probs = probs_NC.astype(np.float64)
    predicted_N = probs.argmax(axis=1)
    ids = np.arange(len(classes))
    matrix = confusion_matrix(labels_N, predicted_N, labels=ids)
    p, r, f, support = precision_recall_fscore_support(labels_N, predicted_N, labels=ids, zero_division=0)

    present = ids[support > 0]

    def average(kind: str) -> Average:
        ap, ar, af, _ = precision_recall_fscore_support(
            labels_N, predicted_N, labels=present, average=kind, zero_division=0
        )
        return Average(precision=float(ap), recall=float(ar), f1=float(af))

    aucs = [
        float(roc_auc_score(labels_N == c, probs[:, c])) if 0 < int(support[c]) < len(labels_N) else None for c in ids
    ]
    known = [a for a in aucs if a is not None]
    true_probs = np.clip(probs[np.arange(len(labels_N)), labels_N], np.finfo(np.float64).tiny, 1.0)
    return Metrics(
        n=len(labels_N),
        accuracy=float((predicted_N == labels_N).mean()),
        balanced_accuracy=float(np.mean([r[c] for c in ids if support[c] > 0])),
        classes=[
            ClassMetrics(
                name=classes[c],
                precision=float(p[c]),
                recall=float(r[c]),
                f1=float(f[c]),
                support=int(support[c]),
                accuracy=float(r[c]),
                roc_auc=aucs[c],
            )
            for c in ids
        ],
        macro=average("macro"),
        weighted=average("weighted"),
        roc_auc=float(np.mean(known)) if known else None,
        log_loss=float(-np.log(true_probs).mean()),
        confusion=matrix.tolist(),
    )


def macro_f1(labels_N: np.ndarray, predicted_N: np.ndarray) -> float:
    """Mean F1 over the classes that are true or predicted at least once, 0..1: scikit-learn's, in a tenth of its time.

    An epoch on cached features takes milliseconds, so what is measured after each must take less.
    """
    classes = int(max(labels_N.max(), predicted_N.max())) + 1
    hits, true, said = (
        np.bincount(of, minlength=classes) for of in (labels_N[labels_N == predicted_N], labels_N, predicted_N)
    )
    there = true + said > 0
    return float((2 * hits[there] / (true + said)[there]).mean())
