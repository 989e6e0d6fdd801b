"""A real server of a small labelling project, and a browser's side of HTTP that sends exactly what a test says."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelling_projects import begun, write_archive


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """One browser: it keeps cookies, and says where its writes come from unless a test says otherwise."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    seen: list[bytes] = field(default_factory=list)
    """Every byte of every response, headers too."""
    _line: http.client.HTTPConnection | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        given: dict[str, str | None] = {"Host": self.host}
        if self.cookies:
            given["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if method == "POST":
            given |= {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
        given |= headers or {}
        if self._line is None:
            self._line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            self._line.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in given.items():
                if value is not None:
                    self._line.putheader(name, value)
            if body is not None:
                self._line.putheader("Content-Length", str(len(body)))
            self._line.endheaders(body)
            found = self._line.getresponse()
            reply = Reply(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        except (http.client.HTTPException, ConnectionError):
            self._line.close()
            self._line = None
            raise
        if set_cookie := reply.headers.get("set-cookie"):
            name, _, value = set_cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        self.seen.append(repr(sorted(reply.headers.items())).encode() + reply.body)
        return reply

    def get(self, path: str, **headers: str | None) -> Reply:
        return self.send("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: Any, **headers: str | None) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", path, json.dumps(body).encode(), named)

    def next(self, n: int = 6) -> list[str]:
        return [one["question"] for one in self.post("/api/next", {"n": n}).json["questions"]]

    def answer(self, question: str, word: str, **more: Any) -> Reply:
        return self.post("/api/answer", {"question": question, "answer": word, **more})


@dataclass
class Served:
    project: Path
    port: int
    tokens: dict[str, str]
    """Of the lines that were printed: reader's name, or lead -> token."""
    process: subprocess.Popen[str]
    said: list[str]

    def client(self, who: str = "ann") -> Client:
        client = Client(self.port)
        assert client.get(f"/?token={self.tokens[who]}").status == 303
        return client

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def small_project(folder: Path, images: int = 30, changes: Mapping[str, Any] | None = None) -> Path:
    """Of small PNG files under names that nobody may see, with a tiny network."""
    archive = folder / "SecretHospital"
    for path in write_archive(archive, images):
        path.rename(archive / f"Doe_Jane_{path.name}")
    project = begun(folder, changes, archive)
    project.close()
    return folder / "project"


@contextmanager
def serving(project: Path, *options: str) -> Iterator[Served]:
    """`al-cxr label serve` as a person starts it, on a free port; it is killed in the end."""
    command = [sys.executable, "-m", "al_cxr", "label", "serve", str(project), "--port", "0", "--no-browser", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    said, tokens, port = [], {}, 0
    try:
        for line in process.stdout:
            said.append(line)
            if found := re.match(r"serving .*:(\d+)$", line):
                port = int(found[1])
            if found := re.match(r"(\S+) .*/\?token=(\S+)", line):
                tokens[found[1]] = found[2]
            if line.startswith("stop"):
                break
        else:
            raise AssertionError(f"it did not start: {process.stderr.read() if process.stderr else ''}")
        yield Served(project, port, tokens, process, said)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and whatever it started, which holds its output open
        process.communicate()
