"""How an estimate is printed: with its interval, with a bound where a budget ended, with its p."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from al_cxr.report.tables import MISSING, Kind, number


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


def times(row: Mapping[str, Any]) -> str:
    """Labels that random needs by those of the arm: a number, or the bound that the budget leaves, and its interval."""
    arm, random, budget = row["arm_labels"], row["random_labels"], row["budget"]
    if math.isnan(arm) or math.isnan(random):
        return MISSING
    if math.isinf(arm) and math.isinf(random):
        return MISSING
    bound = "<" if math.isinf(arm) else ">" if math.isinf(random) else ""
    ratio = min(random, budget) / min(arm, budget)
    return f"{bound} {ratio:.2f} ".lstrip() + f"({_ratio(row['fewer_low'])} to {_ratio(row['fewer_high'])})"


def _ratio(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.2f}" if value else "< 1"  # 0: the arm alone did not get there
