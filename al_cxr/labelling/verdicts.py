"""What is known of an image from all that its readers said: a label, that it is no use, or that they disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from al_cxr.labelling.questions import Outcome, Question

POLICIES = ("adjudicated", "majority", "first")
"""Which label an image has whose readers disagree: none until a third decided, what more than half of them say, or what
the reader says who was given it first. What was adjudicated holds under each."""


@dataclass(frozen=True)
class Verdict:
    """What is known of an image."""

    status: Literal["unread", "labelled", "dropped", "unsure", "disagreed"]
    value: str | None = None
    """The label of a labelled image, the reason of a dropped one."""
    adjudicated: bool = False


UNREAD = Verdict("unread")


def reads(questions: Iterable[Question]) -> dict[str, Outcome]:
    """Reader -> the outcome of theirs that counts, the reader who was given the image first first.

    It is that of their latest question that they did not skip. Repeats measure the reader, and adjudications stand
    above the readers: neither counts here.
    """
    counted: dict[str, Outcome] = {}
    for question in questions:
        if question.closed and question.stream not in ("repeat", "adjudication"):
            assert question.outcome is not None
            counted[question.reader] = question.outcome
    return counted


def decide(questions: Iterable[Question], policy: str) -> Verdict:
    """The verdict on an image from its questions, in the order in which they were served."""
    questions = list(questions)
    rulings = [q.outcome for q in questions if q.stream == "adjudication" and q.outcome and q.outcome.vote]
    if rulings:
        return _verdict(max(rulings, key=lambda outcome: outcome.number).vote, adjudicated=True)
    counted = reads(questions)
    if not counted:
        return UNREAD
    votes = [outcome.vote for outcome in counted.values() if outcome.vote is not None]
    if not votes:
        return Verdict("unsure")
    vote, count = Counter(votes).most_common(1)[0]
    if count == len(votes) or (policy == "majority" and 2 * count > len(votes)):
        return _verdict(vote)
    return _verdict(votes[0]) if policy == "first" else Verdict("disagreed")


def _verdict(vote: tuple[str, str] | None, adjudicated: bool = False) -> Verdict:
    assert vote is not None
    return Verdict("labelled" if vote[0] == "label" else "dropped", vote[1], adjudicated)
