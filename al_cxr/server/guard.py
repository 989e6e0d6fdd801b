"""What every request passes before anything else looks at it, and what every response carries.

A page with patients on it has three enemies in the browser that shows it: another page that sends requests here, a name
that an attacker lets point here (DNS rebinding), and script that slips into this page. The first is met by Origin and
Sec-Fetch-Site, the second by a list of hosts, the third by a policy under which nothing runs but this server's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names of this machine, as a browser writes them."""

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
)
"""Of every response."""

READS = ("GET", "HEAD")


class Guard:
    """Refuses requests that no page of this server sends."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # lifespan; a websocket never comes so far
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = refusal(scope["method"], scope["path"], Headers(scope=scope), self._hosts)
        app = self._app if refused is None else JSONResponse({"error": refused[1]}, refused[0])
        await app(scope, receive, guarded)


def refusal(method: str, path: str, headers: Headers, hosts: frozenset[str]) -> tuple[int, str] | None:
    """Status and reason for which a request is refused; None where it is let through."""
    host = headers.get("host", "")
    if len(headers.getlist("host")) != 1 or host_name(host) not in hosts:
        return 421, "this server does not go by that name"
    if method not in (*READS, "POST"):
        return 405, "only GET and POST"
    site = headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none") and (method == "POST" or path.startswith("/api/")):
        return 403, "another page may not ask here"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return 403, "another page may not ask here"
    if method == "POST" and origin is None:
        return 403, "a write says which page it comes from"
    if method == "POST" and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return 415, "a write is JSON"
    return None


def host_name(host: str) -> str:
    """A Host header without its port, in small letters; "" for what is none."""
    if host.startswith("["):
        name, bracket, port = host.partition("]")
        name, port = name + bracket, port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    return name.lower().removesuffix(".") if not port or port.isdecimal() else ""
