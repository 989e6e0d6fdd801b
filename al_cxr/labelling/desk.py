"""Where questions are handed out and answers taken: each in one turn of the log, in which no other process writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint
from al_cxr.labelling.answers import Answer, outcome_of
from al_cxr.labelling.archive import Archive
from al_cxr.labelling.events import Event, new_question
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.questions import Outcome, Question
from al_cxr.labelling.readers import reader_name
from al_cxr.labelling.settings import ProjectSettings
from al_cxr.labelling.state import State
from al_cxr.labelling.streams import Deal

Clock = Callable[[], datetime]
Dealing = Callable[[State, datetime, int], Sequence[Deal]]
"""The next n questions of a reader, as things are at a time."""


class Desk:
    """Hands out the questions of a project."""

    def __init__(self, settings: ProjectSettings, journal: Journal, archive: Archive, clock: Clock) -> None:
        self._settings, self._journal, self._archive, self._clock = settings, journal, archive, clock

    def reader(self, text: str) -> str:
        """A reader's name in its one spelling; UserError for none, and for one whom the project does not name."""
        names = self._settings.readers.names
        name = reader_name(text, names or self._journal.state.readers)
        if names and name not in names:
            raise UserError(f"reader {name!r} is none of readers.names in project.yaml{hint(name, names)}")
        return name

    def add_reader(self, reader: str, token: str) -> None:
        """Let a reader in, or give a known one another token; `token` is its hash."""
        event = Event(kind="reader_added", time=self._clock(), reader=reader, detail={"token": token})
        self._journal.record(event)

    def hand_out(
        self, n: int, reader: str, streams: Sequence[str], deal: Dealing, minutes: float | None
    ) -> list[Question]:
        """The next n questions of a reader, those first of some streams that are open; fewer where fewer are left."""
        lease = 60 * (self._settings.readers.lease_minutes if minutes is None else minutes)

        def decide(state: State) -> Iterator[Event]:
            now = self._clock()
            if reader not in state.readers:
                yield Event(kind="reader_added", time=now, reader=reader)
            mine = self._in_hand(state, reader, now, streams)
            yield from (q.event("shown", now) for q in mine if not q.held(now))
            yield from (self._served(dealt, reader, now, lease) for dealt in deal(state, now, n - len(mine)))

        self._journal.turn(lambda state: list(decide(state)))
        return self._in_hand(self._journal.state, reader, self._clock(), streams)[:n]

    def take(self, answers: Sequence[Answer], reader: str) -> int:
        """Take answers, all or none; how many of them were new."""
        written = self._journal.turn(lambda state: [e for one in answers for e in self._told(state, one, reader)])
        return sum(event.kind != "commented" for event in written)

    def comment(self, question: str, text: str, reader: str) -> None:
        """Keep what a reader says of an image, answered or not."""

        def decide(state: State) -> list[Event]:
            return list(self._said(state, self._own(state, question, reader), text))

        self._journal.turn(decide)

    def take_back(self, reader: str) -> tuple[Question, Outcome]:
        """Undo the reader's last answer; the question is the reader's again, and what the answer was."""
        before: list[Outcome | None] = []

        def decide(state: State) -> list[Event]:
            if reader not in state.readers or not state.readers[reader].undo:
                raise UserError(f"reader {reader} has no answer to take back")
            question, now = state.question(state.readers[reader].undo[-1][0]), self._clock()
            before.append(question.outcome)
            return [question.event("undone", now), question.event("shown", now)]

        question = self._journal.state.question(str(self._journal.turn(decide)[0].question))
        assert before[0] is not None
        return question, before[0]

    def show(self, question: str) -> None:
        """The reader has the image before the eyes."""
        self._journal.turn(lambda state: [state.question(question).event("shown", self._clock())])

    def _in_hand(self, state: State, reader: str, now: datetime, streams: Sequence[str]) -> list[Question]:
        """What the reader was asked and has not answered, as long as nobody else has taken the image over."""
        mine = [q for q in state.open.values() if q.reader == reader and q.stream in streams]
        free = [q for q in mine if state.images[q.image].present and (q.held(now) or _free(state, q, now))]
        return sorted(free, key=lambda question: question.number)

    def _served(self, deal: Deal, reader: str, now: datetime, lease_s: float) -> Event:
        return Event(
            kind="served",
            time=now,
            reader=reader,
            image=self._archive.images[deal.index].digest,
            question=new_question(),
            stream=deal.stream,
            strategy=deal.strategy,
            model=deal.model or None,
            q=deal.q,
            detail={"lease_s": lease_s},
        )

    def _own(self, state: State, id: str, reader: str) -> Question:
        question = state.question(id)
        if question.reader != reader:
            raise UserError(f"question {question.id} was asked of another reader than {reader}")
        return question

    def _told(self, state: State, answer: Answer, reader: str) -> Iterator[Event]:
        question, now = self._own(state, answer.question, reader), self._clock()
        kind, label = outcome_of(answer.answer, self._settings.classes)
        before = question.outcome
        if before is None or (before.kind, before.label) != (kind, label):
            given = {} if label is None else {"label": label}
            detail = {"view": dict(answer.view)} if answer.view else {}
            yield question.event(kind, now, milliseconds=answer.milliseconds, detail=detail, **given)
        yield from self._said(state, question, answer.comment)

    def _said(self, state: State, question: Question, text: str) -> Iterator[Event]:
        if text and not any(e.question == question.id and e.detail["text"] == text for e in state.comments):
            yield question.event("commented", self._clock(), detail={"text": text})


def _free(state: State, question: Question, now: datetime) -> bool:
    """Whether nobody else was given the image after the lease of this question ended."""
    others = (q for q in state.images[question.image].questions if q.reader != question.reader)
    return not any(q.closed or q.held(now) for q in others if q.number > question.number)
