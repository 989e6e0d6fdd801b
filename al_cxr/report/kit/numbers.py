"""How a number is printed, and an estimate: with its spread, its interval, or the bounds that a budget leaves it.

An estimate is a row of a frame, whose columns are named after the first: NAME, NAME_sd (standard deviation over seeds),
NAME_low and NAME_high (ends of the interval), NAME_least and NAME_most (what the true value lies between where a budget
ended before it was known), NAME_seed_S (of one seed).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["text", "count", "labels", "percent", "points", "area", "times", "seconds", "p"]
"""The unit. `percent` is of a share (0..1), `points` of a difference of shares; `labels` are whole; `times` a ratio."""

MISSING = "—"


def number(value: Any, kind: Kind) -> str:
    """One value as it is printed; a text stays one."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    match kind:
        case "text":
            return str(value)
        case "count":
            return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
        case "labels":
            return f"{math.ceil(value - 1e-9):,}"
        case "area":
            return f"{value:.3f}"
        case "times":
            return f"{value:.2f}"
        case "seconds":
            return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
        case "p":
            return "< 0.0001" if value < 1e-4 else f"{value:.3g}"
    rounded = round(100 * value, 1) + 0.0  # + 0.0 turns -0.0 into 0.0
    return (f"{rounded:+.1f}" if kind == "points" and rounded else f"{rounded:.1f}").replace("-", "−")


def spread(row: Mapping[str, Any], name: str, kind: Kind) -> str:
    """The standard deviation of NAME in the unit of its value; one seed has none."""
    return number(row.get(f"{name}_sd"), "percent" if kind == "points" else kind)


def up_to(row: Mapping[str, Any], name: str, kind: Kind, budget: str = "") -> str:
    """NAME; `> N` where it is infinite, because the N in the column `budget` were not enough."""
    value = row.get(name)
    return f"> {number(row[budget], kind)}" if budget and value == math.inf else number(value, kind)


def interval(row: Mapping[str, Any], name: str, kind: Kind, budget: str = "") -> str:
    """`NAME (NAME_low to NAME_high)`; the bare number where it has no interval."""
    value, low, high = (up_to(row, f"{name}{end}", kind, budget) for end in ("", "_low", "_high"))
    return value if MISSING in (value, low, high) else f"{value} ({low} to {high})"


def bounds(row: Mapping[str, Any], name: str, kind: Kind) -> str:
    """`at least 1.35 (1.10 or more)`: the number, or the bound that a budget leaves, and so with the interval.

    NAME_least 0 and NAME_most infinity leave it open altogether; NAME_low 0 and NAME_high infinity the interval.
    """
    least, most, low, high = (row.get(f"{name}_{end}", math.nan) for end in ("least", "most", "low", "high"))
    if math.isnan(least) or (least == 0 and most == math.inf):
        return MISSING
    if most == math.inf:
        value = f"at least {number(least, kind)}"
    elif least == 0:
        value = f"at most {number(most, kind)}"
    else:
        value = number(least, kind)
    return f"{value} ({_ends(low, high, kind)})"


def _ends(low: float, high: float, kind: Kind) -> str:
    """An interval as far as it is bounded: in some samples the budget ended first."""
    if low == 0 and high == math.inf:
        return "not bounded"
    if high == math.inf:
        return f"{number(low, kind)} or more"
    if low == 0:
        return f"{number(high, kind)} or less"
    return f"{number(low, kind)} to {number(high, kind)}"
