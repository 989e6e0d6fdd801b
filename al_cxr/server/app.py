"""The application: the pages, what they ask for, and who may."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from al_cxr.labelling.project import Project
from al_cxr.server.guard import Guard
from al_cxr.server.leading import LeadPage
from al_cxr.server.pictures import Pictures
from al_cxr.server.reading import ReaderPage
from al_cxr.server.sessions import Sessions, Visitor

STATIC = Path(__file__).with_name("static")
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
"""Of the files that the pages consist of."""
OUTSIDE = (
    "<!doctype html><title>al-cxr</title><p>Open the address that the server printed, or the one that you were given; "
    "it has a token at its end. Where you have just done so, reload this page."
)


class Pages:
    """The files of the pages, and the way in."""

    def __init__(self, sessions: Sessions, port: int, secure: bool) -> None:
        self._sessions, self._port, self._secure = sessions, port, secure
        self._files = {path.name: path for path in STATIC.iterdir() if path.suffix in TYPES}

    def reader(self, request: Request) -> str:
        """Who reads; HTTPException 401 for nobody."""
        visitor = self._visitor(request, "reader")
        if visitor is None or visitor.reader is None:
            raise HTTPException(401, "open the address with your token again")
        return visitor.reader

    def lead(self, request: Request) -> None:
        """HTTPException 401 for anybody but the lead."""
        visitor = self._visitor(request, "lead")
        if visitor is None or visitor.reader is not None:
            raise HTTPException(401, "open the address with the token of the lead again")

    async def home(self, request: Request) -> Response:
        token = request.query_params.get("token")
        if token is not None:
            return await self._enter(token)
        return self._page("reader.html", lambda: self.reader(request))

    async def lead_page(self, request: Request) -> Response:
        return self._page("lead.html", lambda: self.lead(request))

    async def static(self, request: Request) -> Response:
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404, "no such file")
        return Response(await run_in_threadpool(file.read_bytes), media_type=TYPES[file.suffix])

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/", self.home, methods=["GET"]),
            Route("/lead", self.lead_page, methods=["GET"]),
            Route("/static/{name}", self.static, methods=["GET"]),
        ]

    def _page(self, name: str, allowed: Callable[[], object]) -> Response:
        try:
            allowed()
        except HTTPException:
            return HTMLResponse(OUTSIDE, 401)
        return Response(self._files[name].read_bytes(), media_type="text/html")

    async def _enter(self, token: str) -> Response:
        entered = await run_in_threadpool(self._sessions.enter, token)
        if entered is None:
            return HTMLResponse(OUTSIDE, 401)
        cookie, visitor = entered
        lead = visitor.reader is None
        response = RedirectResponse("/lead" if lead else "/", 303)
        name = self._cookie("lead" if lead else "reader")
        response.set_cookie(name, cookie, httponly=True, samesite="strict", secure=self._secure, path="/")
        return response

    def _visitor(self, request: Request, who: str) -> Visitor | None:
        return self._sessions.visitor(request.cookies.get(self._cookie(who), ""))

    def _cookie(self, who: str) -> str:
        """Cookies are shared by the ports of a machine, and each project has a port."""
        return f"al-cxr-{who}-{self._port}"


def application(
    project: Project,
    open_again: Callable[[], Project],
    sessions: Sessions,
    pictures: Pictures,
    hosts: frozenset[str],
    port: int,
    secure: bool = False,
) -> Starlette:
    """What answers requests about an open project. `hosts` are the names that it goes by; `secure` where browsers come
    by TLS."""
    pages = Pages(sessions, port, secure)
    reading, leading = ReaderPage(project, pictures, pages.reader), LeadPage(open_again, pages.lead)
    return Starlette(
        routes=[*pages.routes(), *reading.routes(), *leading.routes()],
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers={HTTPException: _refused, 404: _refused, 405: _refused},
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)
