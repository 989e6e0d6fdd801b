"""What two readers disagree on is decided by a third, by file, without knowing who said what."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from labelling_projects import begun, write_archive
from reading import CLASSES, START, at, found, image, readers, says, served

from al_cxr.cli.__main__ import main
from al_cxr.labelling.adjudication import COLUMNS, hand_out
from al_cxr.labelling.events import Event, new_question
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.log import EventLog

DAY = 86_400


def disagree(journal: Journal, names: list[str], first: str, second: str) -> None:
    """Ann and ben read these images; their answers differ."""
    time = at(0)
    for name in names:
        for reader, label in (("ann", first), ("ben", second)):
            question = new_question()
            given = {"reader": reader, "image": name, "question": question}
            journal.record(Event(kind="served", time=time, stream="second", **given))
            journal.record(Event(kind="answered", time=time, label=label, **given))


def test_a_third_reader_gets_each_disagreement_once_and_the_same_again_until_it_is_decided(tmp_path: Path) -> None:
    journal = Journal(EventLog.create(tmp_path / "events.sqlite", {"classes": CLASSES}, START))
    journal.record(*found(4), *readers("ann", "ben"))
    disagree(journal, [image(i) for i in range(3)], *CLASSES)
    first = hand_out(journal, "cem", 2, at(10), DAY)
    assert [(int(one.image, 16), one.said) for one in first] == [(0, tuple(CLASSES)), (1, tuple(CLASSES))]
    assert hand_out(journal, "cem", 2, at(20), DAY) == first, "still in hand"
    assert [int(one.image, 16) for one in hand_out(journal, "dan", 5, at(30), DAY)] == [2]
    assert hand_out(journal, "ann", 5, at(30), DAY) == [], "who read it does not decide"
    journal.record(says(journal.state, first[0].question, "answered", "normal"))
    assert journal.state.labels() == {image(0): "normal"} and journal.state.verdict(image(0)).adjudicated
    assert [int(one.image, 16) for one in hand_out(journal, "cem", 5, at(40), DAY)] == [1]
    assert [int(one.image, 16) for one in hand_out(journal, "cem", 5, at(2 * DAY), DAY)] == [1, 2], "leases have ended"


def test_readers_who_come_to_agree_need_no_third(tmp_path: Path) -> None:
    journal = Journal(EventLog.create(tmp_path / "events.sqlite", {"classes": CLASSES}, START))
    journal.record(*found(1), *readers("ann", "ben"), served(0, "ann", "question-1"), served(0, "ben", "question-2"))
    journal.record(*[says(journal.state, f"question-{n}", label=CLASSES[n - 1]) for n in (1, 2)])
    assert len(hand_out(journal, "cem", 5, at(20), DAY)) == 1
    journal.record(says(journal.state, "question-1", label=CLASSES[1]))
    assert hand_out(journal, "cem", 5, at(30), DAY) == []


def test_disagreements_are_decided_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_archive(Path("archive"), 12)
    project = begun(tmp_path, archive=tmp_path / "archive")
    project.journal.record(*readers("ann", "ben"))
    disagree(project.journal, list(project.journal.state.images)[:2], "normal", "pneumonia")
    project.close()
    for _ in range(2):
        assert main(["label", "adjudicate", "project", "--reader", "cem"]) == 0
        assert "asked     2 of 2 disagreements of cem in disagreements.csv" in capsys.readouterr().out
    table = pd.read_csv("disagreements.csv", dtype=str)
    assert tuple(table) == COLUMNS and (table["said"] == "normal / pneumonia").all()
    assert not {"ann", "ben"} & set(Path("disagreements.csv").read_text().replace(",", " ").split())
    assert all(Path(file).is_file() for file in table["file"])
    table.assign(label=["pneumonia", "unreadable"]).to_csv("disagreements.csv", index=False)
    assert main(["label", "adjudicate", "project", "--reader", "cem"]) == 2
    assert "disagreements.csv: is there already, and is not what al-cxr wrote" in capsys.readouterr().err
    assert main(["label", "tell", "project", "disagreements.csv", "--reader", "cem"]) == 0
    assert "2 new answers of cem" in capsys.readouterr().out
    assert main(["label", "adjudicate", "project", "--reader", "cem", "--out", "more.csv"]) == 0
    assert "cem has nothing to decide; readers disagree on 0 images" in capsys.readouterr().out
    state = Journal.open(Path("project/events.sqlite")).state
    assert list(state.labels().values()) == ["pneumonia"] and list(state.dropped().values()) == ["unreadable"]
