"""Answers that need no model: what every figure has to be held against."""

from __future__ import annotations

import numpy as np
import pandas as pd

from al_cxr.comparison.finished import Finished
from al_cxr.core.metrics import Metrics, measure

BY_SOURCE = "predict the source"


def always(test: Metrics, answer: str) -> Metrics:
    """What the answer `answer` for every image scores on the test set of `test`."""
    names = tuple(c.name for c in test.classes)
    labels_N = np.repeat(np.arange(len(names)), [c.support for c in test.classes])
    return measure(np.tile(np.eye(len(names))[names.index(answer)], (len(labels_N), 1)), labels_N, names)


def majority(test: Metrics) -> str:
    """The most frequent class of the test set; of equals, the first."""
    return max(test.classes, key=lambda c: c.support).name


def without_model(test: Metrics, source: Metrics | None) -> dict[str, Metrics]:
    """What the majority class always scores and, where given, what each `source` mostly holds."""
    answers = {f"always {majority(test)}": always(test, majority(test))}
    if source is not None:
        answers[BY_SOURCE] = source
    return answers


def trivial(finished: Finished) -> list[dict[str, object]]:
    """Rows of answers that need no model: the majority class, the target class (which has the best F1 a constant can
    have), and each source's majority class among the training images, where there are sources to tell apart."""
    test = next(rounds[0].test for rounds in finished.rounds.values() if rounds)
    constants = {f"always {name}": always(test, name) for name in (majority(test), finished.target)}
    answers = constants | without_model(test, by_source(finished))
    return [
        {"arm": name, "accuracy": m.accuracy, "macro_f1": m.macro.f1, "f1": m.of(finished.target).f1}
        for name, m in answers.items()
    ]


def by_source(finished: Finished) -> Metrics | None:
    """What each source's majority class among the training images scores on the test images (a source that is not
    among them: the majority of all); None without images.csv or with fewer than two sources."""
    images = finished.images
    if images is None or images["source"].nunique() < 2:
        return None
    classes = finished.experiment.data.classes
    train, test = images[images["split"] == "train"], images[images["split"] == "test"]
    counts = pd.crosstab(train["source"], train["label"]).reindex(columns=classes, fill_value=0)
    most = str(counts.sum().idxmax())
    answer_N = test["source"].map(counts.idxmax(axis=1)).fillna(most)
    position = {name: i for i, name in enumerate(classes)}
    labels_N = test["label"].map(position).to_numpy(dtype=np.int64)
    return measure(np.eye(len(classes))[answer_N.map(position).to_numpy(dtype=np.int64)], labels_N, tuple(classes))
