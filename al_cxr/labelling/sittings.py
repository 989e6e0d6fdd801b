"""How a reader's pace changes within a sitting: practice and fatigue look alike in a total, and not over the hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from al_cxr.labelling.state import State

PAUSE = timedelta(minutes=20)
"""Between two answers; after a longer one a sitting is another."""
STEP = 25
"""Images that are looked at together."""
FEWEST = 5
"""Answers below which nothing is said of a step."""


@dataclass(frozen=True)
class Pace:
    """Active seconds an answer at one step of all sittings of a reader; skips are left out."""

    first: int
    """Answers since the sitting began, at the beginning of the step."""
    median: float
    low: float
    """The middle half of the answers lies from here ..."""
    high: float
    """... to here."""
    n: int


def paces(state: State, reader: str) -> tuple[Pace, ...]:
    """By steps from the beginning of a sitting; those with too few measured answers are left out."""
    outcomes = [q.outcome for q in state.questions.values() if q.reader == reader and q.outcome is not None]
    seconds_by_step: dict[int, list[float]] = {}
    before, position = None, 0
    for one in sorted(outcomes, key=lambda outcome: outcome.number):
        position = 0 if before is None or one.time - before > PAUSE else position + 1
        before = one.time
        if one.milliseconds is not None and one.kind != "skipped":
            seconds_by_step.setdefault(position // STEP, []).append(one.milliseconds / 1000)
    made = []
    for step, seconds in sorted(seconds_by_step.items()):
        if len(seconds) >= FEWEST:
            low, median, high = np.percentile(seconds, [25, 50, 75]).tolist()
            made.append(Pace(STEP * step, median, low, high, len(seconds)))
    return tuple(made)
