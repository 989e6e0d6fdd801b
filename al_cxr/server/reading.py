"""What a reader's page asks for: the next questions, their images, and a place to put the answers.

Nothing here says why an image is asked for, what anybody else or a model says of it, or what its file is called.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from al_cxr.core.errors import UserError
from al_cxr.data.picture import Picture
from al_cxr.labelling.answers import Answer
from al_cxr.labelling.project import Project
from al_cxr.labelling.settings import NO_CLASS
from al_cxr.server.bodies import Next, Nothing, Said, Shown, Told, body_of
from al_cxr.server.pictures import Pictures

PREFETCH = 5
"""Questions that a page loads ahead."""
T = TypeVar("T")


class ReaderPage:
    """The routes of the reader's page; `reader_of` says who sent a request, or raises HTTPException 401."""

    def __init__(self, project: Project, pictures: Pictures, reader_of: Callable[[Request], str]) -> None:
        self._project, self._pictures, self._reader_of = project, pictures, reader_of

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/api/session", self.session, methods=["GET"]),
            Route("/api/next", self.next, methods=["POST"]),
            Route("/api/images/{question}/meta", self.meta, methods=["GET"]),
            Route("/api/images/{question}/preview", self.preview, methods=["GET"]),
            Route("/api/images/{question}/pixels", self.pixels, methods=["GET"]),
            Route("/api/shown", self.shown, methods=["POST"]),
            Route("/api/answer", self.answer, methods=["POST"]),
            Route("/api/undo", self.undo, methods=["POST"]),
            Route("/api/comment", self.comment, methods=["POST"]),
        ]

    async def session(self, request: Request) -> Response:
        reader = self._reader_of(request)
        return JSONResponse(
            {
                "reader": reader,
                "classes": self._project.settings.classes,
                "answers": list(NO_CLASS),
                "prefetch": PREFETCH,
                "comments": True,
                "answered": await run_in_threadpool(self._project.answered, reader),
            }
        )

    async def next(self, request: Request) -> Response:
        reader, body = self._reader_of(request), await body_of(request, Next)
        asked = await _done(lambda: self._project.ask(body.n, reader))
        self._pictures.ahead(one.question for one in asked)
        questions = [{"question": one.question, "done": False} for one in asked]
        return JSONResponse({"questions": questions, "left": None if questions else 0})

    async def meta(self, request: Request) -> Response:
        picture = await self._picture(request)
        rows, columns = picture.pixels_HW.shape
        return JSONResponse(
            {
                "rows": rows,
                "columns": columns,
                "bits": picture.bits,
                "low": picture.range[0],
                "high": picture.range[1],
                "aspect": picture.aspect,
                "windows": [_window(window) for window in picture.windows],
                "inverted": picture.inverted,
            }
        )

    async def preview(self, request: Request) -> Response:
        return Response((await self._picture(request)).preview, media_type="image/jpeg")

    async def pixels(self, request: Request) -> Response:
        picture = await self._picture(request)
        return Response(picture.pixels_HW.astype("<u2", copy=False).tobytes(), media_type="application/octet-stream")

    async def shown(self, request: Request) -> Response:
        reader, body = self._reader_of(request), await body_of(request, Shown)
        self._own(body.question, reader)
        await _done(lambda: self._project.shown(body.question))
        return JSONResponse({"ok": True})

    async def answer(self, request: Request) -> Response:
        reader, body = self._reader_of(request), await body_of(request, Told)
        self._own(body.question, reader)
        if body.answer not in (*self._project.settings.classes, *NO_CLASS):
            raise HTTPException(422, "answer: is none of the classes and answers of /api/session")
        told = Answer(body.question, body.answer, body.milliseconds, body.comment, body.view)
        await _done(lambda: self._project.tell_all([told], reader))
        return JSONResponse({"ok": True, "answered": await run_in_threadpool(self._project.answered, reader)})

    async def undo(self, request: Request) -> Response:
        reader, _ = self._reader_of(request), await body_of(request, Nothing)
        try:
            asked = await run_in_threadpool(self._project.undo, reader)
        except UserError:
            raise HTTPException(409, "there is no answer to take back") from None
        self._pictures.ahead([asked.question])
        return JSONResponse({"question": asked.question, "answer": asked.earlier})

    async def comment(self, request: Request) -> Response:
        reader, body = self._reader_of(request), await body_of(request, Said)
        self._own(body.question, reader)
        await _done(lambda: self._project.comment(body.question, body.comment, reader))
        return JSONResponse({"ok": True})

    def _own(self, question: str, reader: str) -> None:
        """HTTPException 404 where the reader was never asked this; another's question is as good as none."""
        if not self._project.was_asked(question, reader):
            raise HTTPException(404, "no such question")

    async def _picture(self, request: Request) -> Picture:
        question = request.path_params["question"]
        self._own(question, self._reader_of(request))
        try:
            # Shielded: a browser that goes away does not take the picture from whoever waits for it too.
            return await asyncio.shield(asyncio.wrap_future(self._pictures.get(question)))
        except UserError:  # which names the file
            raise HTTPException(422, "this image cannot be read; answer unreadable") from None


async def _done(what: Callable[[], T]) -> T:
    """Do it beside other requests. What goes wrong here is none of the reader's: it is told to who runs the server."""
    try:
        return await run_in_threadpool(what)
    except UserError as error:
        print(f"al-cxr: error: {error}", file=sys.stderr, flush=True)
        raise HTTPException(
            503, "the project cannot do this now, and nothing is lost; see what the server says"
        ) from None


def _window(window: Any) -> dict[str, Any]:
    plain = {"name": window.name, "center": window.center, "width": window.width, "function": window.function}
    return plain | {"levels": window.levels} if window.levels else plain
