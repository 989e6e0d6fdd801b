"""What a project knows as rows: one a label, one an answer, one an image that is no use. The basis of every export."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from al_cxr.labelling.events import Event
from al_cxr.labelling.questions import Question
from al_cxr.labelling.state import State
from al_cxr.labelling.verdicts import reads


@dataclass(frozen=True)
class Column:
    """A column of a table, in words."""

    name: str
    meaning: str


LABELS = (
    Column("path", "the image in the archive"),
    Column("label", "its class"),
    Column("patient_id", "whose image it is, where the archive says so"),
    Column("stream", "why the image was first given to a reader; audit images were never trained on"),
    Column("strategy", "what chose it"),
    Column("q", "probability with which it was chosen"),
    Column("model", "key of the model that chose it"),
    Column("readers", "who read it, the first one first"),
    Column("votes", "readers who gave a label or a reason to drop it"),
    Column("agreeing", "of these, those who gave this label"),
    Column("adjudicated", "1 where a third reader decided, else 0"),
    Column("time", "of the answer that gave it this label, UTC"),
    Column("seconds", "active time of all its readers, where it was measured"),
    Column("image_hash", "of its content"),
)
ANSWERS = (
    Column("path", "the image in the archive"),
    Column("reader", "who was asked"),
    Column("answer", "answered, unsure, skipped, unreadable, not_frontal_chest or adjudicated"),
    Column("label", "the class that was given"),
    Column("counts", "1 where it is the reader's vote on the image, else 0: skips, repeats, earlier readings"),
    Column("time", "of the answer as it is now, UTC"),
    Column("seconds", "active time, where it was measured"),
    Column("stream", "why the image was given to the reader"),
    Column("strategy", "what chose it"),
    Column("q", "probability with which it was chosen"),
    Column("model", "key of the model that chose it"),
    Column("comment", "what the reader wrote to it"),
    Column("question", "id of the question"),
    Column("image_hash", "of its content"),
)
DROPPED = (
    Column("path", "the image in the archive"),
    Column("reason", "unreadable, not_frontal_chest, or lost: its file is gone"),
    Column("readers", "who read it"),
    Column("image_hash", "of its content"),
)


def label_table(state: State) -> pd.DataFrame:
    """One row an image with a label, in the order in which they were first served; the columns of `LABELS`."""
    return _frame(LABELS, (_label(state, image, label) for image, label in state.labels().items()))


def answer_table(state: State) -> pd.DataFrame:
    """One row a question that a reader closed, as it stands now, in the order in which they were served; the columns of
    `ANSWERS`."""
    comments: dict[str | None, list[str]] = {}
    for comment in state.comments:
        comments.setdefault(comment.question, []).append(_text(comment))
    closed = (q for q in state.questions.values() if q.outcome is not None)
    return _frame(ANSWERS, (_answer(state, q, "; ".join(comments.get(q.id, []))) for q in closed))


def dropped_table(state: State) -> pd.DataFrame:
    """One row an image that left the pool without a label; the columns of `DROPPED`."""
    rows: list[dict[str, object]] = []
    for image, reason in state.dropped().items():
        readers = "; ".join(reads(state.images[image].questions))
        rows.append({"path": _path(state, image), "reason": reason, "readers": readers, "image_hash": image})
    return _frame(DROPPED, rows)


def _label(state: State, image: str, label: str) -> dict[str, object]:
    questions = state.images[image].questions
    first = next(q for q in questions if q.closed)
    counted = reads(questions)
    votes = [outcome.vote for outcome in counted.values() if outcome.vote is not None]
    outcomes = [q.outcome for q in questions if q.outcome is not None and q.closed]
    giving = [outcome for outcome in outcomes if outcome.label == label]
    return {
        **_chosen(first),
        "path": _path(state, image),
        "label": label,
        "patient_id": state.images[image].detail.get("patient_id"),
        "readers": "; ".join(counted),
        "votes": len(votes),
        "agreeing": votes.count(("label", label)),
        "adjudicated": int(state.verdict(image).adjudicated),
        "time": _time(max(outcome.time for outcome in giving)),
        "seconds": _seconds(outcome.milliseconds for outcome in outcomes),
    }


def _answer(state: State, question: Question, comment: str) -> dict[str, object]:
    outcome = question.outcome
    assert outcome is not None
    counts = reads(state.images[question.image].questions).get(question.reader) is outcome
    return {
        **_chosen(question),
        "path": _path(state, question.image),
        "reader": question.reader,
        "answer": outcome.kind,
        "label": outcome.label,
        "counts": int(counts),
        "time": _time(outcome.time),
        "seconds": _seconds([outcome.milliseconds]),
        "comment": comment,
        "question": question.id,
    }


def _chosen(question: Question) -> dict[str, object]:
    """How the image of a question was chosen."""
    return {
        "stream": question.stream,
        "strategy": question.strategy,
        "q": question.q,
        "model": question.model,
        "image_hash": question.image,
    }


def _frame(columns: Iterable[Column], rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=[column.name for column in columns])


def _seconds(milliseconds: Iterable[int | None]) -> float | None:
    known = [each for each in milliseconds if each is not None]
    return sum(known) / 1000 if known else None


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _path(state: State, image: str) -> str:
    return str(state.images[image].detail.get("name", image))


def _text(comment: Event) -> str:
    """A comment on one line; a table program must not take it for a formula."""
    text = " ".join(str(comment.detail["text"]).split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
