"""What is suspicious about a data set and can be seen without its pixels."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from al_cxr.core import enough
from al_cxr.data.dataset import SPLITS, Dataset
from al_cxr.data.splits import class_counts

IMBALANCE = 3.0
"""Training images of the largest class for one of the smallest, from which on it is said."""


def warnings(dataset: Dataset) -> list[str]:
    """Shared patients, class imbalance, source shortcuts and what is too few, one sentence each."""
    found = [
        f"{n} patients are in both {a} and {b}: what {b} measures there is memory"
        for (a, b), n in shared_patients(dataset).items()
    ]
    train = {name: n for name, n in class_counts(dataset)["train"].items() if n}
    if train:
        large, small = max(train, key=train.__getitem__), min(train, key=train.__getitem__)
        ratio = train[large] / train[small]
        if ratio >= IMBALANCE:
            found.append(f"class imbalance in train: {train[large]} {large}, {train[small]} {small} ({ratio:.1f} to 1)")
    return found + _shortcuts(dataset) + few(dataset, "val", "test")


def few(dataset: Dataset, *splits: str) -> list[str]:
    """Splits with few images of a class, and those that are much about one patient, one sentence each."""
    counts, patient_N = class_counts(dataset), dataset.table["patient_id"]
    found = []
    for split in splits:
        found += enough.of_split(split, counts[split])
        found += enough.of_patients(split, patient_N[dataset.split_N == split])
    return found


def shared_patients(dataset: Dataset) -> dict[tuple[str, str], int]:
    """Pairs of splits -> patients with images in both; only pairs that share any. Unknown patients do not count."""
    patient_N = dataset.table["patient_id"].to_numpy()
    of = {split: set(patient_N[dataset.split_N == split]) - {""} for split in SPLITS}
    shared = {(a, b): len(of[a] & of[b]) for a, b in combinations(SPLITS, 2)}
    return {pair: count for pair, count in shared.items() if count}


def _shortcuts(dataset: Dataset) -> list[str]:
    """Where the label follows from the source: then a network can learn the hospital and not the disease."""
    source_N = dataset.table["source"].to_numpy()
    pairs = {(s, dataset.classes[c]) for s, c in zip(source_N, dataset.labels_N, strict=True) if s}
    sources = sorted({s for s, _ in pairs})
    if len(sources) < 2 or len(np.unique(dataset.labels_N)) < 2:
        return []
    found = []
    for source in sources:
        names = [c for s, c in pairs if s == source]
        if len(names) == 1:
            found.append(f"source shortcut: every image from {source} is {names[0]}")
    for name in dataset.classes:
        froms = [s for s, c in pairs if c == name]
        if len(froms) == 1:
            found.append(f"source shortcut: every image of {name} with a known source comes from {froms[0]}")
    return found
