"""Splits: the names they go by, making the missing ones, and checking that they can be used."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas as pd

from al_cxr.config import DataSettings
from al_cxr.core.errors import UserError
from al_cxr.data.dataset import SPLITS, Dataset


def assign(labels_N: np.ndarray, patients_N: list[str], fractions: Mapping[str, float], seed: int) -> np.ndarray:
    """Draws a split for every image: no patient in two, and each class in its share of the patients.

    `fractions` maps the splits to be cut off to shares of the patients in 0..1; the rest is "train". A patient counts
    for the rarest of his or her classes. Of a class with more patients than splits, every split gets at least one.
    Returns N strings. The same for any order of the images; every image must have a patient, even if only its own.
    """
    classes, counts_C = np.unique(labels_N, return_counts=True)
    rarity = {int(c): (int(n), int(c)) for c, n in zip(classes, counts_C, strict=True)}
    stratum: dict[str, int] = {}
    for patient, label in zip(patients_N, labels_N.tolist(), strict=True):
        stratum[patient] = min(stratum.get(patient, label), label, key=rarity.__getitem__)

    rng = np.random.default_rng(seed)
    chosen: dict[str, str] = {}
    for c in sorted(rarity):
        members = sorted(p for p, s in stratum.items() if s == c)
        order = rng.permutation(len(members)).tolist()
        enough = len(members) > len(fractions)
        for later, (split, fraction) in zip(range(len(fractions))[::-1], fractions.items(), strict=True):
            take = round(fraction * len(members))
            if enough:  # one at least, and one left for every split that follows and for train
                take = min(max(take, 1), len(order) - later - 1)
            chosen |= {members[i]: split for i in order[:take]}
            order = order[take:]
    return np.array([chosen.get(p, "train") for p in patients_N])


def patients_of(table: pd.DataFrame) -> list[str]:
    """The patient of each image; one of an unknown patient is a patient of its own, whose name begins with a tab, which
    no real patient_id does."""
    return [p or f"\t{image}" for p, image in zip(table["patient_id"], table["image"], strict=True)]


def complete(dataset: Dataset, settings: DataSettings) -> Dataset:
    """The data set with all three splits, each holding every class.

    Where `split_N` is "" everywhere, test and val are drawn from all images; where only one of them is missing, it is
    drawn from train. Raises UserError for one class only, for no training split, and for a class absent from a split.
    """
    if len(dataset.classes) < 2:
        raise UserError(f"{dataset.name}: only one class ({', '.join(dataset.classes)}); two or more are needed")
    present = set(dataset.split_N.tolist())
    if present != {""} and "train" not in present:
        raise UserError(
            f"{dataset.name}: no train split, only {', '.join(sorted(present))}; "
            "such data can be evaluated on, not learnt from"
        )
    wanted = {"test": settings.test_fraction, "val": settings.val_fraction}
    missing = {split: fraction for split, fraction in wanted.items() if split not in present}
    if missing:
        dataset = _cut(dataset, missing, settings.split_seed)
    counts = class_counts(dataset)
    for split in SPLITS:
        for name, n in counts[split].items():
            if n == 0:
                drawn = "; it was drawn here, so the class has too few patients" if missing else ""
                raise UserError(f"{dataset.name}: no image of class {name!r} in the {split} split{drawn}")
    return dataset


def class_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """split -> class -> images, with zeros."""
    return {
        split: {
            name: int(np.count_nonzero((dataset.split_N == split) & (dataset.labels_N == c)))
            for c, name in enumerate(dataset.classes)
        }
        for split in SPLITS
    }


def _cut(dataset: Dataset, fractions: Mapping[str, float], seed: int) -> Dataset:
    rows = np.flatnonzero(np.isin(dataset.split_N, ["", "train"]))
    table = dataset.table.iloc[rows]
    patients = patients_of(table)
    split_N = dataset.split_N.astype("<U5")
    split_N[rows] = assign(dataset.labels_N[rows], patients, fractions, seed)
    unknown = sum(p.startswith("\t") for p in patients)
    how = "by patient where known"
    if unknown == 0:
        how = "by patient"
    elif unknown == len(patients):
        how = "by image (patients unknown)"
    shares = " and ".join(f"{split} ({fraction:g})" for split, fraction in fractions.items())
    note = f"the source has no {shares} split: drawn from its images {how}, stratified by class, seed {seed}"
    dataset = dataclasses.replace(dataset, split_N=split_N, table=dataset.table.assign(split=split_N))
    return dataset.with_notes(note)
