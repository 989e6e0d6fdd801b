"""Rows that all tables of rounds have: those of the arms with their number of seeds, and below them what to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from al_cxr.comparison.finished import Finished
from al_cxr.report.classes import mean_sd
from al_cxr.report.kit.prose import notes
from al_cxr.report.kit.tables import Column
from al_cxr.report.trivial import trivial

ARM = Column("arm", "arm")
ROUND = Column("round", "round", "count")
LABELS = Column("labels", "labels", "count")
SHARE = Column("of training set, %", "share", "percent")
GAIN_BASELINE = Column("gain over baseline, points", "gain_baseline", "points", "sd")
GAIN_RANDOM = Column("gain over random, points", "gain_random", "points", "sd")
SEEDS = Column("seeds", "seeds", "count", note="seeds_note")
SECONDS = ["train_s", "score_s"]
"""Columns that stand in tables of their own, because they are never the same twice."""


def with_answers(finished: Finished, frame: pd.DataFrame, baseline: bool = True) -> pd.DataFrame:
    """A frame without its seconds; below it the fully labelled models (or not) and answers that need no model; and what
    is to be said of the number of seeds of each row."""
    more = [*(_baseline(finished) if baseline else []), *trivial(finished)]
    columns = [name for name in frame if name not in SECONDS]
    return with_seeds(finished, pd.DataFrame([*frame.to_dict("records"), *more], columns=columns))


def with_seeds(finished: Finished, frame: pd.DataFrame) -> pd.DataFrame:
    """A frame with what `SEEDS` says after the number."""
    return frame.assign(seeds_note=[_seeds_note(finished, row) for row in frame.to_dict("records")])


def stopped_note(finished: Finished) -> Sequence[str]:
    """What the mark ‡ says, where there is one."""
    return notes("rounds", "stopped") if finished.stopped else ()


def _seeds_note(finished: Finished, row: Mapping[str, Any]) -> str:
    """Of how many seeds, how many of them have gains where those are fewer, and how many had stopped, so that their
    last model stands there."""
    seeds, planned = row["seeds"], len(finished.settings.seeds)
    if np.isnan(seeds):  # no model's
        return ""
    note = "" if seeds == planned else f" of {planned}"
    for of in ("baseline", "random"):
        pairs = row.get(f"gain_{of}_n", 0)
        if 0 < pairs < seeds:
            note += f", {pairs:.0f} with {of}"
    if note:
        note += " †"
    if row.get("carried", 0) > 0:
        note += f", {row['carried']:.0f} stopped ‡"
    return note


def _baseline(finished: Finished) -> list[dict[str, object]]:
    """The fully labelled models as a row, where there are any."""
    done = list(finished.baselines.values())
    if not done:
        return []
    row: dict[str, object] = {"arm": "fully labelled", "strategy": "all labels", "loss": done[0].loss}
    row |= {"labels": float(np.mean([b.n_labelled for b in done])), "seeds": len(done)}
    tests = [b.test for b in done]
    for name, values in (
        ("accuracy", [t.accuracy for t in tests]),
        ("macro_f1", [t.macro.f1 for t in tests]),
        ("f1", [t.of(finished.target).f1 for t in tests]),
    ):
        row[name], row[f"{name}_sd"] = mean_sd(values)
    return [row]
