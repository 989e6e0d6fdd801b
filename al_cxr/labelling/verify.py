"""Whether an event log is as it was written: complete, in order, unchanged, and a project from its first event on."""

from __future__ import annotations

from collections.abc import Iterator

from al_cxr.core.errors import UserError
from al_cxr.labelling import schema
from al_cxr.labelling.log import START, EventLog, chained, event_of
from al_cxr.labelling.state import State

MOST = 20
"""Problems that are listed; of more, the number is said."""


def verify(log: EventLog) -> list[str]:
    """What is wrong with a log, a sentence each; empty where nothing is.

    The chain of hashes finds every change that was made without computing the hashes anew. Who computes them anew is
    found by comparing `EventLog.head` with the one that was written down earlier, in an export or a model's card.
    """
    found = list(_of_the_file(log))
    if not found:
        found = list(_of_the_rows(log))
    more = len(found) - MOST
    return found if more <= 0 else [*found[:MOST], f"and {more:,} more"]


def _of_the_file(log: EventLog) -> Iterator[str]:
    for line in log.damage():
        yield f"the file is damaged: {line}"


def _of_the_rows(log: EventLog) -> Iterator[str]:
    for name in sorted(schema.TRIGGERS.keys() - log.protected()):
        yield f"the protection {name} was taken out of the file"
    number, previous, state = 0, START, State()
    fits = True
    for *values, kept in log.rows():
        gap = int(values[0]) - number - 1
        if gap:
            yield _missing(number + 1, number + gap)
        elif kept != chained(previous, tuple(values)):
            yield f"event {values[0]} was changed after it was written, or the event before it was"
        number, previous = int(values[0]), str(kept)
        if fits:
            try:
                state.number = number - 1 if gap else state.number
                state.apply(event_of(tuple(values)))
            except (UserError, TypeError, ValueError) as error:
                fits = False
                yield f"event {number} does not fit what came before it: {error}"
    if log.ever() > number:
        yield _missing(number + 1, log.ever())
    elif not number:
        yield "there is no event in it"


def _missing(first: int, last: int) -> str:
    return f"event {first} is missing" if first == last else f"events {first} to {last} are missing"
