"""What a reader's browser gets: questions in their order, images with all bits, answers on the disk, and no hint."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from labelling_projects import CLASSES
from PIL import Image
from served import Served, serving, small_project

from al_cxr.api.labelling import LabellingProject

HINTS = (
    *("prediction", "score", "stream", "strategy", "reason", "audit", "acquisition", "entropy", "random", "typiclust"),
    *("model", "prob", "target", "label", "second", "repeat", "seed", "patient", "digest", "hash", "path", "name"),
    *("doe", "jane", "secrethospital", ".png", "other", "bob", "count", '"q"'),
)
"""None of these, in any case, is in anything that a reader gets from the API."""
MEANT = ("content-type", '"name": "', '"name":"')


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(small_project(tmp_path_factory.mktemp("served"), 40), "--reader", "ann") as one:
        yield one


def test_a_whole_session_gives_no_hint(served: Served) -> None:
    ann = served.client()
    ann.seen.clear()
    session = ann.get("/api/session").json
    assert session["classes"] == CLASSES and session["answers"] == ["unsure", "skip", "unreadable", "not-frontal"]
    answers = [*CLASSES, *session["answers"]]
    for turn in range(24):
        question = ann.next()[0]
        assert ann.post("/api/shown", {"question": question}).json == {"ok": True}
        for what in ("meta", "preview", "pixels"):
            assert ann.get(f"/api/images/{question}/{what}").status == 200
        assert ann.answer(question, answers[turn % 7], milliseconds=900).json["ok"]
        if turn % 5 == 0:
            assert ann.post("/api/undo", {}).json == {"question": question, "answer": answers[turn % 7]}
            assert ann.answer(question, "normal", comment="a pacemaker").json["ok"]
    refused = [ann.get("/api/lead/status"), ann.get("/api/images/00000000/meta"), ann.answer("00000000", "normal")]
    assert [reply.status for reply in refused] == [401, 404, 404]
    got = b"\n".join(part for part in ann.seen if b"image/jpeg" not in part and b"octet-stream" not in part)
    text = got.decode().lower()
    for meant in ("sec-fetch", "stored range", "full range"):
        text = text.replace(meant, "")
    # A window has a name, of the viewer's own; a comment and the page's own files have whatever words they need.
    text = re.sub(r'"name":"[a-z ]*"', "", text)
    assert [hint for hint in HINTS if hint in text] == []
    images = b"\n".join(part for part in ann.seen if b"image/jpeg" in part or b"octet-stream" in part)
    assert not any(word in images.lower() for word in (b"doe_jane", b"secrethospital"))


def test_questions_keep_their_order_and_an_answered_one_goes(served: Served) -> None:
    ann = served.client()
    first = ann.next(6)
    assert ann.next(6) == first and ann.next(3) == first[:3] and len(set(first)) == 6
    assert ann.answer(first[1], "unsure").json["ok"]
    assert ann.next(6)[:5] == [first[0], *first[2:]]


def test_pixels_preview_and_meta_are_of_the_image_as_numpy_reads_it(served: Served) -> None:
    ann = served.client()
    question = ann.next(1)[0]
    meta = ann.get(f"/api/images/{question}/meta").json
    pixels = np.frombuffer(ann.get(f"/api/images/{question}/pixels").body, "<u2")
    pixels_HW = pixels.reshape(meta["rows"], meta["columns"])
    project = LabellingProject.open(served.project)
    stored_HW = np.asarray(Image.open(project.path(question)))
    project.close()
    assert np.array_equal(pixels_HW, stored_HW)
    assert (meta["bits"], meta["low"], meta["high"]) == (8, stored_HW.min(), stored_HW.max())
    assert meta["aspect"] == 1 and not meta["inverted"]
    window = meta["windows"][0]
    assert (window["function"], window["center"], window["width"]) == ("LINEAR_EXACT", 127.5, 255)
    preview = Image.open(io.BytesIO(ann.get(f"/api/images/{question}/preview").body))
    assert preview.mode == "L" and preview.size == (40, 40) and not preview.getexif()
    assert np.abs(np.asarray(preview).astype(int) - stored_HW).mean() < 16, "JPEG of noise"


def test_an_answer_is_on_the_disk_with_all_that_was_said(served: Served) -> None:
    ann = served.client()
    question = ann.next(1)[0]
    view = {"center": 90, "width": 300, "inverted": True}
    before = ann.get("/api/session").json["answered"]
    told = {"milliseconds": 4200, "comment": "rotated", "view": view}
    assert ann.answer(question, "pneumonia", **told).json == {"ok": True, "answered": before + 1}
    assert ann.answer(question, "pneumonia", **told).json["answered"] == before + 1, "again changes nothing"
    assert ann.post("/api/comment", {"question": question, "comment": "and upside down"}).json == {"ok": True}
    project = LabellingProject.open(served.project)
    events = [event for event in project.journal.log.read() if event.question == question]
    project.close()
    answered = [event for event in events if event.kind == "answered"]
    assert [(e.reader, e.label, e.milliseconds) for e in answered] == [("ann", "pneumonia", 4200)]
    assert answered[0].detail == {"view": view}
    assert [e.detail["text"] for e in events if e.kind == "commented"] == ["rotated", "and upside down"]


def test_what_is_no_answer_is_refused_and_said(served: Served) -> None:
    ann = served.client()
    question = ann.next(1)[0]
    bodies = [
        {"question": question, "answer": "tubercolosis"},
        {"question": question},
        {"question": question, "answer": "normal", "stream": "audit"},
        {"question": question, "answer": "normal", "milliseconds": -1},
        {"question": question, "answer": "normal", "milliseconds": "12"},
        {"question": question, "answer": "normal", "view": {"a": "b" * 3000}},
        {"question": "../../etc", "answer": "normal"},
        ["normal"],
    ]
    replies = [ann.post("/api/answer", body) for body in bodies]
    assert [reply.status for reply in replies] == [422] * len(bodies)
    assert all(list(reply.json) == ["error"] for reply in replies)
    assert ann.send("POST", "/api/answer", b"{not json").status == 422
    assert ann.next(1) == [question], "nothing was taken"


def test_the_lead_sees_figures_and_a_reader_does_not(served: Served) -> None:
    lead = served.client("lead")
    status = lead.get("/api/lead/status").json
    assert status["images"] == 40 and "streams" in status and "ann" in status["readers"]
    table = lead.get("/api/lead/export/answers.csv")
    assert table.status == 200 and b"ann" in table.body and lead.get("/api/lead/export/project.yaml").status == 404
    assert served.client().get("/api/lead/export/answers.csv").status == 401
    assert lead.get("/lead").status == 200 and lead.get("/api/session").status == 401
    assert served.client().get("/lead").status == 401


def test_an_image_that_is_gone_is_said_without_its_name(tmp_path: Path) -> None:
    with serving(small_project(tmp_path, 8), "--reader", "ann") as served:
        ann = served.client()
        for path in (tmp_path / "SecretHospital").iterdir():
            path.write_bytes(b"broken")
        reply = ann.get(f"/api/images/{ann.next(1)[0]}/meta")
        assert reply.status == 422 and reply.json == {"error": "this image cannot be read; answer unreadable"}
