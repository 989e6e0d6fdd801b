"""Tables about a data set: images and patients, what splits share, copies, odd files, how far shortcuts get."""

from __future__ import annotations

import pandas as pd

from al_cxr.data.dataset import Dataset
from al_cxr.data.quality.audit import Audit, Copies
from al_cxr.report.kit.numbers import Kind
from al_cxr.report.kit.prose import notes
from al_cxr.report.kit.tables import Column, Table

WORDS = {
    "file": "identical original",
    "pixels": "identical pixels at 64 px",
    "near": "near copy",
    "mirrored": "mirrored copy",
    "negative": "negative",
}


def counts_table(audit: Audit, dataset: Dataset) -> Table:
    named = [f"class {name}" for name in dataset.classes]
    frame = audit.counts.assign(images=audit.counts[named].sum(axis=1))
    total = {"split": "all", "source": "", **{key: int(frame[key].sum()) for key in [*named, "images"]}}
    frame = pd.concat([frame, pd.DataFrame([total])], ignore_index=True)
    columns = [Column("split", "split"), Column("source", "source")]
    columns += [Column(name, key, "count") for name, key in zip(dataset.classes, named, strict=True)]
    columns.append(Column("all", "images", "count"))
    return Table("counts", "Images by split, source and class", frame, tuple(columns))


def patients_table(audit: Audit) -> Table:
    columns = (
        Column("split", "split"),
        Column("images", "images", "count"),
        Column("patients", "patients", "count"),
        Column("images of unknown patients", "unknown", "count"),
        Column("images a patient", "per_patient", "count"),
        Column("most of one", "most", "count"),
    )
    return Table("patients", "Patients", audit.patients, columns)


def leaks_table(audit: Audit) -> Table:
    rows = []
    for shared in audit.shared:
        first, second = shared.splits
        row: dict[str, object] = {"splits": f"{first} and {second}", "patients": len(shared.patients)}
        row |= {"images_first": shared.images[0], "images_second": shared.images[1]}
        rows.append(row | {"copies": audit.copied(second, first)})
    columns = (
        Column("splits", "splits"),
        Column("patients in both", "patients", "count"),
        Column("their images in the first", "images_first", "count"),
        Column("in the second", "images_second", "count"),
        Column("images of the second with a copy in the first", "copies", "count"),
    )
    return Table("leaks", "What splits share", pd.DataFrame(rows), columns)


def shared_patients_table(audit: Audit) -> Table:
    rows = [(f"{s.splits[0]} and {s.splits[1]}", patient) for s in audit.shared for patient in s.patients]
    frame = pd.DataFrame(rows, columns=["splits", "patient_id"])
    columns = (Column("splits", "splits"), Column("patient", "patient_id"))
    return Table("shared_patients", "Patients in two splits", frame, columns)


def copies_table(audit: Audit, dataset: Dataset) -> Table:
    """A row an image, with the number of its set."""
    rows = []
    for number, group in enumerate(sorted(audit.copies, key=seriousness), start=1):
        what = ", ".join(WORDS[kind] for kind in group.kinds)
        least = min(link.likeness for link in group.links)
        for i, split, label in zip(group.members, group.splits, group.labels, strict=True):
            patient = dataset.table["patient_id"].iloc[i]
            rows.append((number, what, least, dataset.images.name(i), split, label, patient))
    names = ["set", "what", "likeness", "image", "split", "label", "patient_id"]
    kinds: tuple[Kind, ...] = ("count", "text", "area", "text", "text", "text", "text")
    columns = tuple(Column(name, name, kind) for name, kind in zip(names, kinds, strict=True))
    return Table("duplicates", "Copies", pd.DataFrame(rows, columns=names), columns, notes("audit", "copies"))


def similar_table(audit: Audit, dataset: Dataset) -> Table:
    """A row a pair that is not called a copy, the most alike first."""
    name, patient_N = dataset.images.name, dataset.table["patient_id"]
    rows = [
        (pair.likeness, *(what(i) for i in (pair.a, pair.b) for what in (name, patient_N.iloc.__getitem__)))
        for pair in audit.similar
    ]
    names = ["likeness", "image", "patient_id", "other", "other_patient_id"]
    columns = (Column("likeness", "likeness", "area"), *(Column(name, name) for name in names[1:]))
    return Table("similar", "Similar images, not called copies", pd.DataFrame(rows, columns=names), columns)


def seriousness(group: Copies) -> tuple[bool, bool, bool, int]:
    """Across splits first, then different labels, then different patients."""
    return len(set(group.splits)) == 1, len(set(group.labels)) == 1, len(group.patients) < 2, group.members[0]


def odd_table(audit: Audit) -> Table:
    rows = [(o.name, "unreadable", o.what) for o in audit.unreadable] + [(o.name, "odd", o.what) for o in audit.odd]
    frame = pd.DataFrame(rows, columns=["image", "kind", "what"])
    columns = (Column("image", "image"), Column("kind", "kind"), Column("what", "what"))
    return Table("odd", "Unreadable and odd images", frame, columns)


def left_out_table(dataset: Dataset) -> Table:
    frame = pd.DataFrame(list(dataset.left_out), columns=["image", "reason"])
    return Table("left_out", "Files left out", frame, (Column("image", "image"), Column("reason", "reason")))


def shortcuts_table(audit: Audit, dataset: Dataset) -> Table:
    always = audit.shortcuts[0].always
    answers = [("always one answer", always)] + [(s.name, s.test) for s in audit.shortcuts]
    rows = [
        {"told from": name, "accuracy": test.accuracy, "balanced": test.balanced_accuracy, "macro_f1": test.macro.f1}
        | {f"F1 {c.name}": c.f1 for c in test.classes}
        for name, test in answers
    ]
    columns = [Column("told from", "told from"), Column("accuracy %", "accuracy", "percent")]
    columns += [Column("balanced accuracy %", "balanced", "percent"), Column("macro F1 %", "macro_f1", "percent")]
    columns += [Column(f"F1 {name} %", f"F1 {name}", "percent") for name in dataset.classes]
    title = "How far one gets without looking"
    return Table("shortcuts", title, pd.DataFrame(rows), tuple(columns), notes("audit", "shortcuts"))
