"""What a labelling project is after its events: a fold over the log, which anybody can compute again.

`apply` takes the events in the order of their numbers. An event that does not fit what came before is refused before it
changes anything. The state has no clock: who asks whether a lease has ended says what time it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint
from al_cxr.labelling.events import OUTCOMES, Event
from al_cxr.labelling.questions import LEASE_S, Outcome, Question
from al_cxr.labelling.verdicts import POLICIES, UNREAD, Verdict, decide

_LONGEST_LEASE_S = 366 * 86_400


@dataclass
class Image:
    """An image that was ever in the archive."""

    detail: Mapping[str, Any]
    present: bool = True
    questions: list[Question] = field(default_factory=list)
    """In the order in which they were served."""
    verdict: Verdict = UNREAD


@dataclass
class Reader:
    """A reader, and the way back: each question that was closed, with the outcome that it had before."""

    token: str | None = None
    undo: list[tuple[str, Outcome | None]] = field(default_factory=list)


@dataclass
class State:
    """The fold over a project's events. Read its fields; only `apply` changes them."""

    number: int = 0
    """Of the last event that was applied."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    """Content hash -> image, in the order in which they were found."""
    scanned: int = 0
    """Number of the last event that found or lost an image: as long as it is the same, so is the archive."""
    lost: dict[str, None] = field(default_factory=dict)
    """Content hashes of images that are no longer in the archive, in the order in which they were lost."""
    readers: dict[str, Reader] = field(default_factory=dict)
    questions: dict[str, Question] = field(default_factory=dict)
    """Id -> question, in the order in which they were served."""
    open: dict[str, Question] = field(default_factory=dict)
    """Those without an outcome, whether their lease has ended or not."""
    comments: list[Event] = field(default_factory=list)
    models: list[Event] = field(default_factory=list)
    """The trained models, the latest last."""
    exams: list[Event] = field(default_factory=list)
    """Which models were examined on the audit, the latest last."""

    def apply(self, event: Event) -> None:
        """Take one event in. UserError, and no change, where it does not fit what came before."""
        if self.number and event.number != self.number + 1:
            raise UserError(f"event {event.number} cannot follow event {self.number}")
        if not self.number and event.kind != "settings":
            raise UserError(f"event {event.number}: the first event of a project holds its settings")
        getattr(self, "_closed" if event.kind in OUTCOMES else f"_{event.kind}")(event)
        self.number = event.number

    def fold(self, events: Iterable[Event]) -> State:
        """Apply them all; gives the state itself."""
        for event in events:
            self.apply(event)
        return self

    @property
    def policy(self) -> str:
        """Which label an image has whose readers disagree: one of `verdicts.POLICIES`."""
        return str(self.settings.get("policy", POLICIES[0]))

    def verdict(self, image: str) -> Verdict:
        """What is known of an image."""
        return self._image(image).verdict

    def labels(self) -> dict[str, str]:
        """Image -> label, of every image that has one, in the order in which they were first served."""
        verdicts = {name: self.images[name].verdict for name in self.served()}
        return {name: str(verdict.value) for name, verdict in verdicts.items() if verdict.status == "labelled"}

    def dropped(self) -> dict[str, str]:
        """Image -> why it left the pool without a label: a reader's reason, or "lost" where its file is gone."""
        lost = {name: "lost" for name in self.lost if self.images[name].verdict.status != "labelled"}
        verdicts = {name: self.images[name].verdict for name in self.served()}
        return lost | {name: str(verdict.value) for name, verdict in verdicts.items() if verdict.status == "dropped"}

    def served(self) -> list[str]:
        """The images that were ever given to a reader, in the order in which they first were."""
        return list(dict.fromkeys(question.image for question in self.questions.values()))

    def question(self, id: str) -> Question:
        """The question with an id; UserError where there is none."""
        if id not in self.questions:
            raise UserError(f"no question {id} was asked in this project" if id else "the question is not named")
        return self.questions[id]

    # ------------------------------------------------------------------------------------------ one method a kind
    def _settings(self, event: Event) -> None:
        policy = event.detail.get("policy", POLICIES[0])
        if policy not in POLICIES:
            raise UserError(f"policy {policy!r} must be one of {', '.join(POLICIES)}")
        classes = event.detail.get("classes")
        if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
            raise UserError(f"classes {classes!r} must be a list of names")
        self.settings = event.detail
        for image in self.images.values():
            image.verdict = decide(image.questions, self.policy)

    def _image_found(self, event: Event) -> None:
        assert event.image is not None
        known = self.images.setdefault(event.image, Image(event.detail))
        known.detail, known.present, self.scanned = event.detail, True, event.number
        self.lost.pop(event.image, None)

    def _image_lost(self, event: Event) -> None:
        assert event.image is not None
        self._image(event.image).present, self.scanned = False, event.number
        self.lost[event.image] = None

    def _reader_added(self, event: Event) -> None:
        assert event.reader is not None
        self.readers.setdefault(event.reader, Reader()).token = event.detail.get("token")

    def _served(self, event: Event) -> None:
        image = self._image(event.image)
        self._reader(event.reader)
        if event.question in self.questions:
            raise UserError(f"question {event.question} was asked before; every question has an id of its own")
        assert event.question is not None and event.image is not None and event.reader is not None
        assert event.stream is not None
        seconds = event.detail.get("lease_s", LEASE_S)
        if not isinstance(seconds, (int, float)) or not 0 < seconds <= _LONGEST_LEASE_S:
            raise UserError(f"lease_s {seconds!r} must be a number of seconds, above 0, at most {_LONGEST_LEASE_S:,}")
        lease = timedelta(seconds=seconds)
        question = Question(
            event.question,
            event.image,
            event.reader,
            event.stream,
            served=event.time,
            until=event.time + lease,
            lease=lease,
            model=event.model,
            strategy=event.strategy,
            q=event.q,
            number=event.number,
        )
        self.questions[question.id] = self.open[question.id] = question
        image.questions.append(question)

    def _shown(self, event: Event) -> None:
        question = self._asked(event)
        question.shown.append(event.time)
        question.until = max(question.until, event.time + question.lease)

    def _closed(self, event: Event) -> None:
        question = self._asked(event)
        if (event.kind == "adjudicated") != (question.stream == "adjudication") and event.label is not None:
            wanted = "adjudicated" if question.stream == "adjudication" else "answered"
            raise UserError(f"question {question.id} of stream {question.stream} is {wanted}, not {event.kind}")
        classes = self.settings.get("classes")
        if event.label is not None and classes is not None and event.label not in classes:
            raise UserError(f"no class {event.label!r}{hint(event.label, classes)}")
        self.readers[question.reader].undo.append((question.id, question.outcome))
        outcome = Outcome(event.kind, event.label, event.milliseconds, event.time, event.number)
        self._set(question, outcome)

    def _undone(self, event: Event) -> None:
        question = self._asked(event)
        undo = self.readers[question.reader].undo
        if not undo:
            raise UserError(f"reader {question.reader} has no answer to take back")
        if undo[-1][0] != question.id:
            raise UserError(f"reader {question.reader} answered question {undo[-1][0]} last, not {question.id}")
        self._set(question, undo.pop()[1])

    def _set(self, question: Question, outcome: Outcome | None) -> None:
        question.outcome = outcome
        if outcome is None:
            self.open[question.id] = question
        else:
            self.open.pop(question.id, None)
        image = self.images[question.image]
        image.verdict = decide(image.questions, self.policy)

    def _commented(self, event: Event) -> None:
        self._image(event.image)
        self._reader(event.reader)
        if not isinstance(event.detail.get("text"), str):
            raise UserError("a comment has no text")
        self.comments.append(event)

    def _trained(self, event: Event) -> None:
        self.models.append(event)

    def _examined(self, event: Event) -> None:
        self.exams.append(event)

    # ------------------------------------------------------------------------------------------ what must be there
    def _image(self, image: str | None) -> Image:
        if image not in self.images:
            raise UserError(f"image {image} was never in the archive of this project")
        return self.images[image]

    def _reader(self, reader: str | None) -> Reader:
        if reader not in self.readers:
            raise UserError(f"no reader {reader!r} in this project{hint(str(reader), self.readers)}")
        return self.readers[reader]

    def _asked(self, event: Event) -> Question:
        question = self.question(str(event.question))
        if (question.reader, question.image) != (event.reader, event.image):
            raise UserError(f"question {question.id} was asked of another reader, or about another image")
        return question
