"""The event log of a labelling project: an SQLite file to which events are appended and in which nothing is changed.

What `append` has returned is on the disk (a write-ahead log that is flushed at each commit), so that a kill or a power
failure loses no answer that was acknowledged. Several processes may append at once; they take turns. Each row carries a
hash over its content and the hash before it, so that `verify` finds a row that was changed, moved or taken out.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import al_cxr
from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.labelling import schema
from al_cxr.labelling.events import COLUMNS, Event
from al_cxr.labelling.log_errors import explained

START = "0" * 64
"""The hash before the first event."""
ROW = ("number", "time", "kind", *COLUMNS, "detail", "software")
"""The columns of a row that its hash is made from."""
_SELECT = f"SELECT {', '.join(ROW)}, hash FROM events WHERE number > ? ORDER BY number LIMIT 5000"
_INSERT = f"INSERT INTO events ({', '.join(ROW)}, hash) VALUES ({', '.join('?' * (len(ROW) + 1))})"


class EventLog:
    """An open event log. Use `create` or `open`; threads may share one.

    Every method raises UserError, which names the file, where it is locked, full, read-only or damaged; what was
    acknowledged before stays.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._db = path, connection
        self.lock = threading.RLock()
        """Held while events are written; who keeps a state beside the log holds it too."""

    @classmethod
    def create(cls, path: Path, settings: Mapping[str, Any], time: datetime, patience: float = 30.0) -> EventLog:
        """A new log whose first event holds the settings of the project; UserError where one is there already."""
        path, new = Path(path), not Path(path).exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            log = cls(path, _connected(path, "rwc", patience))
            try:
                log._begin(Event(kind="settings", time=time, detail=dict(settings)))
            except UserError:
                log.close()
                raise
        except OSError as error:
            raise CannotWrite(f"{path}: cannot be written: {error.strerror}; choose another place") from None
        except CannotWrite:
            for ending in ("", "-wal", "-shm") if new else ():
                path.with_name(path.name + ending).unlink(missing_ok=True)
            raise
        return log

    @classmethod
    def open(cls, path: Path, patience: float = 30.0) -> EventLog:
        """The log of a file, brought to this version; it waits `patience` seconds where another process writes."""
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: no such file; there is no labelling project here")
        log = cls(path, _connected(path, "rw", patience))
        try:
            with explained(path):
                if log._db.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION:
                    raise UserError(f"{path}: is not an event log of al-cxr; give the folder of a labelling project")
            version = log._version()
            if version > schema.VERSION:
                raise UserError(
                    f"{path}: was written by a newer al-cxr (event log version {version}; this one knows "
                    f"{schema.VERSION}); update al-cxr"
                )
            if version < schema.VERSION:
                with log.exclusive():
                    log._migrate(log._version())
        except UserError:
            log.close()
            raise
        return log

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Nothing is lost where this is not called."""
        self._db.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """A block in which no other process or thread appends; what was appended in it is written all or not at all."""
        with self.lock, explained(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def append(self, *events: Event) -> list[Event]:
        """Write events, all or none, and give them back with their numbers.

        They are on the disk on return; within `exclusive`, when that ends.
        """
        with self.lock:
            if not self._db.in_transaction:
                with self.exclusive():
                    return self.append(*events)
            number, previous = self.head()
            written, rows = [], []
            for event in events:
                number += 1
                event = event.numbered(number)
                values = (*_values(event), al_cxr.__version__)
                previous = chained(previous, values)
                rows.append((*values, previous))
                written.append(event)
            with explained(self.path):
                self._db.executemany(_INSERT, rows)
            return written

    def head(self) -> tuple[int, str]:
        """Number and hash of the last event: written down elsewhere, they prove later that none before was changed."""
        with self.lock, explained(self.path):
            last = self._db.execute("SELECT number, hash FROM events ORDER BY number DESC LIMIT 1").fetchone()
        return (0, START) if last is None else (int(last[0]), str(last[1]))

    def read(self, after: int = 0) -> Iterator[Event]:
        """The events with numbers above `after`, in their order."""
        for row in self.rows(after):
            yield self._event(row)

    def rows(self, after: int = 0) -> Iterator[tuple[Any, ...]]:
        """What `read` reads, as it lies in the file: the values of `ROW`, and the hash."""
        while True:
            with self.lock, explained(self.path):
                page = self._db.execute(_SELECT, (after,)).fetchall()
            yield from page
            if not page:
                return
            after = page[-1][0]

    def protected(self) -> set[str]:
        """Names of the triggers that are there."""
        with self.lock, explained(self.path):
            return {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")}

    def ever(self) -> int:
        """The highest number that was ever given to an event."""
        with self.lock, explained(self.path):
            found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return 0 if found is None else int(found[0])

    def damage(self) -> list[str]:
        """What SQLite itself finds wrong with the file."""
        with self.lock:
            try:
                found = [str(text) for (text,) in self._db.execute("PRAGMA integrity_check(10)")]
            except sqlite3.DatabaseError as error:
                return [str(error)]
        return [] if found == ["ok"] else found

    def _begin(self, first: Event) -> None:
        """Make the table of an empty file, all of it or nothing, with its first event."""
        with self.exclusive():
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise UserError(f"{self.path}: is there already; open it, or choose another folder")
            self._db.execute(f"PRAGMA application_id = {schema.APPLICATION}")
            for statement in schema.FIRST:
                self._db.execute(statement)
            self._migrate(1)
            self.append(first)

    def _event(self, row: tuple[Any, ...]) -> Event:
        try:
            return event_of(row)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{self.path}: event {row[0]} cannot be read ({error}); the file was edited or damaged"
            ) from None

    def _version(self) -> int:
        with explained(self.path):
            return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self, version: int) -> None:
        for older in range(version, schema.VERSION):
            for statement in schema.MIGRATIONS[older]:
                self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {schema.VERSION}")


def chained(previous: str, values: tuple[Any, ...]) -> str:
    """The hash of a row after a row with the hash `previous`; columns that the row does not have are left out."""
    content = {column: value for column, value in zip(ROW, values, strict=True) if value is not None}
    return hashlib.sha256(f"{previous}{json.dumps(content, sort_keys=True)}".encode()).hexdigest()


def event_of(row: tuple[Any, ...]) -> Event:
    """The event of a row of the file; TypeError or ValueError where it is none."""
    values = dict(zip(ROW, row, strict=False))
    del values["software"]
    return Event(**values | {"time": datetime.fromisoformat(values["time"]), "detail": json.loads(values["detail"])})


def _values(event: Event) -> tuple[Any, ...]:
    time = f"{event.time:%Y-%m-%dT%H:%M:%S}.{event.time.microsecond // 1000:03d}Z"
    return (event.number, time, event.kind, *(getattr(event, c) for c in COLUMNS), event.detail_json())


def _connected(path: Path, mode: str, patience: float) -> sqlite3.Connection:
    """A connection to a file with a write-ahead log, each commit of which reaches the disk."""
    with explained(path):
        address = f"file:{quote(str(path.absolute()))}?mode={mode}"
        db = sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None, check_same_thread=False)
        try:
            (journal,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA fullfsync = 1")  # on a Mac a flush reaches the disk only so
        except BaseException:
            db.close()
            raise
    if journal != "wal":
        db.close()
        raise UserError(f"{path}: this file system cannot keep an event log safely; choose a folder on a local disk")
    return db
