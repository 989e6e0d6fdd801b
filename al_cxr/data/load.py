"""From a data source, or from what a person calls it, to a Dataset that can be learnt from or evaluated on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from al_cxr.config import DataSettings
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import first_reason
from al_cxr.core.names import class_name
from al_cxr.core.nearest import hint
from al_cxr.data import splits
from al_cxr.data.dataset import Dataset, take
from al_cxr.data.folds import deal
from al_cxr.data.held_out import hold_out
from al_cxr.data.quality import checks
from al_cxr.data.sources.named import named_source, with_options
from al_cxr.data.sources.source import Source, readable


def load_data(
    source: str | Path | Source,
    *,
    root: str | Path | None = None,
    follow_links: bool = False,
    patient_folders: bool = False,
    image_size: int = 64,
    test_source: str = "",
    val_source: str = "",
    test_fraction: float = 0.2,
    val_fraction: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """Load labelled radiographs as one data set with the splits train, val and test.

    Labels and names are read and checked; pixels are read later, when something asks for them.

    Parameters
    ----------
    source : str, Path or Source
        What ``--data`` takes: a folder with one folder a class, a CSV file with the columns ``path`` and ``label``,
        ``"medmnist:FLAG[-PIXELS][@FOLDER]"``, ``"kaggle[:OWNER/NAME][@FOLDER]"``, ``"phantom[:COUNT]"`` for synthetic
        images, or ``"KIND:REST"`` of any other registered kind. A ``Path`` is always a folder or a file.
    root : str or Path, optional
        Folder that the paths of a CSV start from; the folder of the CSV unless given.
    follow_links : bool, default False
        Read symbolic links that lead out of the folder of images.
    patient_folders : bool, default False
        Each class folder holds one folder a patient, named by the patient's id.
    image_size : int, default 64
        Side in pixels, 28 to 1024, that you will use the images at; a note says where this enlarges them.
    test_source, val_source : str, optional
        Value of the column ``source``, such as a hospital, whose images alone are the test or the validation set.
    test_fraction, val_fraction : float, default 0.2 and 0.1
        Share of the patients, above 0 and below 0.5, drawn for a split that the source does not have.
    split_seed : int, default 0
        Seed of that draw.

    Returns
    -------
    Dataset
        Labels, splits, a table with one row an image, and ``images``, which reads pixels. ``notes`` holds warnings,
        for example of patients that are in two splits.

    Raises
    ------
    UserError
        If there is nothing at the source, if it is broken, or if an option is out of range or of no use to it.

    Examples
    --------
    >>> data = load_data("phantom:60")
    >>> len(data), data.classes
    (60, ('normal', 'pneumonia', 'tuberculosis'))
    >>> {split: len(data.indices(split)) for split in ("train", "val", "test")}
    {'train': 45, 'val': 6, 'test': 9}
    >>> data.images.read(0, size=64).pixels.shape
    (64, 64)
    """
    found = source if isinstance(source, Source) else named_source(source)
    found = with_options(found, root, follow_links, patient_folders)
    try:
        settings = DataSettings(
            sources=[found],
            image_size=image_size,
            test_source=test_source,
            val_source=val_source,
            test_fraction=test_fraction,
            val_fraction=val_fraction,
            split_seed=split_seed,
        )
    except ValidationError as error:
        raise UserError(f"load_data: {first_reason(error)}") from None
    return load_first(settings)


def load_first(settings: DataSettings) -> Dataset:
    """The first source of an experiment that is there, with what is suspicious about it in its notes.

    Raises
    ------
    UserError
        If none is there, or the first that is there is broken: that one is not passed over.
    """
    sources = [readable(source) for source in settings.sources]
    for source in sources:
        if source.exists():
            dataset = splits.complete(source.read(), settings)
            dataset = dataset.with_notes(*source.warnings(settings.image_size))
            dataset = deal(hold_out(dataset, settings), settings)
            return dataset.with_notes(*checks.warnings(dataset))
    tried = ", ".join(source.describe() for source in sources)
    raise UserError(f"no data found: looked for {tried}; name other data with --data, or `al-cxr data fetch` some")


def load_for_evaluation(source: Source, classes: Sequence[str]) -> Dataset:
    """The radiographs of another data set that a model of these classes is evaluated on, all with the split "test".

    Its test split if it has one, else every image. `classes` become the classes, so that labels mean what the model's
    outputs mean; not each must be there, but no other may be.
    """
    dataset = source.read()
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
                f"{source.describe()}: {dataset.images.name(row)} is labelled {name!r}{others}, which the model does "
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
