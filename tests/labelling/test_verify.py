"""Whoever changes a log, with whatever program, is found out."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reading import CLASSES, START, at, begun, found, image, readers, says, served

from al_cxr.labelling import schema
from al_cxr.labelling.events import Event
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.log import EventLog, chained
from al_cxr.labelling.verify import verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A project with three images of which one was answered: events 1 to 8."""
    file = tmp_path / "events.sqlite"
    journal = Journal(EventLog.create(file, {"classes": CLASSES}, START))
    journal.record(*found(3), *readers("ann"))
    journal.record(served(1, "ann", "question-1"))
    journal.record(says(journal.state, "question-1", label="normal"))
    journal.record(Event(kind="commented", time=at(20), reader="ann", image=image(1), detail={"text": "é"}))
    journal.log.close()
    return file


def problems(path: Path, *statements: str, protected: bool = True) -> list[str]:
    """What is found after somebody went around the protection."""
    db = sqlite3.connect(path)
    for name in schema.TRIGGERS:
        db.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        db.execute(statement)
    for statement in schema.TRIGGERS.values() if protected else ():
        db.execute(statement)
    db.commit()
    db.close()
    with EventLog.open(path) as log:
        return verify(log)


def test_nothing_is_found_where_nothing_was_done(path: Path) -> None:
    with EventLog.open(path) as log:
        assert verify(log) == [] and log.head()[0] == 8


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["UPDATE events SET label = 'tuberculosis' WHERE number = 7"], ["event 7 was changed after it was written"]),
        (["UPDATE events SET time = '2026-03-02T08:00:11.000Z' WHERE number = 7"], ["event 7 was changed"]),
        (["UPDATE events SET software = '9.9' WHERE number = 1"], ["event 1 was changed"]),
        (["UPDATE events SET hash = '0' WHERE number = 8"], ["event 8 was changed"]),
        (["DELETE FROM events WHERE number = 3"], ["event 3 is missing"]),
        (["DELETE FROM events WHERE number > 6"], ["events 7 to 8 are missing"]),
        (
            ["DELETE FROM events WHERE number = 3", "UPDATE events SET number = number - 1 WHERE number > 3"],
            ["event 3 was changed", "event 4 was changed"],
        ),
        (
            [f"UPDATE events SET number = {new} WHERE number = {old}" for old, new in [(3, 99), (2, 3), (99, 2)]],
            ["event 2 was changed", "event 3 was changed", "event 4 was changed"],
        ),
        (
            ["UPDATE events SET kind = 'guessed' WHERE number = 4"],
            ["event 4 was changed", "event 4 does not fit what came before it: 'guessed' is no kind of event"],
        ),
        (
            ["UPDATE events SET reader = 'ben' WHERE number = 7"],
            [
                "event 7 was changed",
                "event 7 does not fit what came before it: question question-1 was asked of another",
            ],
        ),
        (["DELETE FROM events", "DELETE FROM sqlite_sequence"], ["there is no event in it"]),
    ],
)
def test_what_was_changed_missing_or_moved_is_named(path: Path, statements: list[str], found: list[str]) -> None:
    said = problems(path, *statements)
    assert len(said) >= len(found)
    for line, start in zip(said, found, strict=False):
        assert line.startswith(start)


def test_a_protection_that_was_taken_out_is_named(path: Path) -> None:
    assert problems(path, protected=False) == [
        "the protection events_are_appended was taken out of the file",
        "the protection events_are_not_changed was taken out of the file",
        "the protection events_are_not_deleted was taken out of the file",
    ]


def test_hashes_that_were_computed_anew_are_found_by_the_head_that_was_written_down(path: Path) -> None:
    with EventLog.open(path) as log:
        before, rows = log.head(), list(log.rows())
    previous, statements = rows[5][-1], []
    for *values, _ in rows[6:]:
        values[6] = "tuberculosis" if values[0] == 7 else values[6]
        previous = chained(previous, tuple(values))
        statements.append(f"UPDATE events SET hash = '{previous}' WHERE number = {values[0]}")
    said = problems(path, "UPDATE events SET label = 'tuberculosis' WHERE number = 7", *statements)
    assert said == []
    with EventLog.open(path) as log:
        assert log.head()[0] == before[0] and log.head()[1] != before[1]


def test_many_problems_are_counted_after_the_first_twenty(path: Path) -> None:
    with EventLog.open(path) as log:
        log.append(*[Event(kind="trained", time=START, model=str(i)) for i in range(50)])
    said = problems(path, "UPDATE events SET model = 'x' WHERE number > 8")
    assert len(said) == 21 and said[-1] == "and 30 more"


def test_a_damaged_file_is_called_so(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:4196] = bytes(100)
    path.write_bytes(data)
    with EventLog.open(path) as log:
        assert verify(log)[0].startswith("the file is damaged: ")


COLUMNS = ["time", "kind", "reader", "image", "question", "label", "milliseconds", "stream", "q", "detail", "hash"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(1, 8), column=st.sampled_from(COLUMNS), value=st.sampled_from(["NULL", "''", "0.5", "'ann'"]))
def test_any_value_that_is_another_now_is_found(path: Path, number: int, column: str, value: str) -> None:
    copy = path.with_name("copy.sqlite")
    copy.write_bytes(path.read_bytes())
    db = sqlite3.connect(copy)
    (same,) = db.execute(f"SELECT {column} IS {value} FROM events WHERE number = {number}").fetchone()
    db.close()
    if same or (value == "NULL" and column in ("time", "kind", "detail", "hash")) or (column == "q" and value != "0.5"):
        return
    assert problems(copy, f"UPDATE events SET {column} = {value} WHERE number = {number}")


def test_a_fold_of_a_fresh_project_is_the_one_of_its_file(path: Path) -> None:
    journal = Journal.open(path)
    assert journal.state.labels() == {image(1): "normal"}
    assert begun(3).images.keys() == journal.state.images.keys()
