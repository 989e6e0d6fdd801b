"""The event log's table in SQLite, and how a file of an older version becomes one of this version.

Rows are never changed, not by a migration either: a later version may add columns that older rows do not have, tables
and indices. The hash of a row leaves out what the row does not have, so it stays the same.
"""

from __future__ import annotations

APPLICATION = 0x616C6378
"""SQLite's application id of the file: "alcx"."""

TABLE = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    kind TEXT NOT NULL,
    reader TEXT,
    image TEXT,
    question TEXT,
    label TEXT,
    milliseconds INTEGER,
    model TEXT,
    stream TEXT,
    strategy TEXT,
    q REAL CHECK (q > 0 AND q <= 1),
    detail TEXT NOT NULL,
    hash TEXT NOT NULL
)
"""
TRIGGERS = {
    "events_are_not_changed": """
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'an event is never changed: append another one'); END
""",
    "events_are_not_deleted": """
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'an event is never deleted: append another one'); END
""",
    "events_are_appended": """
CREATE TRIGGER events_are_appended BEFORE INSERT ON events
WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM events)
BEGIN SELECT RAISE(ABORT, 'an event is appended with the next number'); END
""",
}
"""What forbids changes: name -> statement. The last also stops INSERT OR REPLACE, which deletes without a trigger."""

MIGRATIONS: dict[int, tuple[str, ...]] = {
    # Version 2 says which al-cxr wrote a row, and finds what was said of an image without reading the whole log.
    1: ("ALTER TABLE events ADD COLUMN software TEXT", "CREATE INDEX events_of_image ON events (image)"),
}
"""Version of a file -> the statements that make it the next one."""
VERSION = 1 + len(MIGRATIONS)
"""The version that this code writes."""
FIRST = (TABLE, *TRIGGERS.values())
"""The statements that make an empty log of version 1; the migrations lead from there to `VERSION`."""
