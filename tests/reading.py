"""A small labelling project for tests: images by number, two classes, a clock that only the test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from al_cxr.labelling.events import CHOSEN, Event
from al_cxr.labelling.state import State

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
CLASSES = ["normal", "tuberculosis"]
READERS = ["ann", "ben", "cem"]


def at(seconds: float = 0) -> datetime:
    return START + timedelta(seconds=seconds)


def image(number: int) -> str:
    return f"{number:064x}"


def found(count: int) -> list[Event]:
    return [Event(kind="image_found", time=START, image=image(i), detail={"name": f"{i}.png"}) for i in range(count)]


def readers(*names: str) -> list[Event]:
    return [Event(kind="reader_added", time=START, reader=name) for name in names or READERS]


def served(
    number: int, reader: str, question: str, stream: str = "acquisition", seconds: float = 0, **detail: Any
) -> Event:
    return Event(
        kind="served",
        time=at(seconds),
        reader=reader,
        image=image(number),
        question=question,
        stream=stream,
        strategy="mc_entropy" if stream == "acquisition" else None,
        q=0.25 if stream in CHOSEN else None,
        detail=detail,
    )


def settings(**more: Any) -> Event:
    return Event(kind="settings", time=START, detail={"classes": CLASSES, **more})


def begun(images: int = 4, **more: Any) -> State:
    """A project with images and readers, without a question."""
    return after(State(), settings(**more), *found(images), *readers())


def after(state: State, *events: Event) -> State:
    """The state with some more events."""
    for event in events:
        state.apply(event.numbered(state.number + 1))
    return state


def says(state: State, question: str, kind: str = "answered", label: str | None = None, seconds: float = 10) -> Event:
    """What a reader says to a question that was served."""
    more: dict[str, Any] = {"label": label} if label is not None else {}
    if kind not in ("undone", "shown"):
        more["milliseconds"] = round(seconds * 1000)
    return state.questions[question].event(kind, at(seconds), **more)
