"""A server that is killed, asked by several at once, started twice, or reached from other machines."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from served import Client, Served, serving, small_project

from al_cxr.api.labelling import LabellingProject
from al_cxr.cli.__main__ import main


def test_a_server_that_is_killed_loses_no_answer_and_goes_on_with_the_same_questions(tmp_path: Path) -> None:
    project, accepted = small_project(tmp_path), {}
    with serving(project, "--reader", "ann") as served:
        ann = served.client()
        for question in ann.next(5)[:3]:
            assert ann.answer(question, "normal").json["ok"]
            accepted[question] = "normal"
        ahead = ann.next(5)

        def answer_on() -> None:
            for question in ahead[:2] * 50:
                word = "pneumonia" if accepted.get(question) == "normal" else "normal"
                if ann.answer(question, word).status == 200:
                    accepted[question] = word

        def until_it_dies() -> None:
            with pytest.raises(OSError):
                while True:
                    answer_on()

        thread = threading.Thread(target=until_it_dies)
        thread.start()
        while len(accepted) < 5:
            time.sleep(0.01)
        served.kill()
        thread.join()
    with serving(project, "--reader", "ann") as again:
        assert again.client().next(3) == ahead[2:]
    opened = LabellingProject.open(project)
    opened.close()
    kept = {id: q.outcome.label for id, q in opened.journal.state.questions.items() if q.outcome}
    assert set(kept) == set(accepted)
    last = set(ahead[:2])
    assert {q: w for q, w in kept.items() if q not in last} == {q: w for q, w in accepted.items() if q not in last}
    changed = [q for q in last if kept[q] != accepted[q]]
    assert len(changed) <= 1, "at most the answer that was on its way, which nobody was told is there"


def test_two_readers_at_once_never_hold_the_same_image(tmp_path: Path) -> None:
    folder = small_project(tmp_path, 40, {"streams": {"second": 0, "repeat": 0}})
    project = LabellingProject.open(folder)
    bob = project.new_token("bob")
    project.close()
    with serving(folder, "--reader", "ann") as served:
        served.tokens["bob"] = bob
        wrong: list[str] = []

        def read(name: str) -> None:
            client = served.client(name)
            for _ in range(15):
                question = client.next(3)[0]
                if client.get(f"/api/images/{question}/preview").status != 200:
                    wrong.append(question)
                if client.answer(question, "normal").json != {
                    "ok": True,
                    "answered": client.get("/api/session").json["answered"],
                }:
                    wrong.append(question)

        threads = [threading.Thread(target=read, args=[name]) for name in ("ann", "bob")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
    project = LabellingProject.open(folder)
    project.close()
    asked = [(q.image, q.reader) for q in project.journal.state.questions.values()]
    assert len({image for image, _ in asked}) == len(asked) and {reader for _, reader in asked} == {"ann", "bob"}
    closed = [q.reader for q in project.journal.state.questions.values() if q.closed]
    assert closed.count("ann") == closed.count("bob") == 15


def test_a_project_has_one_server_and_a_port_one_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project, other = small_project(tmp_path / "one", 8), small_project(tmp_path / "two", 8)
    with serving(project) as served:
        assert main(["label", "serve", str(project), "--port", "0", "--no-browser"]) == 2
        assert "is served already by another process" in capsys.readouterr().err
        assert main(["label", "serve", str(other), "--port", str(served.port), "--no-browser"]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"port {served.port}" in said and "choose another with --port" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0"], "each reader needs a token: al-cxr label token"),
        (["--name", "cxr.example"], "each reader needs a token: al-cxr label token"),
        (["--port", "70000"], "--port 70000: a port is 0 to 65535"),
        (["--reader", "=cmd"], "a name begins with a letter or digit"),
        (["--host", "no.such.host.invalid"], "each reader needs a token"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    project = small_project(tmp_path, 8)
    assert main(["label", "serve", str(project), "--no-browser", *options]) == 2
    assert says in capsys.readouterr().err


def test_other_machines_need_tokens_of_readers_and_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = small_project(tmp_path, 8)
    assert main(["label", "token", str(project), "--reader", "ann"]) == 0
    token = capsys.readouterr().out.split()[1]
    assert main(["label", "serve", str(project), "--host", "0.0.0.0", "--no-browser"]) == 2
    assert "say with --name" in capsys.readouterr().err
    log = b"".join(path.read_bytes() for path in project.glob("events.sqlite*"))
    assert token.encode() not in log
    with serving(project, "--host", "0.0.0.0", "--name", "cxr.example", "--tls") as served:
        assert not any("reader " in line for line in served.said) and token not in "".join(served.said)
        outside = Client(served.port)
        entered = outside.get(f"/?token={token}", Host="cxr.example")
        assert entered.status == 303 and "secure" in entered.headers["set-cookie"].lower()
        assert outside.get("/api/session", Host="cxr.example").json["reader"] == "ann"
        asked = outside.post("/api/next", {}, Host="cxr.example", Origin="https://cxr.example")
        assert asked.status == 200
        assert outside.get("/api/session", Host="0.0.0.0").status == 421


def test_ten_thousand_requests_leave_the_memory_as_it_is(tmp_path: Path) -> None:
    project = small_project(tmp_path, 8)
    prepared = LabellingProject.open(project)
    while prepared.prepare():
        pass
    prepared.close()
    with serving(project, "--reader", "ann") as served:
        questions = served.client().next(5)
        _requests(served, questions, 1000)
        before = _memory(served.process)
        _requests(served, questions, 9000)
        assert _memory(served.process) - before < 24 * 2**20


def _requests(served: Served, questions: list[str], count: int) -> None:
    ann, outside = served.client(), Client(served.port)
    for i in range(count // 10):
        question = questions[i % len(questions)]
        for what in ("meta", "preview", "pixels"):
            assert ann.get(f"/api/images/{question}/{what}").status == 200
        assert ann.get("/api/session").status == 200
        assert ann.answer(question, "no such class").status == 422
        assert ann.get(f"/static/{i}").status == 404
        assert outside.get("/?token=wrong").status == 401
        assert outside.get("/", Host="evil.example").status == 421
        more = ann.get("/lead") if i % 10 else ann.post("/api/next", {"n": 5})
        assert more.status == (401 if i % 10 else 200)
        assert ann.post("/api/undo", {}, Origin="http://evil.example").status == 403
        ann.seen.clear()
        outside.seen.clear()


def _memory(process: subprocess.Popen[str]) -> int:
    """Bytes that a process holds."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path) -> None:
    project = small_project(tmp_path, 8)
    hidden = (
        "import sys; sys.modules['uvicorn'] = None\nfrom al_cxr.cli.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", hidden, "label", "serve", str(project), "--no-browser"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and 'pip install "al-cxr[label]"' in done.stderr and "Traceback" not in done.stderr


def test_the_page_can_be_reached_over_ipv6(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving(small_project(tmp_path, 8), "--host", "::1") as served:
        assert any(f"http://[::1]:{served.port}/?token=" in line for line in served.said)
        line = socket.create_connection(("::1", served.port), timeout=30)
        with line:
            line.sendall(f"GET /api/session HTTP/1.1\r\nHost: [::1]:{served.port}\r\n\r\n".encode())
            assert b" 401 " in line.recv(100)
