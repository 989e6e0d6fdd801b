"""The page about a data set: warnings first, then the tables they come from, then what the images look like."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from al_cxr.data.dataset import Dataset
from al_cxr.data.quality.audit import Audit, Copies
from al_cxr.report.contact import Pixels, contact_sheet, copies_sheet
from al_cxr.report.kit.figures import save
from al_cxr.report.kit.numbers import Kind
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape

ROWS = 15
"""Rows of a long list shown on the page; the files hold all."""

WORDS = {
    "file": "identical original",
    "pixels": "identical pixels at 64 px",
    "near": "near copy",
    "mirrored": "mirrored copy",
    "negative": "negative",
}

COVERED = """\
Copies are found after re-compression, resizing, changes of brightness, contrast and gamma, noise, mirroring and as \
negatives; not after cropping, shifting or turning, and not reliably where images were stored at less than 64 pixels. \
Two exposures of one patient are no copies. Wrong labels, and sources and patients that the table does not tell, are \
not seen."""


def write_audit(audit: Audit, dataset: Dataset, pixels: Pixels, folder: Path, gallery: Path, command: str = "") -> Path:
    """Writes README.md with its tables (markdown, CSV, JSON) into `folder` and contact sheets into `gallery`.

    `pixels` gives the images to show, at any size. Images of patients go into the gallery alone, so that the folder can
    be published. Returns the path of the README.
    """
    page = Page(folder, f"Audit of {escape(dataset.name)}", dataset.stamp)
    page.add(_verdict(audit, dataset), _list(audit.warnings, "Nothing was found to warn of."))
    told = [note for note in dataset.notes if note not in audit.warnings]
    if told:
        page.add("Noted while loading:", _list(told, ""))

    if command:
        page.add(f"    {command}")
    page.add("## Images and patients")
    page.table(_counts(audit, dataset))
    page.table(_patients(audit, dataset))
    page.add("## Leaks and copies")
    page.table(_shared(audit, dataset))
    for table in (_shared_patients(audit, dataset), _copies(audit, dataset)):
        _long(page, table)
    page.add(COVERED)
    page.add("## Unreadable and odd images")
    _long(page, _odd(audit, dataset))
    if not audit.files_looked_at:
        page.add("Size, shape and colour of the originals were not looked at: these images do not tell their files.")
    page.add("## Without looking at anatomy")
    page.add(_association(audit))
    if audit.shortcuts:
        page.table(_shortcuts(audit, dataset))
    page.add("## What they look like", *_sheets(audit, dataset, pixels, folder, gallery))
    if dataset.attribution:
        page.add(f"Images: {escape(dataset.attribution)}")
    return page.write()


def _verdict(audit: Audit, dataset: Dataset) -> str:
    n = len(audit.warnings)
    said = "no warnings" if n == 0 else "1 warning" if n == 1 else f"{n} warnings, most serious first"
    synthetic = " The images are synthetic: no patient was imaged." * dataset.synthetic
    return f"{len(dataset):,} images of {len(dataset.classes)} classes; **{said}**.{synthetic}"


def _list(lines: tuple[str, ...] | list[str], nothing: str) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines) or nothing


def _long(page: Page, table: Table) -> None:
    """The first rows on the page, all in the files; one line where there are none."""
    n = len(table.frame)
    if n == 0:
        page.table_files(table)
        page.add(f"{table.title}: none.")
    elif n <= ROWS:
        page.table(table)
    else:
        page.table(table, inline=False)
        head = dataclasses.replace(table, frame=table.frame.head(ROWS))
        page.add(f"The first {ROWS} of {n:,}:", head.grid())


def _counts(audit: Audit, dataset: Dataset) -> Table:
    named = [f"class {name}" for name in dataset.classes]
    frame = audit.counts.assign(images=audit.counts[named].sum(axis=1))
    total = {"split": "all", "source": "", **{key: int(frame[key].sum()) for key in [*named, "images"]}}
    frame = pd.concat([frame, pd.DataFrame([total])], ignore_index=True)
    columns = [Column("split", "split"), Column("source", "source")]
    columns += [Column(name, key, "count") for name, key in zip(dataset.classes, named, strict=True)]
    columns.append(Column("all", "images", "count"))
    return Table("counts", "Images by split, source and class", frame, tuple(columns))


def _patients(audit: Audit, dataset: Dataset) -> Table:
    columns = (
        Column("split", "split"),
        Column("images", "images", "count"),
        Column("patients", "patients", "count"),
        Column("images of unknown patients", "unknown", "count"),
        Column("images a patient", "per_patient", "count"),
        Column("most of one", "most", "count"),
    )
    return Table("patients", "Patients", audit.patients, columns)


def _shared(audit: Audit, dataset: Dataset) -> Table:
    rows = [
        {
            "splits": f"{a} and {b}",
            "patients": len(shared.patients),
            "images_first": shared.images[0],
            "images_second": shared.images[1],
            "copies": audit.copied(b, a),
        }
        for shared in audit.shared
        for a, b in [shared.splits]
    ]
    columns = (
        Column("splits", "splits"),
        Column("patients in both", "patients", "count"),
        Column("their images in the first", "images_first", "count"),
        Column("in the second", "images_second", "count"),
        Column("images of the second with a copy in the first", "copies", "count"),
    )
    return Table("leaks", "What splits share", pd.DataFrame(rows), columns)


def _shared_patients(audit: Audit, dataset: Dataset) -> Table:
    rows = [(f"{s.splits[0]} and {s.splits[1]}", patient) for s in audit.shared for patient in s.patients]
    frame = pd.DataFrame(rows, columns=["splits", "patient_id"])
    columns = (Column("splits", "splits"), Column("patient", "patient_id"))
    return Table("shared_patients", "Patients in two splits", frame, columns)


def _copies(audit: Audit, dataset: Dataset) -> Table:
    """A row an image, with the number of its set."""
    rows = []
    for number, group in enumerate(sorted(audit.copies, key=_seriousness), start=1):
        what = ", ".join(WORDS[kind] for kind in group.kinds)
        least = min(link.likeness for link in group.links)
        for i, split, label in zip(group.members, group.splits, group.labels, strict=True):
            patient = dataset.table["patient_id"].iloc[i]
            rows.append((number, what, least, dataset.images.name(i), split, label, patient))
    names = ["set", "what", "likeness", "image", "split", "label", "patient_id"]
    kinds: tuple[Kind, ...] = ("count", "text", "area", "text", "text", "text", "text")
    columns = tuple(Column(name, name, kind) for name, kind in zip(names, kinds, strict=True))
    notes = ("likeness: correlation of the fine detail, the lowest in the set",)
    return Table("duplicates", "Copies", pd.DataFrame(rows, columns=names), columns, notes)


def _seriousness(group: Copies) -> tuple[bool, bool, bool, int]:
    """Across splits first, then different labels, then different patients."""
    return len(set(group.splits)) == 1, len(set(group.labels)) == 1, len(group.patients) < 2, group.members[0]


def _odd(audit: Audit, dataset: Dataset) -> Table:
    rows = [(o.name, "unreadable", o.what) for o in audit.unreadable] + [(o.name, "odd", o.what) for o in audit.odd]
    frame = pd.DataFrame(rows, columns=["image", "kind", "what"])
    columns = (Column("image", "image"), Column("kind", "kind"), Column("what", "what"))
    return Table("odd", "Unreadable and odd images", frame, columns)


def _association(audit: Audit) -> str:
    if audit.source_label_v is None:
        return "The images are of one source, or it is unknown: the class cannot follow from it."
    v = audit.source_label_v
    return f"Source and label: Cramér's V {v:.2f} (0: independent, 1: the class follows from the source)."


def _shortcuts(audit: Audit, dataset: Dataset) -> Table:
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
    notes = ("learnt on train, measured on test: a network has to do better than this to have learnt any anatomy",)
    title = "How far one gets without looking"
    return Table("shortcuts", title, pd.DataFrame(rows), tuple(columns), notes)


def _two(group: Copies) -> tuple[int, int]:
    """The first copy, and one of another split if there is one."""
    others = [i for i, split in zip(group.members, group.splits, strict=True) if split != group.splits[0]]
    return group.members[0], (others or group.members[1:])[0]


def _sheets(audit: Audit, dataset: Dataset, pixels: Pixels, folder: Path, gallery: Path) -> list[str]:
    """Writes the sheets; what the page says of them."""
    unreadable = {o.index for o in audit.unreadable}
    if len(unreadable) == len(dataset):
        return ["No image can be read."]
    sheet = contact_sheet(dataset, pixels, leave_out=unreadable)
    written = [(save(sheet, gallery / "contact_sheet.png"), "images drawn at random, a row a class")]
    if audit.copies:
        groups = [
            (_two(group), ", ".join(WORDS[kind] for kind in group.kinds))
            for group in sorted(audit.copies, key=lambda g: (set(g.kinds) <= {"file", "pixels"}, _seriousness(g)))
        ]  # those that are not identical first: they want an eye
        written.append((save(copies_sheet(dataset, pixels, groups), gallery / "copies.png"), "copies, side by side"))
    inside = gallery.resolve().is_relative_to(folder.resolve())
    links = [f"[{says}]({quote(Path(os.path.relpath(path, folder)).as_posix())})" for path, says in written]
    if inside:
        return [f"!{link}" for link in links]
    return ["Images of patients are not kept beside this page:", "\n".join(f"- {link}" for link in links)]
