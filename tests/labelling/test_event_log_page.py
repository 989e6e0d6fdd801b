"""The page on the event log says what the code does, and what it shows runs."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from reading import CLASSES, START, found, readers, says, served
from shown import ROOT, blocks

from al_cxr.labelling import schema
from al_cxr.labelling.events import CHOSEN, KINDS, OUTCOMES, STREAMS
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.log import EventLog
from al_cxr.labelling.verdicts import POLICIES

PAGE = "docs/reference/event-log.md"
TEXT = (ROOT / PAGE).read_text("utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "PROJECT"
    journal = Journal(EventLog.create(folder / "events.sqlite", {"classes": CLASSES}, START))
    journal.record(*found(3), *readers("ann"), served(1, "ann", "question-1"), served(2, "ann", "question-2"))
    journal.record(says(journal.state, "question-1", label="normal"), says(journal.state, "question-2", "unreadable"))
    journal.log.close()
    return folder


def rows(heading: str) -> list[list[str]]:
    """The cells of all tables in a section, without backquotes and without the tables' heads."""
    section = re.split(r"^## ", TEXT, flags=re.M)
    (text,) = (part for part in section if part.startswith(heading + "\n"))
    tables = re.findall(r"^\|.*?\|\n\| ---.*?\n((?:\|.*\n)+)", text, re.M)
    lines = [line for table in tables for line in table.splitlines()]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_page_has_every_column_in_its_order_with_its_type(project: Path) -> None:
    with EventLog.open(project / "events.sqlite") as log:
        columns = [(name, kind.lower()) for _, name, kind, *_ in log._db.execute("PRAGMA table_info(events)")]
    assert [(row[0], row[1]) for row in rows("Columns")] == columns


def test_the_page_has_every_kind_with_its_columns() -> None:
    kinds = [
        [name, kind.meaning, ", ".join(kind.needs), ", ".join([*kind.may, *(f"detail.{key}" for key in kind.details)])]
        for name, kind in KINDS.items()
    ]
    details = [[name, key, meaning] for name, kind in KINDS.items() for key, meaning in kind.details.items()]
    shown = rows("Kinds")
    assert [row[:4] for row in shown if len(row) == 5] == kinds
    assert [row for row in shown if len(row) == 3] == details
    assert f"`{'`, `'.join(OUTCOMES[:-1])}` and `{OUTCOMES[-1]}` close" in TEXT.replace("\n", " ")


def test_the_page_has_every_stream_policy_and_version() -> None:
    assert rows("Streams") == [[name, meaning] for name, meaning in STREAMS.items()]
    assert f"streams `{'`, `'.join(CHOSEN[:-1])}` and `{CHOSEN[-1]}` must say `q`" in TEXT
    assert tuple(row[0] for row in rows("What the label of an image is")) == POLICIES
    assert [row[0] for row in rows("Versions")] == [str(version + 1) for version in range(schema.VERSION)]


def test_every_message_on_the_page_is_one_that_verify_gives() -> None:
    code = (ROOT / "al_cxr/labelling/verify.py").read_text("utf-8")
    said = [re.sub(r"\{[^}]*\}", "#", text) for text in re.findall(r'f?"([^"\n]+)"', code)]
    shown = [re.sub(r"\d+|…", "#", row[0]) for row in rows("Checking it")]
    assert len(shown) == 6 and [message for message in shown if message not in said] == []


def test_what_the_page_asks_of_sqlite_has_an_answer(project: Path) -> None:
    with sqlite3.connect(project / "events.sqlite") as db:
        first, second = [db.execute(block.text).fetchall() for block in blocks("sql") if block.page == PAGE]
    assert first == [("ann", "answered", 1, 10.0)]
    assert [(row[2], row[4], row[5], row[6], row[8]) for row in second] == [
        ("ann", "answered", "normal", "acquisition", 0.25),
        ("ann", "unreadable", None, "acquisition", 0.25),
    ]


def test_the_python_of_the_page_runs_in_a_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.parent)
    shown = [block.text for block in blocks("python") if block.page == PAGE]
    assert len(shown) == 3
    for text in shown:
        exec(text, {})
    said = capsys.readouterr().out
    assert "image_found" in said and "'normal'" in said and "'unreadable'" in said and "\n[]\n(9, '" in said
