"""The state is a fold over the events: the same as a plain model, in any two parts, and undone as if never said."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import CLASSES, READERS, START, after, at, begun, found, image, says, served
from reading import settings as project_settings

from al_cxr.core.errors import UserError
from al_cxr.labelling.events import DROPS, KINDS, OUTCOMES, Event
from al_cxr.labelling.state import State
from al_cxr.labelling.verdicts import POLICIES

IMAGES = 3
ACTS = ["served", "shown", "undone", *OUTCOMES, "image_lost", "image_found"]
STREAMS = ["audit", "acquisition", "second", "repeat", "doubt", "adjudication"]
WISHES = st.lists(
    st.tuples(
        st.sampled_from([*ACTS, "served", "answered", "answered"]),
        st.sampled_from(READERS),
        st.integers(0, IMAGES - 1),
        st.sampled_from(STREAMS),
        st.sampled_from(CLASSES),
        st.integers(0, 9),
    ),
    max_size=40,
)
Wish = tuple[str, str, int, str, str, int]


def event_for(state: State, wish: Wish, seconds: int) -> Event | None:
    """The event that a wish means in a state; None where it means none."""
    kind, reader, number, stream, label, which = wish
    if kind == "served":
        return served(number, reader, f"question-{len(state.questions)}", stream, seconds)
    if kind in ("image_lost", "image_found"):
        return Event(kind=kind, time=at(seconds), image=image(number))
    mine = [q for q in state.questions.values() if q.reader == reader]
    if kind == "undone":
        return says(state, state.readers[reader].undo[-1][0], kind) if state.readers[reader].undo else None
    if not mine:
        return None
    question = mine[which % len(mine)]
    if kind in ("answered", "adjudicated"):
        return says(state, question.id, "answered", label, seconds)
    return says(state, question.id, kind, seconds=seconds)


def history(wishes: list[Wish], policy: str = "adjudicated") -> tuple[State, list[Event]]:
    """A legal history, and the state that it leads to."""
    state = begun(IMAGES, policy=policy)
    events: list[Event] = []
    for seconds, wish in enumerate(wishes):
        event = event_for(state, wish, seconds)
        if event is not None:
            event = event.numbered(state.number + 1)
            state.apply(event)
            events.append(event)
    return state, events


def said_in_the_end(events: list[Event]) -> dict[str, tuple[Event, Event]]:
    """Question -> (how it was served, what was said to it last and not taken back): a plain model of the fold."""
    acts = []
    for event in events:
        if event.kind in OUTCOMES:
            acts.append(event)
        elif event.kind == "undone":
            acts.remove([act for act in acts if act.reader == event.reader][-1])
    questions = {event.question: event for event in events if event.kind == "served"}
    return {str(act.question): (questions[act.question], act) for act in acts}


def verdict_of(number: int, events: list[Event], policy: str) -> tuple[str, str | None]:
    """Status and value of an image, from the rules of the documentation."""
    last = [(asked, act) for asked, act in said_in_the_end(events).values() if asked.image == image(number)]
    ruled = [act for asked, act in last if asked.stream == "adjudication" and (act.label or act.kind in DROPS)]
    if ruled:
        ruling = max(ruled, key=lambda act: act.number)
        return ("labelled", ruling.label) if ruling.label else ("dropped", ruling.kind)
    counted = [(a, act) for a, act in last if a.stream not in ("repeat", "adjudication") and act.kind != "skipped"]
    by_reader: dict[str, list[tuple[Event, Event]]] = {}
    for asked, act in sorted(counted, key=lambda pair: pair[0].number):
        by_reader.setdefault(str(asked.reader), []).append((asked, act))
    votes = [pairs[-1][1].label or pairs[-1][1].kind for pairs in by_reader.values()]
    if not votes:
        return "unread", None
    votes = [vote for vote in votes if vote != "unsure"]
    if not votes:
        return "unsure", None
    winners = [v for v in votes if votes.count(v) == len(votes)]
    if policy == "majority":
        winners = [v for v in votes if votes.count(v) > len(votes) / 2]
    if policy == "first":
        winners = winners or votes[:1]
    if not winners:
        return "disagreed", None
    return ("dropped" if winners[0] in DROPS else "labelled"), winners[0]


@settings(max_examples=150, deadline=None)
@given(wishes=WISHES, policy=st.sampled_from(POLICIES))
def test_the_fold_of_any_history_is_what_a_plain_model_says(wishes: list[Wish], policy: str) -> None:
    state, events = history(wishes, policy)
    for number in range(IMAGES):
        verdict = state.verdict(image(number))
        assert (verdict.status, verdict.value) == verdict_of(number, events, policy)
    last = said_in_the_end(events)
    closed = {id: q.outcome for id, q in state.questions.items() if q.outcome is not None}
    assert {id: (outcome.kind, outcome.label) for id, outcome in closed.items()} == {
        id: (act.kind, act.label) for id, (_, act) in last.items()
    }
    assert state.open.keys() == state.questions.keys() - last.keys()
    status = {name: state.verdict(name).status for name in state.images}
    lost = {name for name, i in state.images.items() if not i.present and status[name] != "labelled"}
    assert state.labels().keys() == {name for name in status if status[name] == "labelled"}
    assert state.dropped().keys() == lost | {name for name in status if status[name] == "dropped"}


@settings(max_examples=60, deadline=None)
@given(wishes=WISHES, cut=st.integers(0, 40))
def test_a_history_in_two_parts_folds_to_the_same_state(wishes: list[Wish], cut: int) -> None:
    state, events = history(wishes)
    begin = begun(IMAGES, policy="adjudicated").fold(events[:cut])
    assert copy.deepcopy(begin).fold(events[cut:]) == state


@settings(max_examples=100, deadline=None)
@given(wishes=WISHES, then=WISHES)
def test_an_undone_answer_leaves_the_state_from_before_it(wishes: list[Wish], then: list[Wish]) -> None:
    state, _ = history(wishes)
    for seconds, wish in enumerate(then):
        event = event_for(state, wish, 100 + seconds)
        if event is not None and event.kind in OUTCOMES:
            before = copy.deepcopy(state)
            after(state, event, says(state, str(event.question), "undone"))
            before.number = state.number
            assert state == before


@settings(max_examples=100, deadline=None)
@given(
    wishes=WISHES, event=st.sampled_from(sorted(KINDS)), reader=st.sampled_from([*READERS, "eve"]), n=st.integers(0, 9)
)
def test_an_event_that_does_not_fit_changes_nothing(wishes: list[Wish], event: str, reader: str, n: int) -> None:
    state, _ = history(wishes)
    values = {
        "reader": reader,
        "image": image(n),
        "question": f"question-{n}",
        "label": CLASSES[n % 2] if n % 3 else "pneumonia",
        "stream": "second",
        "model": "m",
    }
    given = Event(
        kind=event,
        time=at(50),
        detail={"policy": "coin"} if n == 5 else {"lease_s": -1} if n == 6 else {},
        **{column: values[column] for column in KINDS[event].needs},
    )
    before = copy.deepcopy(state)
    try:
        after(state, given)
    except UserError:
        assert state == before
    else:
        assert state.number == before.number + 1


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (served(9, "ann", "question-9"), "image 0+9 was never in the archive"),
        (served(1, "benn", "question-9"), "no reader 'benn' in this project; did you mean 'ben'"),
        (served(1, "ann", "question-1"), "question question-1 was asked before"),
        (served(1, "ann", "question-9", lease_s="long"), "lease_s 'long' must be a number of seconds"),
        (served(1, "ann", "question-9").numbered(99), "event 99 cannot follow event 9"),
        (project_settings(policy="coin"), "policy 'coin' must be one of adjudicated, majority, first"),
        (Event(kind="settings", time=START, detail={"classes": "ab"}), "classes 'ab' must be a list of names"),
        (Event(kind="commented", time=START, reader="ann", image=image(1)), "a comment has no text"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(event: Event, message: str) -> None:
    state = after(begun(4), served(1, "ann", "question-1"))
    with pytest.raises(UserError, match=message):
        state.apply(event if event.number else event.numbered(state.number + 1))


def test_what_a_reader_may_not_say_is_one_clear_line() -> None:
    state = after(begun(), served(1, "ann", "question-1"), served(1, "cem", "question-2", "adjudication"))
    question = state.questions["question-1"]
    adjudicated = says(state, "question-2", label="normal")
    assert adjudicated.kind == "adjudicated"
    for event, message in [
        (question.event("undone", at(1)), "reader ann has no answer to take back"),
        (
            question.event("answered", at(1), label="tuberculosos"),
            "no class 'tuberculosos'; did you mean 'tuberculosis'",
        ),
        (question.event("adjudicated", at(1), label="normal"), "question-1 of stream acquisition is answered, not adj"),
        (replace(adjudicated, kind="answered"), "question-2 of stream adjudication is adjudicated, not answered"),
        (served(1, "ben", "question-1"), "was asked before"),
        (Event(kind="shown", time=at(1), reader="ben", image=image(1), question="question-1"), "of another reader"),
        (
            Event(kind="shown", time=at(1), reader="ben", image=image(1), question="question-8"),
            "no question question-8",
        ),
    ]:
        with pytest.raises(UserError, match=message):
            after(state, event)
    with pytest.raises(UserError, match="the first event of a project holds its settings"):
        after(State(), *found(1))


def test_a_policy_that_is_changed_later_holds_for_earlier_answers() -> None:
    state = after(begun(), served(1, "ann", "question-1"), served(1, "ben", "question-2", "second"))
    after(state, says(state, "question-1", label="normal"), says(state, "question-2", label="tuberculosis"))
    assert state.labels() == {}
    assert after(state, project_settings(policy="first")).labels() == {image(1): "normal"}
