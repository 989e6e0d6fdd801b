"""Wherever a process is killed, and however many write at once, what was acknowledged is in the log and in order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from reading import CLASSES, START, at, found, image, readers, says, served

from al_cxr.core.errors import UserError
from al_cxr.labelling.events import Event, new_question
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.log import EventLog
from al_cxr.labelling.state import State
from al_cxr.labelling.verify import verify

IMAGES = 10


def child(work: Callable[[int], None]) -> tuple[int, int]:
    """A process that does the work, and where to read what it writes; it can be killed at any instruction."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            work(writing)
            os._exit(0)
        except BaseException:
            os._exit(1)
    os.close(writing)
    return pid, reading


def all_of(reading: int) -> bytes:
    data = b""
    while more := os.read(reading, 65536):
        data += more
    os.close(reading)
    return data


def made(path: Path) -> Path:
    journal = Journal(EventLog.create(path, {"classes": CLASSES}, START))
    journal.record(*found(IMAGES), *readers("ann", "ben", "cem"))
    journal.log.close()
    return path


def read_for_ever(path: Path, reader: str, writing: int) -> None:
    """Serves itself one image after another, answers, and says so when the answer was acknowledged."""
    journal, n = Journal.open(path), 0
    while True:
        question = new_question()
        journal.record(served(n % IMAGES, reader, question))
        label = CLASSES[n % 2]
        answer = journal.record(says(journal.state, question, label=label))[0]
        os.write(writing, f"{answer.number} {question} {label}\n".encode())
        n += 1


def test_an_answer_that_was_acknowledged_survives_a_kill_at_a_hundred_places(tmp_path: Path) -> None:
    path, rng = made(tmp_path / "events.sqlite"), np.random.default_rng(0)
    acknowledged: dict[str, tuple[int, str]] = {}
    for _ in range(100):
        pid, reading = child(lambda writing: read_for_ever(path, "ann", writing))
        heard = b""
        for _ in range(rng.integers(0, 3)):
            heard += os.read(reading, 65536)
        time.sleep(rng.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "it was still at work"
        for line in (heard + all_of(reading)).decode().splitlines():
            number, question, label = line.split()
            acknowledged[question] = int(number), label
    with EventLog.open(path) as log:
        assert verify(log) == []
        state = State().fold(log.read())
    assert len(acknowledged) > 50
    for question, (number, label) in acknowledged.items():
        outcome = state.questions[question].outcome
        assert outcome is not None and (outcome.number, outcome.label) == (number, label)


def test_processes_that_write_at_once_take_turns(tmp_path: Path) -> None:
    path = made(tmp_path / "events.sqlite")

    def answer_twenty(reader: str) -> Callable[[int], None]:
        def work(writing: int) -> None:
            journal = Journal.open(path)
            for n in range(20):
                question = new_question()
                journal.record(served(n % IMAGES, reader, question))
                journal.record(says(journal.state, question, label=CLASSES[0]))

        return work

    children = [child(answer_twenty(reader)) for reader in ("ann", "ben", "cem")]
    assert [os.waitpid(pid, 0)[1] for pid, _ in children] == [0, 0, 0]
    for _, reading in children:
        os.close(reading)
    with EventLog.open(path) as log:
        assert verify(log) == []
        state = State().fold(log.read())
    assert len(state.questions) == 60 and not state.open


def test_threads_share_one_journal(tmp_path: Path) -> None:
    journal = Journal.open(made(tmp_path / "events.sqlite"))

    def answer_twenty(reader: str) -> None:
        for n in range(20):
            question = new_question()
            journal.record(served(n % IMAGES, reader, question))
            journal.turn(lambda state, question=question: [says(state, question, label=CLASSES[0])])  # type: ignore[misc]

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(answer_twenty, ("ann", "ben", "cem")))
    assert verify(journal.log) == [] and len(journal.state.questions) == 60 and not journal.state.open


def test_two_processes_that_decide_at_once_never_give_the_same_image(tmp_path: Path) -> None:
    path = made(tmp_path / "events.sqlite")

    def take_three(reader: str) -> Callable[[int], None]:
        def first_free(state: State) -> list[Event]:
            taken = {question.image for question in state.questions.values()}
            free = next(name for name in state.images if name not in taken)
            number = list(state.images).index(free)
            return [served(number, reader, new_question())]

        def work(writing: int) -> None:
            journal = Journal.open(path)
            for _ in range(3):
                journal.turn(first_free)

        return work

    children = [child(take_three(reader)) for reader in ("ann", "ben", "cem")]
    assert [os.waitpid(pid, 0)[1] for pid, _ in children] == [0, 0, 0]
    for _, reading in children:
        os.close(reading)
    with EventLog.open(path) as log:
        served_images = [event.image for event in log.read() if event.kind == "served"]
    assert len(served_images) == len(set(served_images)) == 9


def test_a_creation_that_was_killed_leaves_a_whole_log_or_room_for_one(tmp_path: Path) -> None:
    rng, whole = np.random.default_rng(1), 0
    for i in range(30):
        path = tmp_path / f"{i}.sqlite"
        pid, reading = child(lambda writing, path=path: EventLog.create(path, {}, START).close())  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        try:
            log = EventLog.create(path, {}, START)
        except UserError as error:
            assert "is there already" in str(error)
            log, whole = EventLog.open(path), whole + 1
        assert verify(log) == [] and log.head()[0] == 1
        log.close()


def test_an_event_that_does_not_fit_is_not_written(tmp_path: Path) -> None:
    journal = Journal.open(made(tmp_path / "events.sqlite"))
    other = Journal.open(journal.log.path)
    other.record(served(1, "ben", "question-1"))
    before = journal.log.head()
    with pytest.raises(UserError, match="no reader 'eve' in this project"):
        journal.record(served(2, "ann", "question-2"), served(3, "eve", "question-3"))
    assert journal.log.head() == before
    assert list(journal.state.questions) == ["question-1"], "what was not written is forgotten; the other's is known"
    assert journal.state == other.state
    with pytest.raises(UserError, match="question question-1 was asked before"):
        journal.record(served(2, "ann", "question-1"))
    journal.record(Event(kind="image_lost", time=at(5), image=image(2)))
    assert other.refresh() == journal.state and other.state.dropped() == {image(2): "lost"}
