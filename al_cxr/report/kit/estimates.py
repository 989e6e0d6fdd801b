"""How an estimate is printed: with its interval, with a bound where a budget ended, with its p."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from al_cxr.comparison.comparisons import validation_labels
from al_cxr.comparison.finished import Finished
from al_cxr.comparison.labels import validation_uses
from al_cxr.report.kit.tables import MISSING, Kind, number


def between(row: Mapping[str, Any], name: str, kind: Kind) -> str:
    """`NAME (NAME_low to NAME_high)` of a row; the bare number where it has no interval."""
    value, low, high = (number(row.get(key), kind) for key in (name, f"{name}_low", f"{name}_high"))
    return value if MISSING in (value, low, high) else f"{value} ({low} to {high})"


def p_value(p: float) -> str:
    if p is None or math.isnan(p):
        return MISSING
    return "< 0.0001" if p < 1e-4 else f"{p:.3g}"


def labels(count: float, budget: float) -> str:
    """A number of labels, whole; `> N` where the N that were looked at were not enough."""
    if count is None or math.isnan(count):
        return MISSING
    return f"> {budget:,.0f}" if math.isinf(count) else f"{math.ceil(count - 1e-9):,}"


def labels_between(row: Mapping[str, Any], name: str) -> str:
    value, budget = labels(row[name], row["budget"]), row["budget"]
    if value == MISSING:
        return MISSING
    return f"{value} ({labels(row[f'{name}_low'], budget)} to {labels(row[f'{name}_high'], budget)})"


def times(row: Mapping[str, Any], name: str) -> str:
    """How many times more labels random needs: a number, or the bound that the budget leaves ("at least 1.35"), and the
    interval as far as the budget bounds it."""
    least, most = row[f"{name}_least"], row[f"{name}_most"]
    if math.isnan(least) or (least == 0 and math.isinf(most)):
        return MISSING
    value = f"at least {least:.2f}" if math.isinf(most) else f"at most {most:.2f}" if least == 0 else f"{least:.2f}"
    return f"{value} ({_bounds(row[f'{name}_low'], row[f'{name}_high'])})"


def _bounds(low: float, high: float) -> str:
    """0 and infinity: the arm, or random, does not get there in some samples, so the budget bounds nothing there."""
    if low == 0 and math.isinf(high):
        return "not bounded"
    if math.isinf(high):
        return f"{low:.2f} or more"
    return f"{low:.2f} to {high:.2f}" if low else f"{high:.2f} or less"


def beside(finished: Finished) -> str:
    """What the validation labels were used for: part of the price, or not."""
    count, uses = f"{validation_labels(finished):,}", validation_uses(finished.settings)
    if not uses:
        return (
            "No validation label was used within this run to train or to choose: the "
            f"{count} validation images only judge."
        )
    listed = "; ".join(uses)
    return f"The {count} validation labels are part of the price of every arm: they decided {listed}."
