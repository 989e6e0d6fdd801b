"""Disagreements, as the reader gets them who decides: the image and what was said of it, and by nobody knows whom."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from al_cxr.core.drafts import write_atomically
from al_cxr.core.outputs import must_be_ours
from al_cxr.labelling.events import Event, new_question
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.questions import Question
from al_cxr.labelling.queues import in_hand, to_adjudicate
from al_cxr.labelling.state import State
from al_cxr.labelling.verdicts import reads

COLUMNS = ("question", "file", "said", "label", "comment")
"""Of the file for the reader who decides."""


@dataclass(frozen=True)
class Disagreement:
    """One image on which a reader is to decide."""

    question: str
    """Id; what is answered to it is the label of the image, whatever its readers said."""
    image: str
    said: tuple[str, ...]
    """Labels and reasons, in the order of the alphabet, as often as they were said."""


def said_of(state: State, image: str) -> tuple[str, ...]:
    """What the readers of an image said, without who said it."""
    return tuple(sorted(outcome.label or outcome.kind for outcome in reads(state.images[image].questions).values()))


def hand_out(journal: Journal, reader: str, n: int, now: datetime, lease_s: float) -> list[Disagreement]:
    """Up to n disagreements for a reader who read none of these images: first those that the reader has already."""

    def decide(state: State) -> Iterator[Event]:
        if reader not in state.readers:
            yield Event(kind="reader_added", time=now, reader=reader)
        mine = {question.image for question in _in_hand(state, reader, now)}
        for image in to_adjudicate(state, reader, now)[: max(n - len(mine), 0)]:
            yield Event(
                kind="served",
                time=now,
                reader=reader,
                image=image,
                question=new_question(),
                stream="adjudication",
                detail={"lease_s": lease_s},
            )

    journal.turn(lambda state: list(decide(state)))
    state = journal.state
    return [Disagreement(q.id, q.image, said_of(state, q.image)) for q in _in_hand(state, reader, now)[:n]]


def write_disagreements(found: Sequence[Disagreement], file_of: Callable[[str], Path], out: Path) -> None:
    """A CSV of `COLUMNS` for the reader, who fills `label`. The same again changes nothing; UserError where the file
    holds anything else, such as decisions that were not told yet."""
    text = io.StringIO()
    rows = ([one.question, str(file_of(one.image)), " / ".join(one.said), "", ""] for one in found)
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    data = text.getvalue().encode("utf-8", "surrogateescape")
    must_be_ours(out, lambda path: path.read_bytes() == data)
    write_atomically(out, data)


def _in_hand(state: State, reader: str, now: datetime) -> list[Question]:
    """Adjudications that the reader has, as long as they are disagreements."""
    mine = in_hand(state, reader, now)
    return [q for q in mine if q.stream == "adjudication" and state.verdict(q.image).status == "disagreed"]
