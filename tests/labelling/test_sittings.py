"""A reader's pace within a sitting, of answers whose times a test chose."""

from __future__ import annotations

from reading import after, at, begun, served

from al_cxr.labelling.sittings import FEWEST, PAUSE, STEP, paces
from al_cxr.labelling.state import State

MINUTE = 60.0


def read(state: State, start: float, seconds: list[float], first: int, kind: str = "answered") -> State:
    """Ann answers one image a minute from `start` seconds on, and has looked at each for so long."""
    more = {"label": "normal"} if kind == "answered" else {}
    for number, each in enumerate(seconds, start=first):
        when = start + MINUTE * (number - first)
        question = f"question{number:03}"
        after(state, served(number, "ann", question, seconds=when))
        told = state.questions[question].event(kind, at(when + each), milliseconds=round(1000 * each), **more)
        after(state, told)
    return state


def test_a_pause_begins_a_sitting_and_sittings_are_laid_over_each_other() -> None:
    state = read(begun(images=80), 0.0, [10.0] * STEP + [4.0] * FEWEST, 0)
    later = MINUTE * (STEP + FEWEST) + PAUSE.total_seconds() + 60
    read(state, later, [20.0] * STEP, STEP + FEWEST)
    start, on = paces(state, "ann")
    assert (start.first, start.median, start.low, start.high, start.n) == (0, 15.0, 10.0, 20.0, 2 * STEP)
    assert (on.first, on.median, on.n) == (STEP, 4.0, FEWEST)


def test_skips_take_a_place_and_no_time_and_too_few_answers_say_nothing() -> None:
    state = read(begun(images=80), 0.0, [1.0] * STEP, 0, "skipped")
    read(state, MINUTE * STEP, [8.0] * FEWEST, STEP)
    assert [(pace.first, pace.median, pace.n) for pace in paces(state, "ann")] == [(STEP, 8.0, FEWEST)]
    few = read(begun(images=80), 0.0, [8.0] * (FEWEST - 1), 0)
    assert paces(few, "ann") == () == paces(few, "ben")
