"""The first lines of a page: what was learnt, for good and for bad news in the same sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from al_cxr.comparison import comparisons
from al_cxr.comparison.finished import Finished
from al_cxr.comparison.inference import seeds_needed, smallest_p
from al_cxr.comparison.labels import validation_uses
from al_cxr.core import enough
from al_cxr.report.kit.numbers import MISSING, bounds, interval, up_to
from al_cxr.report.kit.prose import sentence, sentences

Row = dict[str, Any]


def headline(finished: Finished) -> list[str]:
    """A few sentences, plain text: which arms beat random and by how much, what that saves, and what n supports.

    "Better" and "worse" are said only of what p and the interval agree on (`comparisons`).
    """
    if why := comparisons.too_few(finished):
        return sentences("headline", "too_few", why=why)
    areas = comparisons.areas(finished).dropna(subset="p").sort_values("difference", ascending=False, kind="stable")
    if areas.empty:
        return sentences("headline", "no_pair")
    by_verdict = {verdict: areas[areas["verdict"] == verdict] for verdict in ("better", "worse", "seeds")}
    highest, seeds_alone = areas.iloc[0].to_dict(), by_verdict["seeds"]
    pairs, family = int(areas["pairs"].min()), int(highest["family"])
    told_apart = []
    for verdict in ("better", "worse"):
        rows = by_verdict[verdict]
        if len(rows):
            told_apart.append((verdict.capitalize(), _arms(rows), rows["p_holm"].max()))
    return sentences(
        "headline",
        "headline",
        target=finished.target,
        pairs=pairs,
        family=family,
        told_apart=told_apart,
        highest=_difference(highest),
        highest_p=highest["p_holm"],
        seeds_alone=_arms(seeds_alone),
        seeds_alone_p=seeds_alone["p_holm"].max(),
        alpha=comparisons.ALPHA,
        least_p=smallest_p(pairs, family),
        needed=seeds_needed(family, comparisons.ALPHA),
        saving=_saving(finished, str(highest["arm"])),
        full=_fully_labelled(finished),
        validation=comparisons.validation_labels(finished),
        price=price(finished),
    )


def price(finished: Finished) -> str:
    """Whether the validation labels are part of the price, and what they were used for; plain text."""
    uses, count = validation_uses(finished.settings), comparisons.validation_labels(finished)
    return sentence("headline", "price", uses=uses, validation=count)


def few(finished: Finished) -> list[str]:
    """Where the test set is too small or too much of one patient for what is said of it; not what the data's own notes
    say already."""
    counts, images = finished.experiment.data.counts["test"], finished.images
    found = enough.of_split("test", counts)
    if images is not None:
        found += enough.of_patients("test", images.loc[images["split"] == "test", "patient_id"])
    return [warning for warning in found if warning not in finished.experiment.data.notes]


def _arms(rows: pd.DataFrame) -> str:
    return "; ".join(_difference(row) for row in rows.to_dict("records"))


def _difference(row: Row) -> str:
    return f"{row['arm']} {interval(row, 'difference', 'points')}"


def _saving(finished: Finished, arm: str) -> dict[str, object] | None:
    """Labels of an arm against random's last F1; None where random has no curve beside it."""
    frame = comparisons.label_savings(finished)
    rows = frame[(frame["arm"] == arm) & frame["of"].str.startswith("random")].tail(1).to_dict("records")
    if not rows:
        return None
    row = rows[0]
    times, times_all = (bounds(row, name, "times") for name in ("fewer", "fewer_all"))
    return {
        "arm": arm,
        "level": row["level"],
        "floor": row["floor"],
        "is_worthless": _is_worthless(row),
        "labels": interval(row, "arm_labels", "labels", "budget"),
        "random_labels": up_to(row, "random_labels", "labels", "budget"),
        "times": "" if times == MISSING else times,
        "times_all": "" if times_all == MISSING else times_all,
    }


def _fully_labelled(finished: Finished) -> dict[str, object] | None:
    """Labels of every arm that reaches the fully labelled model, arm by arm: the first of several to get there would be
    the luckiest; None without such a model."""
    frame = comparisons.label_savings(finished)
    rows = frame[frame["of"] == "fully labelled"]
    if rows.empty:
        return None
    row = rows.iloc[0].to_dict()
    there = rows[np.isfinite(rows["arm_labels"])].sort_values("arm_labels", kind="stable").to_dict("records")
    return {
        "size": finished.train_size,
        "level": row["level"],
        "floor": row["floor"],
        "budget": row["budget"],
        "is_worthless": _is_worthless(row),
        "arms": [f"{r['arm']} with {interval(r, 'arm_labels', 'labels', 'budget')}" for r in there],
        "others": len(rows) - len(there),
    }


def _is_worthless(row: Row) -> bool:
    """Whether always answering the target is as good."""
    return bool(row["level"] <= row["floor"])
