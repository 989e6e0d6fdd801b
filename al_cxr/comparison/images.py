"""What is known of each image of an experiment, as one CSV that a comparison can read without the data set.

`runs/NAME/images.csv` has one row an image, in the order of the absolute indices: index, name, label, split,
patient_id, source, then age, sex and view where the data set has them, and duplicate_group (images with the same
number are copies of one another; empty: none was found). It holds no pixels. `al_cxr.experiment.images` writes it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.core.errors import UserError

FILE = "images.csv"
ALWAYS = ("index", "name", "label", "split", "patient_id", "source")
SOMETIMES = ("age", "sex", "view")


def read_images(folder: Path) -> pd.DataFrame | None:
    """The table, a row at the place of its absolute index; None where the run has none.

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
    """Number of each image's set of copies, as a run noted it (None: no copy); None where it has not."""
    frame = read_images(folder)
    return None if frame is None else [None if pd.isna(g) else int(g) for g in frame["duplicate_group"]]
