"""The event log keeps what was acknowledged, in order and unchanged, and says what is wrong with a file."""

from __future__ import annotations

import resource
import sqlite3
from pathlib import Path

import pytest
from reading import CLASSES, START, at, found, image, readers, served, settings

from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.labelling import schema
from al_cxr.labelling.events import KINDS, Event
from al_cxr.labelling.log import ROW, EventLog
from al_cxr.labelling.verify import verify


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "project" / "events.sqlite"


def made(path: Path, *events: Event) -> EventLog:
    log = EventLog.create(path, {"classes": CLASSES}, START)
    log.append(*events)
    return log


def by_hand(path: Path, *statements: str, protected: bool = False) -> None:
    """What somebody does to the file with another program."""
    db = sqlite3.connect(path)
    if not protected:
        for name in schema.TRIGGERS:
            db.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        db.execute(statement)
    if not protected:
        for statement in schema.TRIGGERS.values():
            db.execute(statement)
    db.commit()
    db.close()


def test_what_is_appended_is_read_again_by_whoever_opens_the_file(path: Path) -> None:
    log = made(path)
    more = [*found(3), *readers("ann"), served(1, "ann", "question-1", seconds=1.2345, lease_s=2)]
    written = log.append(*more)
    assert [event.number for event in written] == [2, 3, 4, 5, 6]
    assert log.append() == []
    log.close()
    with EventLog.open(path) as again:
        assert list(again.read()) == [settings().numbered(1), *written]
        assert list(again.read(after=5)) == written[4:]
        assert written[4].time == at(1.234) and written[4].detail == {"lease_s": 2}
        assert again.append(*readers("ben"))[0].number == 7


def test_a_commit_reaches_the_disk_before_it_is_acknowledged(path: Path) -> None:
    for log in (made(path), EventLog.open(path)):
        assert log._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert log._db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"


def test_several_events_are_written_all_or_none(path: Path) -> None:
    log = made(path)
    with pytest.raises(RuntimeError), log.exclusive():
        log.append(*found(3))
        raise RuntimeError
    assert log.head()[0] == 1
    with pytest.raises(sqlite3.IntegrityError):
        log._db.execute("INSERT INTO events (number, time, kind, q, detail, hash) VALUES (2, '', '', 2, '', '')")
    assert log.append(*found(2))[-1].number == 3


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET label = 'normal' WHERE number = 2",
        "DELETE FROM events WHERE number = 2",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE number = 2",
        "INSERT INTO events (number, time, kind, detail, hash) VALUES (9, '', 'undone', '{}', '')",
        "INSERT INTO events (time, kind, detail, hash) VALUES ('', 'undone', '{}', '')",
    ],
)
def test_the_database_refuses_changes_from_any_program(path: Path, statement: str) -> None:
    made(path, *found(2)).close()
    with pytest.raises(sqlite3.IntegrityError, match=r"never changed|never deleted|appended with the next number"):
        by_hand(path, statement, protected=True)
    assert EventLog.open(path).head()[0] == 3


# ------------------------------------------------------------------------------------------------------- wrong files
def test_a_log_is_not_made_where_one_is(path: Path) -> None:
    made(path, *found(1)).close()
    with pytest.raises(UserError, match=r"events\.sqlite: is there already; open it, or choose another folder"):
        EventLog.create(path, {}, START)
    assert EventLog.open(path).head()[0] == 2


def test_a_creation_that_was_killed_at_its_start_can_be_repeated(path: Path) -> None:
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    with pytest.raises(UserError, match="is not an event log of al-cxr"):
        EventLog.open(path)
    assert made(path).head()[0] == 1


@pytest.mark.parametrize("content", [b"", b"image,label\n" * 999, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_log_is_called_so(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"events\.sqlite: (is not an event log of al-cxr|the file is damaged)"):
        EventLog.open(path)


def test_a_file_that_is_not_there_is_called_so_and_not_made(path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file; there is no labelling project here"):
        EventLog.open(path)
    assert not path.exists()


def test_a_full_disk_is_one_line_and_loses_nothing(path: Path) -> None:
    log = made(path, *found(1))
    (pages,) = log._db.execute("PRAGMA page_count").fetchone()
    log._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(
        CannotWrite, match=r"events\.sqlite: cannot be written: there is no room; free some space there"
    ):
        log.append(*found(500))
    assert log.head()[0] == 2
    log._db.execute("PRAGMA max_page_count = 100000")
    assert log.append(*found(500))[-1].number == 502


def test_a_file_that_may_not_grow_is_one_line_and_a_creation_leaves_nothing(path: Path) -> None:
    log = made(path, *found(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        with pytest.raises(CannotWrite, match=r"events\.sqlite: cannot be written: the disk did not take it"):
            log.append(*found(500))
        with pytest.raises(CannotWrite, match=r"new\.sqlite: cannot be written: the disk did not take it"):
            made(path.with_name("new.sqlite"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(path.parent.glob("new*"))
    assert log.append(*found(500))[-1].number == 502 and verify(log) == []


def test_a_locked_file_is_one_line(path: Path) -> None:
    log = made(path)
    other = EventLog.open(path, patience=0.05)
    with log.exclusive():
        with pytest.raises(UserError, match=r"another program has it locked; close that program, or try again later"):
            other.append(*found(1))
        assert len(list(other.read())) == 1, "reading goes on"
    assert other.append(*found(1))[0].number == 2


def test_a_read_only_file_is_one_line(path: Path) -> None:
    log = made(path)
    log._db.execute("PRAGMA query_only = 1")  # what a file without write permission says, to root as well
    with pytest.raises(CannotWrite, match=r"cannot be written: it is read-only; allow writing to the file"):
        log.append(*found(1))


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"cannot be written: .*; choose another place"):
        EventLog.create(tmp_path / "file" / "events.sqlite", {}, START)


# -------------------------------------------------------------------------------------------------------- migrations
VERSION_1 = """
CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, kind TEXT NOT NULL, reader TEXT,
    image TEXT, question TEXT, label TEXT, milliseconds INTEGER, model TEXT, stream TEXT, strategy TEXT,
    q REAL CHECK (q > 0 AND q <= 1), detail TEXT NOT NULL, hash TEXT NOT NULL);
INSERT INTO events (number, time, kind, detail, hash) VALUES (1, '2026-03-02T08:00:00.000Z', 'settings',
    '{"classes":["normal","tuberculosis"]}', '30faedb1b4d267ffa220f8fff10ae5f206c6089b96cb8ebf6800a87fdbf45dda');
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'never'); END;
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'never'); END;
CREATE TRIGGER events_are_appended BEFORE INSERT ON events
    WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM events) BEGIN SELECT RAISE(ABORT, 'never'); END;
PRAGMA application_id = 1634493304;
PRAGMA user_version = 1;
"""


def test_a_file_of_version_1_is_brought_to_this_version_and_its_rows_stay(path: Path) -> None:
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.executescript(VERSION_1)
    db.close()
    with EventLog.open(path) as log:
        assert log._version() == schema.VERSION > 1
        (row,) = log.rows()
        assert dict(zip(ROW, row, strict=False))["software"] is None and verify(log) == []
        assert log.append(*found(1))[0].number == 2 and verify(log) == []
        columns = [name for _, name, *_ in log._db.execute("PRAGMA table_info(events)")]
    made(path.with_name("new.sqlite")).close()
    with EventLog.open(path.with_name("new.sqlite")) as new:
        assert [name for _, name, *_ in new._db.execute("PRAGMA table_info(events)")] == columns
        assert sorted(columns) == sorted([*ROW, "hash"])


def test_a_file_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    made(path).close()
    by_hand(path, f"PRAGMA user_version = {schema.VERSION + 1}", protected=True)
    with pytest.raises(UserError, match=r"written by a newer al-cxr \(event log version 3; this one knows 2\); update"):
        EventLog.open(path)


def test_every_kind_can_be_written_and_read(path: Path) -> None:
    values = {
        "reader": "ann",
        "image": image(1),
        "question": "question-1",
        "label": "normal",
        "milliseconds": 0,
        "model": "m",
        "stream": "audit",
        "strategy": "random",
        "q": 1 / 3,
    }
    events = [
        Event(kind=name, time=START, detail={"é": [1, None]}, **{c: values[c] for c in (*kind.needs, *kind.may)})
        for name, kind in KINDS.items()
    ]
    log = made(path)
    written = log.append(*events)
    assert list(log.read(after=1)) == written and [event.kind for event in written] == list(KINDS)
