"""From settings, or from a word on the command line, to a Dataset."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from al_cxr.config import DataSettings, FolderSource, ManifestSource, MedmnistSource, PhantomSource, Source
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import first_reason
from al_cxr.core.names import class_name
from al_cxr.core.nearest import hint
from al_cxr.data.dataset import Dataset, take
from al_cxr.data.folds import deal
from al_cxr.data.held_out import hold_out
from al_cxr.data.phantom import source as phantom
from al_cxr.data.quality import checks
from al_cxr.data.sources import folder, manifest, medmnist
from al_cxr.data.sources.cells import SUFFIXES

_MEDMNIST = re.compile(r"medmnist:(?P<flag>[^@]+?)(-(?P<pixels>\d+))?(@(?P<root>.+))?")


def load(settings: DataSettings) -> Dataset:
    """The first source that is there, with what is suspicious about it in its notes.

    Raises:
        UserError: if none is there, or the first that is there is broken: that one is not passed over.
    """
    for source in settings.sources:
        if exists(source):
            dataset = deal(hold_out(_load(source, settings), settings), settings)
            return dataset.with_notes(*checks.warnings(dataset))
    tried = "\n  ".join(describe(source) for source in settings.sources)
    raise UserError(f"none of the data sources is there:\n  {tried}\nname another with --data, or fetch one")


def load_for_evaluation(source: Source, classes: Sequence[str]) -> Dataset:
    """The radiographs of another data set that a model of these classes is evaluated on, all with the split "test".

    Its test split if it has one, else every image. `classes` become the classes, so that labels mean what the model's
    outputs mean; not each must be there, but no other may be.
    """
    dataset = _read(source)
    classes = tuple(classes)
    test_N = dataset.indices("test")
    rows = test_N if len(test_N) else np.arange(len(dataset))
    chosen = take(dataset, rows)
    known = {class_name(name): c for c, name in enumerate(classes)}
    names = [dataset.classes[c] for c in dataset.labels_N[rows]]
    for row, name in zip(rows, names, strict=True):
        if name not in known:
            others = f" ({names.count(name)} of {len(names)} images are)" if names.count(name) > 1 else ""
            raise UserError(
                f"{describe(source)}: {dataset.images.name(row)} is labelled {name!r}{others}, which the model does "
                f"not know{hint(name, classes)}; write a class of the model, or leave these images out"
            )
    split_N = np.full(len(rows), "test")
    notes = dataset.notes
    if len(rows) < len(dataset):
        notes = (*notes, f"only the test split: {len(rows)} of {len(dataset)} images")
    tested = dataclasses.replace(
        chosen,
        classes=classes,
        labels_N=np.array([known[name] for name in names], dtype=np.int64),
        split_N=split_N,
        table=chosen.table.assign(split=split_N),
        notes=notes,
    )
    return tested.with_notes(*checks.few(tested, "test"))


def parse(text: str, root: Path | None = None, follow_links: bool = False, patient_folders: bool = False) -> Source:
    """The value of --data (a folder, a FILE.csv, phantom, phantom:COUNT or medmnist:FLAG[-PIXELS][@ROOT]) and the
    options beside it; UserError for one that says nothing of such data."""
    source = _parse(text)
    options = {"root": root and str(root), "follow_links": follow_links, "patient_folders": patient_folders}
    given = {name: value for name, value in options.items() if value}
    files = source if isinstance(source, (FolderSource, ManifestSource)) else None
    for name in given:
        if files is None or name not in type(files).model_fields:
            raise UserError(f"--{name.replace('_', '-')}: says nothing of {describe(source)}; leave it out")
    return source.model_copy(update=given)


def _parse(text: str) -> Source:
    try:
        if text == "phantom":
            return PhantomSource.model_validate({"kind": "phantom"})
        if text.startswith("phantom:"):
            return PhantomSource.model_validate({"kind": "phantom", "count": text.removeprefix("phantom:")})
        if match := _MEDMNIST.fullmatch(text):
            given = {key: value for key, value in match.groupdict().items() if value is not None}
            if "pixels" in given:
                given["pixels"] = int(given["pixels"])
            return MedmnistSource.model_validate({"kind": "medmnist", **given})
    except ValidationError as error:
        raise UserError(f"--data {text}: {first_reason(error)}") from None
    if not text or text.startswith("medmnist"):
        raise UserError(
            f"--data {text!r} is no data source; "
            "give a folder, a FILE.csv, phantom, phantom:COUNT or medmnist:FLAG[-PIXELS][@ROOT]"
        )
    if text.lower().endswith(SUFFIXES) and not Path(text).is_dir():
        return ManifestSource(kind="manifest", path=text, root=None)
    return FolderSource(kind="folder", path=text)


def describe(source: Source) -> str:
    """A source in a few words, for messages."""
    match source:
        case FolderSource():
            return f"folder {source.path}"
        case ManifestSource():
            return f"manifest {source.path}"
        case MedmnistSource():
            return f"medmnist {source.flag} at {source.pixels} px in {source.root or 'its own folder'}"
        case PhantomSource():
            return f"phantom of {source.count}"


def exists(source: Source) -> bool:
    """Whether there is anything at the place that a source names."""
    match source:
        case FolderSource():
            return folder.exists(source)
        case ManifestSource():
            return manifest.exists(source)
        case MedmnistSource():
            return medmnist.exists(source)
        case PhantomSource():
            return True


def _load(source: Source, settings: DataSettings) -> Dataset:
    match source:
        case FolderSource():
            return folder.load(source, settings)
        case ManifestSource():
            return manifest.load(source, settings)
        case MedmnistSource():
            return medmnist.load(source, settings)
        case PhantomSource():
            return phantom.load(source)


def _read(source: Source) -> Dataset:
    match source:
        case FolderSource():
            return folder.read(source)
        case ManifestSource():
            return manifest.read(source)
        case MedmnistSource():
            return medmnist.read(source)
        case PhantomSource():
            return phantom.load(source)
