"""How well the label follows without looking at anatomy: from the source of an image, or from its brightness.

A network that does no better may have learnt the hospital and not the disease (Zech et al. 2018, PLOS Medicine
15:e1002683). Brightness is partly disease, too (a lung full of fluid is bright): it is a bar to clear, not a proof.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from al_cxr.core.metrics import Metrics, measure
from al_cxr.data.dataset import Dataset


@dataclass(frozen=True)
class Shortcut:
    """A prediction learnt on train and measured on test; `always` is that of answering train's largest class."""

    name: str
    means: str
    """How the class is told, as the end of a sentence."""
    test: Metrics
    always: Metrics


def by_source(dataset: Dataset) -> Shortcut | None:
    """The largest class of the image's own source in train; of all of train where the source is not there.

    None with fewer than two sources (an unknown one counts as one more) or without both train and test.
    """
    source_N = dataset.table["source"].to_numpy(dtype=object)
    train, test = dataset.indices("train"), dataset.indices("test")
    if len(set(source_N)) < 2 or not len(train) or not len(test):
        return None
    prior_C = _shares(dataset.labels_N[train], len(dataset.classes))
    learnt = {
        source: _shares(dataset.labels_N[train][source_N[train] == source], len(dataset.classes))
        for source in set(source_N[train])
    }
    probs_MC = np.stack([learnt.get(source, prior_C) for source in source_N[test]])
    return _measured("source alone", "from the source alone", probs_MC, dataset, prior_C, test)


def by_brightness(dataset: Dataset, index_M: np.ndarray, numbers_MF: np.ndarray) -> Shortcut | None:
    """Gradient-boosted trees on the `brightness` of the M readable images; None without two classes in train."""
    split_M, labels_M = dataset.split_N[index_M], dataset.labels_N[index_M]
    train, test = split_M == "train", split_M == "test"
    if len(np.unique(labels_M[train])) < 2 or not test.any():
        return None
    model = HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=0)
    model.fit(numbers_MF[train], labels_M[train])
    probs_MC = np.zeros((int(test.sum()), len(dataset.classes)))
    probs_MC[:, model.classes_] = model.predict_proba(numbers_MF[test])
    prior_C = _shares(labels_M[train], len(dataset.classes))
    means = "from 12 brightness numbers without any shape"
    return _measured("12 brightness numbers", means, probs_MC, dataset, prior_C, index_M[test])


def cramers_v(counts_RC: np.ndarray) -> float | None:
    """Association of rows and columns of a table of counts: 0 none, 1 complete (Cramer 1946); None below 2 x 2."""
    counts = counts_RC[counts_RC.sum(axis=1) > 0][:, counts_RC.sum(axis=0) > 0].astype(np.float64)
    if min(counts.shape) < 2:
        return None
    total = counts.sum()
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / total
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    return float(np.sqrt(chi2 / total / (min(counts.shape) - 1)))


def _shares(labels_M: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(labels_M, minlength=classes) / len(labels_M)


def _measured(
    name: str, means: str, probs_MC: np.ndarray, dataset: Dataset, prior_C: np.ndarray, test_M: np.ndarray
) -> Shortcut:
    labels_M = dataset.labels_N[test_M]
    always = measure(np.tile(prior_C, (len(labels_M), 1)), labels_M, dataset.classes)
    return Shortcut(name, means, measure(probs_MC, labels_M, dataset.classes), always)
