"""Who may be asked what: leases, second reads, repeats and disagreements, as of any time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import CLASSES, after, at, begun, image, says, served
from test_state import IMAGES, WISHES, Wish, history

from al_cxr.labelling.adjudication import said_of
from al_cxr.labelling.events import Event
from al_cxr.labelling.pool import pool_of
from al_cxr.labelling.queues import (
    disagreements,
    holders,
    in_hand,
    repeats,
    second_reads,
    to_adjudicate,
    unread,
)
from al_cxr.labelling.state import State

MINUTE = 60


def numbers(images: list[str]) -> list[int]:
    return [int(name, 16) for name in images]


def read(state: State, number: int, reader: str, stream: str = "audit", **said: str) -> State:
    """An image is served to a reader who closes the question."""
    question = f"question-{len(state.questions)}"
    after(state, served(number, reader, question, stream))
    return after(state, says(state, question, **said))


def test_an_image_is_kept_for_ten_minutes_for_the_reader_who_has_it() -> None:
    state = after(begun(2), served(0, "ann", "question-0"))
    assert list(holders(state, at(10 * MINUTE - 1))) == [image(0)]
    assert numbers(unread(state, at(10 * MINUTE - 1))) == [1] and numbers(unread(state, at(10 * MINUTE))) == [0, 1]
    assert [q.id for q in in_hand(state, "ann", at(0))] == ["question-0"] and in_hand(state, "ben", at(0)) == []


def test_a_lease_begins_anew_when_the_image_is_shown_and_may_be_longer_for_a_file() -> None:
    state = after(begun(2), served(0, "ann", "question-0"), served(1, "ann", "question-1", lease_s=86_400))
    after(state, says(state, "question-0", "shown", seconds=9 * MINUTE))
    assert numbers(unread(state, at(18 * MINUTE))) == [] and numbers(unread(state, at(20 * MINUTE))) == [0]
    assert [q.id for q in in_hand(state, "ann", at(1 * MINUTE))] == ["question-0", "question-1"]
    assert numbers(unread(state, at(86_400))) == [0, 1]


def test_an_answer_after_the_lease_still_counts() -> None:
    state = after(begun(2), served(0, "ann", "question-0"), served(0, "ben", "question-1", seconds=11 * MINUTE))
    after(state, says(state, "question-0", label="normal", seconds=12 * MINUTE))
    assert state.labels() == {image(0): "normal"}
    after(state, says(state, "question-1", label="tuberculosis", seconds=13 * MINUTE))
    assert state.labels() == {} and numbers(disagreements(state)) == [0]


def test_what_was_skipped_is_for_other_readers_and_comes_back_at_the_end() -> None:
    state = read(begun(2), 0, "ann", kind="skipped")
    assert state.verdict(image(0)).status == "unread"
    assert numbers(unread(state, at(20))) == [0, 1]
    assert numbers(unread(state, at(20), "ann")) == [1] and numbers(unread(state, at(20), "ben")) == [0, 1]
    assert numbers(unread(read(state, 1, "ben", label="normal"), at(20), "ann")) == [0]


@pytest.mark.parametrize("reason", ["unreadable", "not_frontal_chest"])
def test_an_image_that_is_no_use_leaves_the_pool_with_its_reason(reason: str) -> None:
    state = read(begun(2), 0, "ann", kind=reason)
    assert state.dropped() == {image(0): reason} and numbers(unread(state, at(20))) == [1]
    read(state, 0, "ben", "second", label="normal")
    assert numbers(disagreements(state)) == [0] and state.dropped() == {}


def test_an_unsure_reader_is_followed_by_another_one() -> None:
    state = read(read(begun(3), 1, "ann", label="normal"), 0, "ann", kind="unsure")
    assert state.verdict(image(0)).status == "unsure" and numbers(unread(state, at(20))) == [2]
    assert numbers(second_reads(state, "ben", at(20))) == [0, 1], "unsure first"
    assert second_reads(state, "ann", at(20)) == []
    read(state, 0, "ben", "second", label="tuberculosis")
    assert state.labels() == {image(1): "normal", image(0): "tuberculosis"}
    assert numbers(second_reads(state, "cem", at(20))) == [1], "the other was read twice"


def test_a_second_read_is_given_to_one_reader_at_a_time() -> None:
    state = read(begun(2), 0, "ann", label="normal")
    after(state, served(0, "ben", "question-9", "second"))
    assert second_reads(state, "cem", at(20)) == []
    assert numbers(second_reads(state, "cem", at(11 * MINUTE))) == [0]


def test_a_repeat_comes_once_after_a_distance_and_does_not_change_the_label() -> None:
    state = begun(6)
    for number in range(4):
        read(state, number, "ann", label="normal")
    assert numbers(repeats(state, "ann", 2)) == [0, 1] and repeats(state, "ann", 4) == repeats(state, "ben", 0) == []
    read(state, 0, "ann", "repeat", label="tuberculosis")
    assert state.labels()[image(0)] == "normal" and numbers(repeats(state, "ann", 2)) == [1, 2]


def test_a_disagreement_is_decided_by_a_third_who_sees_both_answers_and_no_name() -> None:
    state = read(read(begun(2), 0, "ann", label="tuberculosis"), 0, "ben", "second", label="normal")
    assert numbers(to_adjudicate(state, "cem", at(20))) == [0]
    assert to_adjudicate(state, "ann", at(20)) == to_adjudicate(state, "ben", at(20)) == []
    assert said_of(state, image(0)) == ("normal", "tuberculosis")
    after(state, served(0, "cem", "question-9", "adjudication"))
    assert to_adjudicate(state, "cem", at(20)) == []
    after(state, says(state, "question-9", "unsure"))
    assert numbers(disagreements(state)) == [0] and to_adjudicate(state, "cem", at(20)) == [], "for a fourth"
    after(state, says(state, "question-9", "adjudicated", "tuberculosis"))
    assert state.labels() == {image(0): "tuberculosis"} and state.verdict(image(0)).adjudicated
    after(state, says(state, "question-1", label="tuberculosis"))
    assert state.labels() == {image(0): "tuberculosis"} and disagreements(state) == []


def test_a_lost_file_leaves_every_queue_and_keeps_its_label() -> None:
    state = read(read(begun(2), 0, "ann", label="normal"), 0, "ben", "second", label="tuberculosis")
    read(state, 1, "ann", label="normal")
    after(state, *[Event(kind="image_lost", time=at(9), image=image(i)) for i in (0, 1)])
    assert to_adjudicate(state, "cem", at(20)) == second_reads(state, "ben", at(20)) == repeats(state, "ann", 0) == []
    assert state.labels() == {image(1): "normal"} and state.dropped() == {image(0): "lost"}
    after(state, Event(kind="image_found", time=at(10), image=image(0), detail={"name": "moved.png"}))
    assert numbers(to_adjudicate(state, "cem", at(20))) == [0]


@settings(max_examples=100, deadline=None)
@given(wishes=WISHES, minutes=st.integers(0, 12))
def test_the_pool_of_any_history_has_each_image_once(wishes: list[Wish], minutes: int) -> None:
    state, _ = history(wishes)
    now, index_of = at(minutes * MINUTE), {image(n): n for n in range(IMAGES)}
    pool = pool_of(state, index_of, CLASSES, now)
    assert sorted([*pool.labelled, *pool.unlabelled, *pool.dropped]) == list(range(IMAGES))
    labels = {image(i): CLASSES[k] for i, k in zip(pool.labelled.tolist(), pool.labels.tolist(), strict=True)}
    assert labels == state.labels()
    assert {image(i): reason for i, reason in pool.dropped.items()} == state.dropped()
    assert pool.free.tolist() == numbers(unread(state, now)), "what may be asked for is what nobody read or holds"
    assert sorted([*pool.free, *pool.asked]) == pool.unlabelled.tolist()
