"""The page about a data set: warnings first, then the tables they come from, then what the images look like."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from al_cxr.data.dataset import Dataset
from al_cxr.data.quality.audit import Audit, Copies
from al_cxr.data.quality.duplicates import FINE_SIZE, SIZE
from al_cxr.report.audit_tables import (
    WORDS,
    copies_table,
    counts_table,
    leaks_table,
    left_out_table,
    odd_table,
    patients_table,
    seriousness,
    shared_patients_table,
    shortcuts_table,
    similar_table,
)
from al_cxr.report.contact import Pixels, contact_sheet, copies_sheet
from al_cxr.report.kit.figures import save
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.prose import paragraph
from al_cxr.report.kit.tables import Table
from al_cxr.report.kit.text import escape

ROWS = 15
"""Rows of a long list shown on the page; the files hold all."""


def write_audit(audit: Audit, dataset: Dataset, pixels: Pixels, folder: Path, gallery: Path, command: str = "") -> Path:
    """Writes README.md with its tables (markdown, CSV, JSON) into `folder` and contact sheets into `gallery`.

    `pixels` gives the images to show, at any size. Images of patients go into the gallery alone, so that the folder can
    be published. Returns the path of the README.
    """
    page = Page(folder, f"Audit of {escape(dataset.name)}", dataset.stamp)
    counted = {"images": len(dataset), "classes": len(dataset.classes), "warnings": len(audit.warnings)}
    page.add(paragraph("audit", "verdict", **counted, synthetic=dataset.synthetic))
    page.add(_list(audit.warnings) or "Nothing was found to warn of.")
    noted = [note for note in dataset.notes if note not in audit.warnings]
    if noted:
        page.add("Noted while loading:", _list(noted))
    if command:
        page.add(f"    {command}")
    page.add("## Images and patients")
    page.table(counts_table(audit, dataset))
    page.table(patients_table(audit))
    page.add("## Leaks and copies")
    page.table(leaks_table(audit))
    for table in (shared_patients_table(audit), copies_table(audit, dataset)):
        _long(page, table)
    page.table_files(similar_table(audit, dataset))
    page.add(paragraph("audit", "covered", similar=len(audit.similar), coarse=SIZE, fine=FINE_SIZE))
    if dataset.left_out:
        page.add("## Left out")
        _long(page, left_out_table(dataset))
    page.add("## Unreadable and odd images")
    _long(page, odd_table(audit))
    if not audit.files_looked_at:
        page.add(paragraph("audit", "files_unseen"))
    page.add("## Without looking at anatomy")
    page.add(paragraph("audit", "association", v=audit.source_label_v))
    if audit.shortcuts:
        page.table(shortcuts_table(audit, dataset))
    page.add("## What they look like", *_sheets(audit, dataset, pixels, folder, gallery))
    if dataset.attribution:
        page.add(f"Images: {escape(dataset.attribution)}")
    return page.write()


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)


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


def _two(group: Copies) -> tuple[int, int]:
    """The first copy, and one of another split if there is one."""
    others = [i for i, split in zip(group.members, group.splits, strict=True) if split != group.splits[0]]
    return group.members[0], others[0] if others else group.members[1]


def _sheets(audit: Audit, dataset: Dataset, pixels: Pixels, folder: Path, gallery: Path) -> list[str]:
    """Writes the sheets; what the page says of them."""
    unreadable = {o.index for o in audit.unreadable}
    if len(unreadable) == len(dataset):
        return ["No image can be read."]
    sheet = contact_sheet(dataset, pixels, leave_out=unreadable)
    written = [(save(sheet, gallery / "contact_sheet.png"), "images drawn at random, a row a class")]
    if audit.copies:
        # Those that are not identical come first: somebody has to look at them.
        ordered = sorted(audit.copies, key=lambda group: (set(group.kinds) <= {"file", "pixels"}, seriousness(group)))
        groups = [(_two(group), ", ".join(WORDS[kind] for kind in group.kinds)) for group in ordered]
        written.append((save(copies_sheet(dataset, pixels, groups), gallery / "copies.png"), "copies, side by side"))
    inside = gallery.resolve().is_relative_to(folder.resolve())
    links = [f"[{says}]({quote(Path(os.path.relpath(path, folder)).as_posix())})" for path, says in written]
    if inside:
        return [f"!{link}" for link in links]
    return ["Images of patients are not kept beside this page:", "\n".join(f"- {link}" for link in links)]
