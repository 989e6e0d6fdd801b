"""Which images wait for what: a first read, a second one, a reader's own once more, or a third who decides.

All are functions of the state and of the time that the caller says it is. They give content hashes; who is asked which
of them, and with which probability, the streams decide.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from al_cxr.labelling.questions import Question
from al_cxr.labelling.state import State
from al_cxr.labelling.verdicts import reads


def holders(state: State, now: datetime) -> dict[str, list[Question]]:
    """Image -> the questions about it whose leases run."""
    found: dict[str, list[Question]] = {}
    for question in state.open.values():
        if question.held(now):
            found.setdefault(question.image, []).append(question)
    return found


def in_hand(state: State, reader: str, now: datetime) -> list[Question]:
    """The questions that a reader has and did not close yet, the first served first: where to go on after a break."""
    mine = [q for q in state.open.values() if q.reader == reader and q.held(now)]
    return sorted(mine, key=lambda question: question.number)


def unread(state: State, now: datetime, reader: str | None = None) -> list[str]:
    """Images in the archive that nobody read or holds, in the order in which they were found.

    What `reader` skipped is for others, and comes back to this reader when nothing else is left.
    """
    held = holders(state, now)
    free = [
        name
        for name, image in state.images.items()
        if image.present and image.verdict.status == "unread" and name not in held
    ]
    skipped = {q.image for q in state.questions.values() if q.reader == reader and q.outcome and not q.closed}
    return [name for name in free if name not in skipped] or free


def second_reads(state: State, reader: str, now: datetime) -> list[str]:
    """Images that one other reader read and nobody holds, those of which that reader was unsure first."""
    held = holders(state, now)
    found = [
        name
        for name in state.served()
        if state.images[name].present and name not in held and len(_readers(state, name) - {reader}) == 1
        if reader not in {q.reader for q in state.images[name].questions}
    ]
    return sorted(found, key=lambda name: state.images[name].verdict.status != "unsure")


def repeats(state: State, reader: str, distance: int) -> list[str]:
    """Images that a reader labelled `distance` or more closed questions ago, and was asked about once only."""
    mine = sorted((q for q in state.questions.values() if q.reader == reader and q.closed), key=_closed_at)
    asked = Counter(q.image for q in state.questions.values() if q.reader == reader)
    early = mine[: max(len(mine) - distance, 0)]
    return [
        q.image
        for q in early
        if q.outcome and q.outcome.label is not None and asked[q.image] == 1 and state.images[q.image].present
    ]


def disagreements(state: State) -> list[str]:
    """Images whose readers disagree and on which nobody has decided, in the order in which they were first served."""
    return [name for name in state.served() if state.images[name].verdict.status == "disagreed"]


def to_adjudicate(state: State, reader: str, now: datetime) -> list[str]:
    """Disagreements that a reader may decide: not among those who read the image, and nobody else has it in hand."""
    held = holders(state, now)
    return [
        name
        for name in disagreements(state)
        if state.images[name].present
        and name not in held
        and reader not in {q.reader for q in state.images[name].questions if q.outcome is not None}
    ]


def _readers(state: State, image: str) -> set[str]:
    return set(reads(state.images[image].questions))


def _closed_at(question: Question) -> int:
    return question.outcome.number if question.outcome else 0
