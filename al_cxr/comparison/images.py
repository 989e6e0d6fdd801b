"""What is known of each image of an experiment, as one CSV that a comparison can read without the data set.

`runs/NAME/images.csv` has one row an image, in the order of the absolute indices: index, name, label, split,
patient_id, source, then age, sex and view where the data set has them, and duplicate_group (images with the same
number are copies of one another; empty: none was found). It holds no pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.quality import duplicates
from al_cxr.data.store import PixelStore

FILE = "images.csv"
ALWAYS = ("index", "name", "label", "split", "patient_id", "source")
SOMETIMES = ("age", "sex", "view")


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


def read_images(folder: Path) -> pd.DataFrame | None:
    """The table of `write_images`, a row at the place of its absolute index; None where the run has none.

    All columns are text ("" where unknown) but `index`, int64, and `duplicate_group`, Int64 with NA. UserError where
    the file is something else.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        missing = [name for name in (*ALWAYS, "duplicate_group") if name not in frame]
        if missing:
            raise ValueError(f"no column {missing[0]}")
        frame["index"] = frame["index"].astype(np.int64)
        frame["duplicate_group"] = pd.to_numeric(frame["duplicate_group"].replace("", None)).astype("Int64")
        if not np.array_equal(frame["index"], np.arange(len(frame))):
            raise ValueError("the column index does not count from 0")
    except (ValueError, TypeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not a table of images ({error}); delete it, and start the same command again"
        ) from None
    return frame


def known_groups(folder: Path) -> list[int | None] | None:
    """The `duplicate_groups` that a run noted; None where it has not."""
    frame = read_images(folder)
    return None if frame is None else [None if pd.isna(g) else int(g) for g in frame["duplicate_group"]]


def duplicate_groups(store: PixelStore) -> list[int | None]:
    """Number of each image's set of copies, counted from 0 in the order of their first images; None: no copy.

    Near copies are looked for at 64 pixels, so in a smaller store only identical files and identical pixels are found;
    and so it is with more than `duplicates.MOST` images, of which every two would be compared.
    """
    group_N: list[int | None] = [None] * len(store)
    for number, members in enumerate(duplicates.groups(_links(store))):
        for i in members:
            group_N[i] = number
    return group_N


def _links(store: PixelStore) -> list[duplicates.Link]:
    if store.size >= duplicates.SIZE and len(store) <= duplicates.MOST:
        pixels_NSS = np.stack([_small(image) for image in store.pixels])
        return duplicates.find(pixels_NSS, store.digests)
    # Enlarged images have no fine detail to compare (all would look like copies), and many take too long.
    links, first = [], dict[str | bytes, int]()
    for i, (file, image) in enumerate(zip(store.digests, store.pixels, strict=True)):
        for kind, key in (("file", file), ("pixels", image.tobytes())):
            if (a := first.setdefault(key, i)) != i:
                links.append(duplicates.Link(a, i, kind, 1.0))  # type: ignore[arg-type]  # the literals of Kind
    return links


def _small(image_SS: np.ndarray) -> np.ndarray:
    side = duplicates.SIZE
    if image_SS.shape == (side, side):
        return np.asarray(image_SS)
    return np.asarray(Image.fromarray(np.asarray(image_SS)).resize((side, side), Image.Resampling.BOX))
