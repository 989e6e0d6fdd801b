"""What is known of each image of an experiment: written as the table that `al_cxr.comparison.images` reads, and found
again for a run without one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from al_cxr.comparison.images import FILE, SOMETIMES, read_images
from al_cxr.config import DataSettings
from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.records import ExperimentRecord
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_first
from al_cxr.data.quality import duplicates
from al_cxr.data.quality.candidates import EVERY
from al_cxr.data.quality.odd import framed
from al_cxr.data.quality.sketches import BATCH, sketch
from al_cxr.data.store import PixelStore


def write_images(folder: Path, dataset: Dataset, group_N: Sequence[int | None]) -> Path:
    """Writes `folder`/images.csv, with the `duplicate_groups`, unless it is there; equal data gives equal bytes.

    Returns its path.
    """
    path = folder / FILE
    if path.exists():
        return path
    table = dataset.table
    columns: dict[str, object] = {
        "index": np.arange(len(dataset)),
        "name": [dataset.images.name(i) for i in range(len(dataset))],
        "label": [dataset.classes[label] for label in dataset.labels_N],
        "split": dataset.split_N,
        "patient_id": table["patient_id"].to_numpy(),
        "source": table["source"].to_numpy(),
    }
    columns |= {name: table[name].to_numpy() for name in SOMETIMES if name in table}
    frame = pd.DataFrame(columns).assign(duplicate_group=list(group_N))
    write_atomically(path, frame.to_csv(index=False, lineterminator="\n").encode())
    return path


def known_images(run: Path, record: ExperimentRecord) -> pd.DataFrame:
    """What is known of the images of a run, a row an image with its label and patient: as the run noted it, else from
    the data set itself. UserError where neither can be read, or where the data set has other classes by now."""
    frame = read_images(run)
    if frame is not None:
        return frame
    try:
        settings = DataSettings.model_validate(record.settings["data"])
    except (ValidationError, KeyError):
        raise UserError(f"{run}: its record does not say which data set it was made of; was it edited?") from None
    frame = load_first(settings).table
    if not set(frame["label"]) <= set(record.data.classes):
        raise UserError(f"{run}: the data set has other images or classes than the run; was it changed since?")
    return frame


def duplicate_groups(store: PixelStore) -> list[int | None]:
    """Number of each image's set of copies, counted from 0 in the order of their first images; None: no copy.

    Near copies are looked for where images have 64 pixels or more; of smaller ones only identical files and identical
    pixels are found.
    """
    group_N: list[int | None] = [None] * len(store)
    for number, members in enumerate(duplicates.groups(_links(store))):
        for i in members:
            group_N[i] = number
    return group_N


def _links(store: PixelStore) -> Sequence[duplicates.Link]:
    if store.size < duplicates.SIZE:
        return duplicates.identical(store.digests, [duplicates.key(image_SS) for image_SS in store.pixels])
    keys_N, parts = list[str](), [sketch(framed(store.pixels[:0]))]
    for start in range(0, len(store), BATCH):
        small_BSS = framed(store.pixels[start : start + BATCH])
        keys_N += [duplicates.key(image_SS) for image_SS in small_BSS]
        parts.append(sketch(small_BSS))
    return duplicates.find(
        store.digests,
        keys_N,
        np.concatenate(parts),
        lambda index: np.asarray(store.pixels[index]),
        progress=len(store) > EVERY,
    ).links
