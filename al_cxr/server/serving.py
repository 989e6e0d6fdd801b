"""A project served to browsers: one server a project, on this machine alone unless it is told otherwise."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn

from al_cxr.core.errors import UserError
from al_cxr.core.locks import sole
from al_cxr.labelling.project import Project
from al_cxr.labelling.worker import Worker
from al_cxr.server.app import application
from al_cxr.server.guard import LOCAL, host_name
from al_cxr.server.pictures import Pictures
from al_cxr.server.sessions import Sessions

PORT = 8317
LOCK = "serve.lock"
WATCH = 1.0
"""Seconds between looks at the work beside the readers."""


@dataclass(frozen=True)
class Address:
    """Where a server listens, and what it is called."""

    host: str = "127.0.0.1"
    port: int = PORT
    """0 for any that is free."""
    names: tuple[str, ...] = field(default_factory=tuple)
    """Names beside the host by which browsers come, such as that of a proxy."""
    tls: bool = False
    """Whether browsers come by TLS, through a proxy."""

    @property
    def is_local(self) -> bool:
        """Whether nobody on another machine can reach it, by a proxy either."""
        if self.names or self.tls:
            return False
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def hosts(self) -> frozenset[str]:
        """What a browser may write as Host."""
        own = () if self.host in ("0.0.0.0", "::", "[::]") else (_bracketed(self.host),)
        return LOCAL | {host_name(_bracketed(name)) for name in (*own, *self.names)}

    def url(self, port: int, token: str, path: str = "/") -> str:
        """Where a person comes in."""
        if self.names:
            return f"http{'s' if self.tls else ''}://{self.names[0]}{path}?token={token}"
        host = "localhost" if self.host in ("0.0.0.0", "::", "[::]") else _bracketed(self.host)
        return f"http://{host}:{port}{path}?token={token}"


def serve(
    project: Project,
    open_again: Callable[[], Project],
    reader: str,
    address: Address,
    browser: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve an open project until it is told to stop (SIGINT, SIGTERM); `open_again` opens it once more, for figures.

    UserError where the project is served already, the port is taken, or readers on other machines have no tokens.
    """
    sessions = _sessions(project, reader, address)
    taken = f"{project.folder}: is served already by another process; use its page, or stop it first"
    with sole(project.folder / LOCK, taken), _listening(address) as listening, project.working() as worker:
        port = int(listening.getsockname()[1])
        pictures = Pictures(project.picture)
        app = application(project, open_again, sessions, pictures, address.hosts, port, address.tls)
        config = uvicorn.Config(
            app, access_log=False, log_level="warning", server_header=False, proxy_headers=False, ws="none",
            lifespan="off", timeout_graceful_shutdown=2, limit_concurrency=200,
        )  # fmt: skip
        for line in _said(project, sessions, reader, address, port):
            say(line)
        if browser and sessions.start is not None:
            webbrowser.open(address.url(port, sessions.start))
        try:
            asyncio.run(_until_stopped(uvicorn.Server(config), listening, worker))
        finally:
            pictures.close()


def _sessions(project: Project, reader: str, address: Address) -> Sessions:
    def hashes() -> dict[str, str]:
        with project.journal.log.lock:
            return {name: one.token for name, one in project.journal.state.readers.items() if one.token is not None}

    if address.is_local:
        return Sessions(project.reader(reader), hashes)
    if not hashes():
        raise UserError(
            f"--host {address.host}{f' --name {address.names[0]}' if address.names else ''}: other machines can reach "
            f"it, so each reader needs a token: al-cxr label token {project.folder} --reader NAME"
        )
    if address.hosts == LOCAL:
        raise UserError(f"--host {address.host}: say with --name by which name browsers reach this machine")
    return Sessions(None, hashes)


@contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    host = address.host.strip("[]")
    try:
        family = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, address.port), family=family, backlog=128)
    except OSError as error:
        raise UserError(
            f"cannot listen on {address.host}, port {address.port}: {error.strerror}; choose another with --port, or "
            "--port 0 for any that is free"
        ) from None
    with listening:
        # Handed on to every connection; else the body of an answer waits for the browser to confirm its head.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listening


def _said(project: Project, sessions: Sessions, reader: str, address: Address, port: int) -> Sequence[str]:
    classes = ", ".join(project.settings.classes)
    lines = [f"serving   {project.folder} · {classes} · on {_bracketed(address.host)}:{port}"]
    if sessions.start is not None:
        lines.append(f"{reader:<9} {address.url(port, sessions.start)}")
    else:
        lines.append(f"readers   {address.url(port, 'TOKEN')}    each with the own token")
    lines.append(f"lead      {address.url(port, sessions.lead)}    figures of the project; not for readers")
    return [*lines, "stop      Ctrl-C; every answer is on the disk as soon as the page goes on"]


async def _until_stopped(server: uvicorn.Server, listening: socket.socket, worker: Worker) -> None:
    watching = asyncio.create_task(_watch(worker))
    try:
        await server.serve(sockets=[listening])
    finally:
        watching.cancel()


async def _watch(worker: Worker) -> None:
    """Say what went wrong beside the readers: questions go on, and nothing is learned from the answers."""
    while True:
        await asyncio.sleep(WATCH)
        try:
            worker.check()
        except UserError as error:
            _complain(str(error), "models are trained again as soon as this is mended")
        except Exception as error:  # any: whoever reads goes on, and is told
            _complain(f"{type(error).__name__}: {error}", "no model is trained until the server starts again")


def _complain(what: str, then: str) -> None:
    print(f"al-cxr: error: {what}", file=sys.stderr)
    print(f"al-cxr: {then}; questions go on by the last model", file=sys.stderr, flush=True)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
