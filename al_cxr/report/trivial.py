"""Answers that need no model: what every F1 has to be held against."""

from __future__ import annotations

import numpy as np
import pandas as pd

from al_cxr.comparison.finished import Finished
from al_cxr.core.metrics import Metrics, measure
from al_cxr.report.classes import always, majority


def _any_test(finished: Finished) -> Metrics:
    return next(rounds[0].test for rounds in finished.rounds.values() if rounds)


def trivial(finished: Finished) -> list[dict[str, object]]:
    """Rows of answers that need no model: the majority class, the target class (which has the best F1 a constant can
    have), and each source's majority class among the training images, where there are sources to tell apart."""
    test = _any_test(finished)
    answers = {f"always {name}": always(test, name) for name in dict.fromkeys([majority(test), finished.target])}
    if (told := by_source(finished)) is not None:
        answers["predict the source"] = told
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
