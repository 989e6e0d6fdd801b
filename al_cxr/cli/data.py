"""What each command about a data set does: audit it, show it, fetch it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np

from al_cxr.config import DataSettings, MedmnistSource, Source
from al_cxr.core import provenance
from al_cxr.core.drafts import writing
from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_about, must_be_apart, must_be_free
from al_cxr.data.dataset import Dataset
from al_cxr.data.doubts import told
from al_cxr.data.quality.audit import audit as measure
from al_cxr.data.quality.gate import Gate
from al_cxr.data.sources import kaggle, medmnist
from al_cxr.data.sources import registry as sources
from al_cxr.report.audit import write_audit
from al_cxr.report.contact import reader
from al_cxr.report.contact import show as show_images
from al_cxr.report.kit.page import PAGE

SHOWN_SIZE = 224
"""Pixels a side of the images on contact sheets."""


def audit(data: Source, out: Path) -> None:
    """`al-cxr data audit`: everything that can be wrong with a data set, as a report."""
    must_be_apart(out, data)
    dataset = _load(data)
    folder = out / dataset.name / "audit"
    must_be_free(folder, PAGE)  # before the work, not after it
    must_be_about(folder, "", provenance.command())
    print(f"data      {dataset.stamp} · {len(dataset):,} images")
    found = measure(dataset)
    warnings = dict.fromkeys([*found.warnings, *dataset.notes])
    for warning in warnings:
        print(f"warning   {warning}")
    if not warnings:
        print("nothing was found to warn of")
    page = write_audit(
        found, dataset, reader(dataset.images, SHOWN_SIZE), folder, folder / "gallery", provenance.command()
    )
    print(f"report    {page}")


def show(data: Source, per_class: int, seed: int, split: str | None, label: str | None, out: Path) -> None:
    """`al-cxr data show`: a contact sheet."""
    must_be_apart(out, data)
    dataset = _load(data)
    counts = ", ".join(f"{name} {int((dataset.labels_N == i).sum()):,}" for i, name in enumerate(dataset.classes))
    print(f"data      {dataset.stamp} · {len(dataset):,} images: {counts}")
    for note in dataset.notes:
        print(f"warning   {note}")
    path = out / dataset.name / "contact-sheet.png"
    doubts: dict[str, str] = {}
    read, gate = reader(dataset.images, SHOWN_SIZE, doubts), Gate(None)

    def pixels(index_M: np.ndarray) -> np.ndarray:
        shown_MSS = read(index_M)
        gate.look([dataset.images.name(int(i)) for i in index_M], shown_MSS)
        return shown_MSS

    sheet = show_images(dataset, pixels, path, per_class, seed, split, label)
    odd = [*gate.odd("`al-cxr data audit` looks at all images"), *gate.repeated("the audit shows them")]
    for line in [*told(doubts.items(), len(dataset)), *odd]:
        print(f"warning   {line}")
    print(f"sheet     {sheet}")


def fetch(what: str, out: Path | None, size: int) -> None:
    """`al-cxr data fetch`: download a public data set; the only command that uses the network unasked for weights."""
    kind, _, name = what.partition(":")
    if kind == "kaggle":
        folder = kaggle.fetch(name or kaggle.DEFAULT_SLUG, out or Path("data/chest-xray"))
        print(f"fetched   {folder}; try `al-cxr data audit {folder}`")
    elif kind == "medmnist" and name:
        root = out or Path("data/medmnist")
        with writing(root):
            root.mkdir(parents=True, exist_ok=True)
        source = MedmnistSource.model_validate(
            {"kind": "medmnist", "flag": name, "pixels": size, "root": str(root), "download": True}
        )
        try:
            dataset = medmnist.load(source, DataSettings(sources=[source], image_size=max(28, size)))
        except UserError:
            with contextlib.suppress(OSError):  # not empty: there was something before
                os.removedirs(root)
            raise
        print(f"fetched   {len(dataset):,} images; use them with --data medmnist:{name}-{size}@{root}")
    else:
        raise UserError(f"{what!r}: no such public data set; give kaggle, kaggle:OWNER/NAME or medmnist:FLAG")


def _load(data: Source) -> Dataset:
    return sources.load(DataSettings(sources=[data]))
