"""What can happen in a labelling project, one event at a time: its kinds, and what each of them says.

An event never changes. What is labelled, who holds which image and what a reader may undo are a fold over all events
(`state.py`); the file that they lie in is `log.py`'s.
"""

from __future__ import annotations

import copy
import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

QUESTION = ("reader", "image", "question")
"""The columns that every event about a question has."""
STREAMS = MappingProxyType(
    {
        "seed": "the first images, before there is a model",
        "acquisition": "chosen by the project's strategy, to train on",
        "audit": "drawn uniformly at random, to test on; never trained on",
        "second": "read by another reader before; that answer is not shown",
        "repeat": "read by the same reader before; it measures the reader and does not count towards the label",
        "doubt": "read before; models that have not learned from the answer take it for wrong",
        "adjudication": "two readers disagree; a third sees both answers and decides",
        "imported": "labelled elsewhere; how the image was chosen is not known",
    }
)
"""Why an image was given to a reader -> what it means."""
CHOSEN = ("seed", "acquisition", "audit")
"""Streams whose questions must say with which probability their image was chosen."""


@dataclass(frozen=True)
class Kind:
    """What an event of a kind means, which columns it must have and which it may have."""

    meaning: str
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    """Keys of `detail` that are read -> what they mean."""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "settings": Kind(
            "the project was made, or its settings were changed; detail is all of them",
            details={
                "classes": "list of the labels that may be given",
                "policy": "adjudicated, majority or first: the label of an image whose readers disagree",
            },
        ),
        "image_found": Kind(
            "an image is in the archive; detail says what is known of it",
            ("image",),
            details={"name": "what it is called in the archive", "patient_id": "whose image it is, where known"},
        ),
        "image_lost": Kind("an image is no longer in the archive; what was said of it stays", ("image",)),
        "reader_added": Kind(
            "a reader may answer from now on, or has a new token", ("reader",), details={"token": "its salted hash"}
        ),
        "served": Kind(
            "a reader was given an image, and holds it until the lease ends",
            (*QUESTION, "stream"),
            ("model", "strategy", "q"),
            {"lease_s": "seconds that the reader may hold it; 600 where it is not there"},
        ),
        "shown": Kind("the reader has the image before the eyes; the lease begins anew", QUESTION),
        "answered": Kind(
            "the reader gave a label, or another one than before", (*QUESTION, "label"), ("milliseconds",)
        ),
        "unsure": Kind("the reader cannot say; an answer without a label", QUESTION, ("milliseconds",)),
        "skipped": Kind("no answer; the image goes back to the pool", QUESTION, ("milliseconds",)),
        "unreadable": Kind("the image cannot be read; it leaves the pool", QUESTION, ("milliseconds",)),
        "not_frontal_chest": Kind(
            "the image is no frontal chest radiograph; it leaves the pool", QUESTION, ("milliseconds",)
        ),
        "adjudicated": Kind("a third reader decided what two disagreed on", (*QUESTION, "label"), ("milliseconds",)),
        "undone": Kind("the reader took the last answer back; what was before holds again", QUESTION),
        "commented": Kind(
            "a reader wrote something about an image", ("reader", "image"), ("question",), {"text": "what was written"}
        ),
        "trained": Kind("a model was trained; later questions may come from it", ("model",)),
        "examined": Kind(
            "a model sat an exam on the audit: whether it reaches the project's goal",
            ("model",),
            details={"size": "images of the exam", "passed": "whether it reached the goal", "low": "lower bound"},
        ),
    }
)
"""Every kind of event."""

OUTCOMES = ("answered", "unsure", "skipped", "unreadable", "not_frontal_chest", "adjudicated")
"""Kinds that close a question; a later one replaces an earlier one, and `undone` takes the last back."""
DROPS = ("unreadable", "not_frontal_chest")
"""Outcomes that take an image out of the pool."""

_SHAPES = {
    "image": (re.compile(r"[0-9a-f]{16,128}"), "the hash of its content, 16 to 128 small hexadecimal digits"),
    "question": (re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{7,63}"), "8 to 64 letters, digits, _ and -"),
}
_TEXTS = ("reader", "label", "model", "strategy")
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_LONGEST_TEXT, _LONGEST_DETAIL = 200, 65_536


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened. Its fields are the columns of the log.

    Times are UTC to the millisecond. ValueError where the kind is unknown, a column is missing, is not one of the
    kind's, or holds what it may not hold.
    """

    kind: str
    """One of `KINDS`."""
    time: datetime
    reader: str | None = None
    """Who did it."""
    image: str | None = None
    """Hash of the image's content."""
    question: str | None = None
    """Random id of one image given to one reader once."""
    label: str | None = None
    """The class that was given."""
    milliseconds: int | None = None
    """Active time on the question, without pauses."""
    model: str | None = None
    """Key of the model that chose the image, or that was trained."""
    stream: str | None = None
    """One of `STREAMS`."""
    strategy: str | None = None
    """What chose the image."""
    q: float | None = None
    """Probability with which the image was chosen, above 0, at most 1."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else belongs to it, as JSON has it."""
    number: int = 0
    """Its place in the log, from 1 on; 0 as long as it is not written."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of event; there are {', '.join(KINDS)}")
        if self.time.tzinfo is None:
            raise ValueError(f"{self.kind}: the time {self.time} has no time zone")
        time = self.time.astimezone(UTC)
        object.__setattr__(self, "time", time.replace(microsecond=time.microsecond // 1000 * 1000))
        kind, given = KINDS[self.kind], {column for column in COLUMNS if getattr(self, column) is not None}
        for column in given.difference(kind.needs, kind.may):
            raise ValueError(f"{self.kind} has no {column}")
        for column in kind.needs:
            if column not in given:
                raise ValueError(f"{self.kind} needs a {column}")
        self._check_values()
        object.__setattr__(self, "detail", json.loads(self.detail_json()) if self.detail else {})

    def numbered(self, number: int) -> Event:
        """The same event at a place in the log."""
        event = copy.copy(self)
        object.__setattr__(event, "number", number)
        return event

    def _check_values(self) -> None:
        for column, (shape, words) in _SHAPES.items():
            value = getattr(self, column)
            if value is not None and not shape.fullmatch(value):
                raise ValueError(f"{self.kind}: {column} {value!r} must be {words}")
        for column in _TEXTS:
            value = getattr(self, column)
            if value is not None and not (0 < len(value) <= _LONGEST_TEXT and value.isprintable()):
                raise ValueError(f"{self.kind}: {column} must be 1 to {_LONGEST_TEXT} printable characters")
        if self.stream is not None and self.stream not in STREAMS:
            raise ValueError(f"{self.kind}: {self.stream!r} is no stream; there are {', '.join(STREAMS)}")
        if self.stream in CHOSEN and self.q is None:
            raise ValueError(f"{self.kind}: stream {self.stream} needs q, the probability that the image was chosen")
        if self.q is not None and not (math.isfinite(self.q) and 0 < self.q <= 1):
            raise ValueError(f"{self.kind}: q {self.q} must be above 0 and at most 1")
        if self.milliseconds is not None and self.milliseconds < 0:
            raise ValueError(f"{self.kind}: milliseconds {self.milliseconds} must be 0 or more")
        if len(self.detail_json()) > _LONGEST_DETAIL:
            raise ValueError(f"{self.kind}: detail is longer than {_LONGEST_DETAIL:,} characters")

    def detail_json(self) -> str:
        """`detail` as the log has it: one spelling of the same content. ValueError where JSON cannot hold it."""
        try:
            return json.dumps(
                dict(self.detail), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
            )
        except TypeError as error:
            raise ValueError(f"{self.kind}: detail is not JSON: {error}") from None


COLUMNS = ("reader", "image", "question", "label", "milliseconds", "model", "stream", "strategy", "q")
"""Columns that an event may or may not have; number, time, kind and detail it always has."""


def new_question() -> str:
    """A fresh random id of a question: it says nothing about the image."""
    return secrets.token_hex(8)
