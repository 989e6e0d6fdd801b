"""An event log and the state that it folds to, kept together: nothing is written that does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from al_cxr.labelling.events import Event
from al_cxr.labelling.log import EventLog
from al_cxr.labelling.state import State


class Journal:
    """An open event log with its state.

    Other processes may write to the same log: `turn` first takes in what they wrote, and nobody writes between its
    decision and its events. So two readers are never given the same image by chance of timing.
    """

    def __init__(self, log: EventLog) -> None:
        self.log, self.state = log, State()
        self.refresh()

    @classmethod
    def open(cls, path: Path) -> Journal:
        """The journal of a log that is there; UserError as `EventLog.open`, or where an event does not fit."""
        return cls(EventLog.open(path))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.log.close()

    def refresh(self) -> State:
        """The state with what other processes wrote by now."""
        with self.log.lock:
            return self.state.fold(self.log.read(after=self.state.number))

    def record(self, *events: Event) -> list[Event]:
        """Write events, all or none; they are on the disk on return. UserError where one does not fit."""
        return self.turn(lambda state: events)

    def turn(self, decide: Callable[[State], Iterable[Event]]) -> list[Event]:
        """Write what `decide` makes of the latest state, while no other process can write.

        `decide` is called within the lock, so it must be quick, and must not change the state. UserError, and nothing
        is written, where an event does not fit.
        """
        with self.log.lock:
            before = self.state.number
            try:
                with self.log.exclusive():
                    self.refresh()
                    before = self.state.number
                    written = self.log.append(*decide(self.state))
                    self.state.fold(written)
            except BaseException:
                if self.state.number != before:  # what was not written must be forgotten again
                    self.state = State()
                    self.refresh()
                raise
            return written
