"""A whole source as the test set, or as the validation set: how well a model does in a hospital that it has not seen.

A random test split is of the same hospitals as the training images, so a network that has learnt to tell hospitals
apart does well on it (Zech 2018, https://doi.org/10.1371/journal.pmed.1002683). With a source of its own to test on,
that is measured; with one to validate on, everything that is chosen (epoch, hyper-parameters, temperature, threshold)
is chosen for another hospital.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from al_cxr.config import DataSettings
from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint
from al_cxr.data.dataset import Dataset, take


def hold_out(dataset: Dataset, settings: DataSettings) -> Dataset:
    """The data set with the splits that `test_source` and `val_source` ask for; unchanged where neither is given.

    All images of the test source are the test set, and those of other test splits are left out. All images of the
    validation source but those of the test set are the validation set, and the rest of the validation split is trained
    on. UserError for a source that is not there, and where a class or the training set would be without an image.
    """
    test, val = settings.test_source, settings.val_source
    if not test and not val:
        return dataset
    source_N = dataset.table["source"].to_numpy().astype(str)
    for key, name in (("test_source", test), ("val_source", val)):
        if name and name not in source_N:
            known = sorted(set(source_N) - {""})
            raise UserError(f"data.{key}: no image of {dataset.name} is from the source {name!r}{hint(name, known)}")
    if test == val:
        raise UserError(f"data.val_source: {val} is the test set already; name another source")
    split_N = dataset.split_N.astype("<U5")
    kept_N = np.ones(len(dataset), bool)
    if test:
        kept_N = (split_N != "test") | (source_N == test)
        split_N[source_N == test] = "test"
    if val:
        split_N[split_N == "val"] = "train"
        split_N[(source_N == val) & (split_N == "train")] = "val"
    there = np.bincount(dataset.labels_N[kept_N & (split_N == "train")], minlength=len(dataset.classes))
    if missing := [name for name, count in zip(dataset.classes, there, strict=True) if not count]:
        key, held = "test_source" if test else "val_source", " and ".join(name for name in (test, val) if name)
        what = f"without {held} no image of {', '.join(missing)} is left to train on"
        raise UserError(f"data.{key}: {what}; hold another source out")
    if not (kept_N & (split_N == "val")).any():
        raise UserError(f"data.test_source: without {test} no image is left to validate on; hold another source out")
    if left_out := int(np.count_nonzero(~kept_N)):
        dataset = dataset.with_notes(f"{left_out} test images of other sources than {test} are left out")
    table = dataset.table.assign(split=split_N)
    return take(dataclasses.replace(dataset, split_N=split_N, table=table), np.flatnonzero(kept_N))
