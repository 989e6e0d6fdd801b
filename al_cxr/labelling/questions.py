"""One image given to one reader once: the question, and what the reader made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from al_cxr.labelling.events import DROPS, Event

LEASE_S = 600.0
"""Seconds that a reader may hold an image where the question says nothing else."""


@dataclass(frozen=True)
class Outcome:
    """How a reader closed a question."""

    kind: str
    """One of `events.OUTCOMES`."""
    label: str | None
    milliseconds: int | None
    """Active time; None where nobody measured it."""
    time: datetime
    number: int
    """Of the event."""

    @property
    def vote(self) -> tuple[str, str] | None:
        """What it says of the image: ("label", the class) or ("dropped", the reason); None where it says nothing."""
        if self.label is not None:
            return "label", self.label
        return ("dropped", self.kind) if self.kind in DROPS else None


@dataclass
class Question:
    """One image given to one reader once. Only the fold changes it."""

    id: str
    image: str
    reader: str
    stream: str
    served: datetime
    until: datetime
    """End of the lease."""
    lease: timedelta
    model: str | None = None
    strategy: str | None = None
    q: float | None = None
    number: int = 0
    """Of the event that served it."""
    outcome: Outcome | None = None
    """None as long as it is open."""
    shown: list[datetime] = field(default_factory=list)

    def held(self, now: datetime) -> bool:
        """Whether the reader still has the image: no outcome, and the lease has not ended."""
        return self.outcome is None and now < self.until

    @property
    def closed(self) -> bool:
        """Whether it has an outcome that is not a skip."""
        return self.outcome is not None and self.outcome.kind != "skipped"

    def event(self, kind: str, time: datetime, **more: Any) -> Event:
        """An event about this question, such as `event("answered", now, label="normal", milliseconds=4200)`; what is
        answered to an adjudication is `adjudicated`."""
        kind = "adjudicated" if (kind, self.stream) == ("answered", "adjudication") else kind
        return Event(kind=kind, time=time, reader=self.reader, image=self.image, question=self.id, **more)
