"""What is in a data set and what is wrong with it, before anything is learnt from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from al_cxr.data.dataset import SPLITS, Dataset
from al_cxr.data.dicom import said as dicom_said
from al_cxr.data.quality import checks, duplicates
from al_cxr.data.quality.look import Looked, look
from al_cxr.data.quality.odd import Odd, compare, odd_files
from al_cxr.data.quality.shortcuts import Shortcut, by_brightness, by_source, cramers_v
from al_cxr.data.quality.usual import fit
from al_cxr.data.store import cores

NOTABLE = 0.10
"""Gain in balanced accuracy over always giving one answer, from which on a shortcut is worth a warning."""


@dataclass(frozen=True)
class SharedPatients:
    """Patients with images in both of two splits; `images` is how many of theirs lie in the first and the second."""

    splits: tuple[str, str]
    patients: tuple[str, ...]
    images: tuple[int, int]


@dataclass(frozen=True)
class Copies:
    """Images that are copies of one another (absolute indices, ascending), and the links that join them."""

    members: tuple[int, ...]
    links: tuple[duplicates.Link, ...]
    splits: tuple[str, ...]
    labels: tuple[str, ...]
    patients: tuple[str, ...]
    """The known ones. More than one: either the patient ids are wrong, or the files were mixed up."""

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(link.kind for link in self.links))


@dataclass(frozen=True)
class Audit:
    """All findings of one data set of N images; nothing in it depends on the machine or on the order of reading."""

    counts: pd.DataFrame
    """split, source, and one column a class: images; only rows with any."""
    patients: pd.DataFrame
    """split, images, patients, unknown (images without a patient), per_patient, most (images of one patient)."""
    shared: tuple[SharedPatients, ...]
    copies: tuple[Copies, ...]
    similar: tuple[duplicates.Similar, ...]
    """Pairs that the first test for copies took for such and the second did not: not called copies."""
    unreadable: tuple[Odd, ...]
    odd: tuple[Odd, ...]
    files_looked_at: bool
    """False where originals could not be asked for their size and colour, as in a MedMNIST file."""
    source_label_v: float | None
    """Cramer's V of source and label; None with one source."""
    shortcuts: tuple[Shortcut, ...]
    warnings: tuple[str, ...]
    """In plain words, most serious first."""

    def copied(self, split: str, origin: str) -> int:
        """Images of one split with a copy in another."""
        return sum(group.splits.count(split) for group in self.copies if origin in group.splits)


def audit(dataset: Dataset, workers: int = 0, progress: bool = True) -> Audit:
    """Decodes every image once, in `workers` threads (0: as many as cores), and looks at all that is known of it.

    Images that cannot be read are findings and not errors. 5,856 radiographs take about ten seconds on two cores.
    """
    seen = look(dataset.images, workers or cores(), progress)
    found = duplicates.find(
        seen.digests_M, seen.keys_M, seen.sketches_MK, lambda m: seen.read(m, duplicates.FINE_SIZE), progress
    )
    files = odd_files(dataset.images, seen.index_M, progress)
    odd = [Odd(i, dataset.images.name(i), what) for i, what in sorted([*_odd(seen), *(files or [])])]
    shortcuts = (by_source(dataset), by_brightness(dataset, seen.index_M, seen.brightness_MF))
    result = Audit(
        counts=_counts(dataset),
        patients=_patients(dataset),
        shared=shared_patients(dataset),
        copies=_copies(dataset, seen.index_M, found.links),
        similar=tuple(
            replace(pair, a=int(seen.index_M[pair.a]), b=int(seen.index_M[pair.b])) for pair in found.similar
        ),
        unreadable=seen.unreadable,
        odd=tuple(odd),
        files_looked_at=files is not None,
        source_label_v=cramers_v(pd.crosstab(dataset.table["source"].to_numpy(), dataset.labels_N).to_numpy()),
        shortcuts=tuple(s for s in shortcuts if s is not None),
        warnings=seen.doubts,
    )
    return _with_warnings(result, dataset)


def shared_patients(dataset: Dataset) -> tuple[SharedPatients, ...]:
    """Every pair of splits, also those that share nobody. Unknown patients ("") are shared by nobody."""
    patient_N = dataset.table["patient_id"].to_numpy(dtype=object)
    found = []
    for a, b in combinations(SPLITS, 2):
        both = (set(patient_N[dataset.split_N == a]) & set(patient_N[dataset.split_N == b])) - {""}
        theirs_N = np.array([p in both for p in patient_N], dtype=bool)
        images = tuple(int(np.count_nonzero(theirs_N & (dataset.split_N == split))) for split in (a, b))
        found.append(SharedPatients((a, b), tuple(sorted(both)), (images[0], images[1])))
    return tuple(found)


def _odd(seen: Looked) -> list[tuple[int, str]]:
    """Images on which there is nothing to see, or that are unlike the others."""
    usual = fit(seen.features_MK, seen.features_MK)
    if usual is None:
        return [(i, what) for i, what in zip(seen.index_M.tolist(), seen.empty_M, strict=True) if what]
    checks = compare(seen.empty_M, seen.features_MK, usual, lambda m: seen.read(m, duplicates.SIZE))
    return [(i, check.what) for i, check in zip(seen.index_M.tolist(), checks, strict=True) if check.what]


def _copies(dataset: Dataset, index_M: np.ndarray, links_of_M: Sequence[duplicates.Link]) -> tuple[Copies, ...]:
    links = [replace(link, a=int(index_M[link.a]), b=int(index_M[link.b])) for link in links_of_M]
    patient_N = dataset.table["patient_id"].to_numpy(dtype=object)
    links_of: dict[int, list[duplicates.Link]] = {}
    groups = duplicates.groups(links)
    group_of = {i: g for g, members in enumerate(groups) for i in members}
    for link in links:
        links_of.setdefault(group_of[link.a], []).append(link)
    return tuple(
        Copies(
            members=members,
            links=tuple(links_of[g]),
            splits=tuple(str(dataset.split_N[i]) for i in members),
            labels=tuple(dataset.classes[dataset.labels_N[i]] for i in members),
            patients=tuple(sorted({patient_N[i] for i in members} - {""})),
        )
        for g, members in enumerate(groups)
    )


def _counts(dataset: Dataset) -> pd.DataFrame:
    frame = pd.DataFrame({"split": dataset.split_N, "source": dataset.table["source"].to_numpy()})
    for c, name in enumerate(dataset.classes):
        frame[f"class {name}"] = (dataset.labels_N == c).astype(np.int64)
    summed = frame.groupby(["split", "source"], sort=True).sum().reset_index()
    order = summed["split"].map({split: i for i, split in enumerate(SPLITS)})
    return summed.iloc[np.argsort(order.to_numpy(), kind="stable")].reset_index(drop=True)


def _patients(dataset: Dataset) -> pd.DataFrame:
    patient_N = dataset.table["patient_id"].to_numpy(dtype=object)
    rows = []
    for split in SPLITS:
        theirs = patient_N[dataset.split_N == split]
        known = pd.Series(theirs[theirs != ""], dtype=object).value_counts()
        rows.append(
            {
                "split": split,
                "images": len(theirs),
                "patients": len(known),
                "unknown": len(theirs) - int(known.sum()),
                "per_patient": float(known.mean()) if len(known) else None,
                "most": int(known.max()) if len(known) else None,
            }
        )
    return pd.DataFrame(rows)


def _with_warnings(found: Audit, dataset: Dataset) -> Audit:
    said: list[str] = []
    if n := len(found.unreadable):
        said.append(f"{n} of {len(dataset)} images cannot be read: repair or remove them, or no experiment starts")
        said += dicom_said.summary(odd.what.removeprefix(f"{odd.name}: ") for odd in found.unreadable)
    said += found.warnings
    cheap = checks.warnings(dataset)  # shared patients come first in it
    leaks = sum(bool(s.patients) for s in found.shared)
    said += cheap[:leaks]
    for split, origin in (("test", "train"), ("val", "train"), ("test", "val")):
        if n := found.copied(split, origin):
            said.append(f"{_times(n, f'image of {split} has', f'images of {split} have')} a copy in {origin}")
    if n := sum(len(set(group.labels)) > 1 for group in found.copies):
        said.append(f"{_times(n, 'set of copies has', 'sets of copies have')} different labels: one or more are wrong")
    if n := sum(len(group.patients) > 1 for group in found.copies):
        said.append(
            f"{_times(n, 'set of copies stands', 'sets of copies stand')} under different patients: "
            "the patient ids are not quite right, and a split by them may leak"
        )
    for shortcut in found.shortcuts:
        ours, always = shortcut.test.balanced_accuracy, shortcut.always.balanced_accuracy
        if ours - always >= NOTABLE:
            said.append(
                f"the class can be told {shortcut.means}: balanced accuracy {ours:.2f} (one answer: {always:.2f})"
            )
    said += cheap[leaks:]
    if n := sum(len(group.members) - 1 for group in found.copies if len(set(group.splits)) == 1):
        said.append(f"{_times(n, 'image is a copy', 'images are copies')} within a split: they count more than once")
    if n := len(found.odd):
        said.append(f"{_times(n, 'image is', 'images are')} odd: look at them")
    return replace(found, warnings=tuple(said))


def _times(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"
