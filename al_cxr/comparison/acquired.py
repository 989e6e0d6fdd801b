"""What each arm asked to have labelled: classes, sources, patients and copies, from records and images.csv."""

from __future__ import annotations

import numpy as np
import pandas as pd

from al_cxr.comparison.finished import Finished
from al_cxr.core.seeds import digest, rng
from al_cxr.strategies.budget import seed_set, seed_size


def acquired(finished: Finished) -> pd.DataFrame:
    """One row an arm, seed and round (0: the seed set): arm, seed, round, images; `class C` and `source S` (images);
    patients (known ones in the batch), new_patients (those without a labelled image before); copies_inside and
    copies_labelled (share of the batch, 0..1, with a copy in the batch itself, or labelled before).

    Needs images.csv: empty without. NaN where the labelled images are not known, because the seed set was not drawn as
    al_cxr.strategies.pool does, or where no patient or source is.
    """
    if finished.images is None:
        return pd.DataFrame()
    starts = {seed: _seed_set(finished, seed) for seed in finished.settings.seeds}
    rows = []
    for (arm, seed), rounds in finished.rounds.items():
        batches = [starts[seed], *(np.array(q.indices, np.int64) for q in finished.queries[arm, seed])]
        labelled: np.ndarray | None = np.zeros(0, np.int64)
        for number, batch in enumerate(batches[: len(rounds)]):
            if batch is None:
                labelled = None
                continue
            row = {"arm": arm, "seed": seed, "round": number, "images": len(batch)}
            rows.append(row | _described(finished.images, batch, labelled, finished.experiment.data.classes))
            labelled = None if labelled is None else np.concatenate([labelled, batch])
    return pd.DataFrame(rows)


def _seed_set(finished: Finished, seed: int) -> np.ndarray | None:
    """Drawn again as the run drew it; None where the records' hash says that it was another."""
    assert finished.images is not None
    train = np.flatnonzero(finished.images["split"].to_numpy() == "train")
    drawn = seed_set(train, seed_size(finished.settings.budget, len(train)), rng(seed, "seed_set"))
    hashes = {rounds[0].hashes["seed_set"] for (_, s), rounds in finished.rounds.items() if s == seed and rounds}
    return drawn if hashes == {digest(drawn)} else None


def _described(
    images: pd.DataFrame, batch: np.ndarray, labelled: np.ndarray | None, classes: list[str]
) -> dict[str, float]:
    new = images.iloc[batch]
    row: dict[str, float] = {f"class {name}": int((new["label"] == name).sum()) for name in classes}
    sources = sorted(set(images["source"]))
    if len(sources) > 1:
        row |= {f"source {name or 'unknown'}": int((new["source"] == name).sum()) for name in sources}
    patients = set(new["patient_id"]) - {""}
    before = None if labelled is None else images.iloc[labelled]
    known = (images["patient_id"] != "").any()
    row["patients"] = len(patients) if known else np.nan
    row["new_patients"] = len(patients - set(before["patient_id"])) if known and before is not None else np.nan
    group = new["duplicate_group"]
    row["copies_inside"] = float(group.dropna().duplicated(keep=False).sum() / len(batch))
    row["copies_labelled"] = np.nan
    if before is not None:
        row["copies_labelled"] = float(group.dropna().isin(before["duplicate_group"].dropna()).sum() / len(batch))
    return row
