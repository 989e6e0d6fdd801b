"""How long the networks of an experiment were trained, and whether that was long enough."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from al_cxr.comparison.convergence import BEHIND, RISE, trainings, unconverged, uneven
from al_cxr.comparison.finished import Finished
from al_cxr.report.kit.prose import notes
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.rows import LABELS, ROUND


@lru_cache(maxsize=1)
def _trainings(finished: Finished) -> pd.DataFrame:
    return trainings(finished)


def training_warnings(finished: Finished) -> list[str]:
    """What a reader must know of the trainings before comparing what came of them."""
    frame = _trainings(finished)
    return [*filter(None, [uneven(frame)]), *unconverged(frame)]


def training_table(finished: Finished) -> Table:
    """Steps, how often each image was seen, and how the training ended, an arm and round."""
    frame = _trainings(finished).copy()
    frame["name"] = frame["arm"].replace("", "fully labelled")
    frame["round"] = frame["round"].where(frame["round"] >= 0)
    frame["verdict"] = np.select([frame["is_behind"], frame["is_rising"]], ["not converged", "still rising"], "")
    shown = (
        Column("arm", "name"),
        ROUND,
        LABELS,
        Column("optimizer steps", "steps", "count"),
        Column("times each image was seen", "seen", "seconds"),
        Column("training loss", "train_loss", "area"),
        Column("above that with more labels", "behind", "area"),
        Column("validation macro F1, rise, points", "rise", "points"),
        Column("", "verdict"),
    )
    remarks = notes("training", "table", behind=f"{BEHIND:g}", rise=f"{100 * RISE:.0f}")
    return Table("training", "How long each network was trained", frame, shown, remarks)
