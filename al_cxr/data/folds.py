"""Cross-validation: all images of a data set dealt out anew, so that each is in the test set of one fold.

A small data set has a small test split, whose figures hang on which patients are in it. With K folds every image is
tested on once, by a model that has not seen its patient.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from al_cxr.config import DataSettings
from al_cxr.core.errors import UserError
from al_cxr.data import splits
from al_cxr.data.dataset import Dataset

NOTE = "fold "
"""What the note of a fold begins with: it is true of that fold alone."""


def deal(dataset: Dataset, settings: DataSettings) -> Dataset:
    """The data set with the splits of one fold; unchanged where `data.folds` is 0.

    Patients are dealt out, each class in its share, the same for any order of the images. The fold is the test set, of
    the other patients `val_fraction` is the validation set. UserError where a class has too few patients.
    """
    if not settings.folds:
        return dataset
    table, labels_N = dataset.table, dataset.labels_N
    patients = splits.patients_of(table)
    names = [f"{k}" for k in range(settings.folds)]
    shares = dict.fromkeys(names[1:], 1 / settings.folds)
    dealt_N = splits.assign(labels_N, patients, shares, settings.split_seed)
    fold_N = np.where(dealt_N == "train", names[0], dealt_N)  # what is not cut off is a fold too
    split_N = np.where(fold_N == names[settings.fold], "test", "train").astype("<U5")
    rest = np.flatnonzero(split_N == "train")
    of_rest = [patients[i] for i in rest.tolist()]
    split_N[rest] = splits.assign(labels_N[rest], of_rest, {"val": settings.val_fraction}, settings.split_seed)
    note = (
        f"{NOTE}{settings.fold + 1} of {settings.folds}: the data set's own splits are not used; its images were dealt "
        f"out by patient where known, stratified by class, seed {settings.split_seed}"
    )
    dealt = dataclasses.replace(dataset, split_N=split_N, table=table.assign(split=split_N)).with_notes(note)
    for split, counts in splits.class_counts(dealt).items():
        if empty := [name for name, n in counts.items() if not n]:
            raise UserError(
                f"data.folds: {dataset.name} has too few patients of {', '.join(empty)} for {settings.folds} folds: "
                f"none is in the {split} split of this one; ask for fewer"
            )
    return dealt
