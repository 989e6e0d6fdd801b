"""What an attacker tries, and what is refused: each against a real server, with the bytes that a browser would send."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Client, Served, serving, small_project

from al_cxr.api.labelling import LabellingProject
from al_cxr.server.guard import HEADERS

PATHS = ("/", "/lead", "/static/reader.js", "/api/session", "/nothing")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = small_project(tmp_path_factory.mktemp("attacked"))
    project = LabellingProject.open(folder)
    bob = project.new_token("bob")
    project.close()
    with serving(folder, "--reader", "ann") as one:
        one.tokens["bob"] = bob
        yield one


def number_of_events(served: Served) -> int:
    project = LabellingProject.open(served.project)
    project.close()
    return project.journal.state.number


@pytest.mark.parametrize("path", PATHS)
def test_every_response_forbids_scripts_frames_caches_and_referrers(served: Served, path: str) -> None:
    for client in (served.client(), Client(served.port)):
        headers = client.get(path).headers
        assert {name: headers.get(name.lower()) for name in HEADERS} == dict(HEADERS)
        assert "server" not in headers and "access-control-allow-origin" not in headers
    assert "unsafe" not in HEADERS["Content-Security-Policy"] and "http" not in HEADERS["Content-Security-Policy"]


def test_without_the_token_there_is_nothing(served: Served) -> None:
    outside = Client(served.port)
    assert [outside.get(path).status for path in ("/", "/lead", "/?token=wrong", "/?token=")] == [401] * 4
    assert [outside.get(f"/api/{path}").status for path in ("session", "images/0123456789abcdef/meta")] == [401] * 2
    assert outside.get("/api/lead/status").status == 401
    bodies = {"next": {}, "shown": {"question": "0" * 16}, "undo": {}, "answer": {"question": "0" * 16, "answer": "n"}}
    assert {name: outside.post(f"/api/{name}", body).status for name, body in bodies.items()} == dict.fromkeys(
        bodies, 401
    )
    stolen = Client(served.port, {f"al-cxr-reader-{served.port}": "guess", f"al-cxr-lead-{served.port}": "guess"})
    assert stolen.get("/api/session").status == 401 and stolen.get("/api/lead/status").status == 401


def test_the_cookie_is_strict_unreadable_to_scripts_and_no_cookie_of_another_project(served: Served) -> None:
    reply = Client(served.port).get(f"/?token={served.tokens['ann']}")
    assert reply.headers["location"] == "/"
    name, *attributes = reply.headers["set-cookie"].split("; ")
    assert name.startswith(f"al-cxr-reader-{served.port}=")
    assert {a.lower() for a in attributes} == {"httponly", "path=/", "samesite=strict"}
    assert served.tokens["ann"] not in reply.headers["set-cookie"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::1", "10.0.0.1"]
)
def test_a_foreign_name_that_points_here_is_refused(served: Served, host: str) -> None:
    ann = served.client()
    assert ann.get("/api/session", Host=f"{host}:{served.port}").status in (400, 421)
    assert ann.get("/", Host=host).status in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "localhost."])
def test_this_machine_goes_by_its_own_names(served: Served, host: str) -> None:
    ann = served.client()
    own = f"{host}:{served.port}"
    assert ann.get("/api/session", Host=own).status == 200
    assert ann.post("/api/next", {}, Host=own, Origin=f"http://{own}").status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://127.0.0.1:{port}.evil.example",
        None,
    ],
)
def test_a_write_from_another_page_is_refused(served: Served, origin: str | None) -> None:
    ann = served.client()
    question, before = ann.next(1)[0], number_of_events(served)
    origin = origin and origin.format(port=served.port)
    told = {"question": question, "answer": "normal"}
    assert ann.post("/api/answer", told, Origin=origin).status == 403
    assert ann.post("/api/undo", {}, Origin=origin).status == 403
    assert number_of_events(served) == before


def test_a_form_and_a_fetch_of_another_site_are_refused(served: Served) -> None:
    ann = served.client()
    for site in ("cross-site", "same-site"):
        assert ann.post("/api/undo", {}, Sec_Fetch_Site=site).status == 403
        assert ann.get("/api/session", Sec_Fetch_Site=site).status == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert ann.post("/api/undo", {}, Content_Type=kind).status == 415
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        reply = ann.send(method, "/api/session")
        assert reply.status == 405 and "access-control-allow-origin" not in reply.headers
    assert ann.get("/api/undo").status == 405


ESCAPES = ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "..%252fapp.py", "/etc/passwd", "%00", "reader.js%00.png", "",
           "..\\app.py", "reader.js/..", "./reader.js", "%2e%2e%2f%2e%2e%2f__init__.py")  # fmt: skip


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_path_leads_out_of_the_pages(served: Served, escape: str) -> None:
    ann = served.client()
    for start in ("/static/", "/api/images/"):
        reply = ann.get(f"{start}{escape}")
        assert reply.status in (400, 404) and b"def " not in reply.body and b"root:" not in reply.body
    assert ann.get(f"/api/images/{escape}/meta").status in (400, 404)


def test_large_bodies_and_headers_are_cut_off(served: Served) -> None:
    ann = served.client()
    question = ann.next(1)[0]
    big = json.dumps({"question": question, "answer": "normal", "comment": "x" * 20_000}).encode()
    assert ann.send("POST", "/api/answer", big).status == 413
    endless = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    head = f"POST /api/answer HTTP/1.1\r\nHost: {ann.host}\r\nOrigin: http://{ann.host}\r\nContent-Type: "
    cookie = "; ".join("=".join(pair) for pair in ann.cookies.items())
    head += f"application/json\r\nCookie: {cookie}\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless.sendall(head.encode())
    got = b""
    with endless:
        with contextlib.suppress(OSError):
            for _ in range(2000):
                endless.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        with contextlib.suppress(OSError):
            got = endless.recv(200)
    assert got == b"" or b" 413 " in got
    with contextlib.suppress(http.client.HTTPException, OSError):  # the line is closed
        assert ann.get("/", X_Large="x" * 200_000).status in (400, 431)
    assert served.client().next(1) == [question]


def test_another_readers_question_is_as_good_as_none(served: Served) -> None:
    ann, bob = served.client(), served.client("bob")
    theirs, before = ann.next(1)[0], number_of_events(served)
    assert bob.get("/api/session").json["reader"] == "bob"
    replies = [bob.get(f"/api/images/{theirs}/{what}") for what in ("meta", "preview", "pixels")]
    replies += [bob.answer(theirs, "normal"), bob.post("/api/shown", {"question": theirs})]
    replies += [bob.post("/api/comment", {"question": theirs, "comment": "hello"}), bob.answer("0" * 16, "normal")]
    assert [(reply.status, reply.json) for reply in replies] == [(404, {"error": "no such question"})] * len(replies)
    assert number_of_events(served) == before


def test_replayed_and_reordered_answers_change_nothing_or_correct(served: Served) -> None:
    ann, second_tab = served.client(), served.client()
    one, two = ann.next(2)
    assert second_tab.next(2) == [one, two], "a second tab goes on with the same questions"
    assert second_tab.answer(two, "normal").json["ok"] and ann.answer(one, "normal").json["ok"]
    before = number_of_events(served)
    assert ann.answer(one, "normal").json["ok"] and second_tab.answer(two, "normal").json["ok"]
    assert number_of_events(served) == before
    assert ann.answer(one, "pneumonia").json["ok"] and number_of_events(served) == before + 1


def test_script_in_a_comment_is_kept_as_it_is_and_answered_as_json(served: Served) -> None:
    ann = served.client()
    question, script = ann.next(1)[0], "</script><img src=x onerror=alert(1)>"
    reply = ann.post("/api/comment", {"question": question, "comment": script})
    assert reply.status == 200 and reply.headers["content-type"] == "application/json"
    assert script.encode() not in b"".join(ann.seen)


def test_a_new_token_ends_the_old_one_and_its_sessions(served: Served) -> None:
    bob = served.client("bob")
    assert bob.get("/api/session").status == 200
    project = LabellingProject.open(served.project)
    token = project.new_token("bob")
    project.close()
    ann = served.client()
    assert ann.next(1)  # the server looks at the log at every question
    assert bob.get("/api/session").status == 401
    assert Client(served.port).get(f"/?token={served.tokens['bob']}").status == 401
    served.tokens["bob"] = token
    assert served.client("bob").get("/api/session").json["reader"] == "bob"


def test_nothing_is_logged_of_patients_files_or_tokens(tmp_path: Path) -> None:
    with serving(small_project(tmp_path, 8), "--reader", "ann") as served:
        ann = served.client()
        for path in (tmp_path / "SecretHospital").iterdir():
            path.write_bytes(b"broken")
        question = ann.next(1)[0]
        assert ann.get(f"/api/images/{question}/pixels").status == 422
        assert ann.answer(question, "unreadable").status == 200
        served.process.terminate()
        out, err = served.process.communicate(timeout=60)
    assert not any(word in out + err for word in ("Doe", "SecretHospital", ".png", served.tokens["ann"], "Traceback"))
