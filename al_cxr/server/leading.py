"""What the page of who leads a project asks for: figures of the whole project, which no reader's page is given."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from al_cxr.labelling.export import TABLES
from al_cxr.labelling.project import Project
from al_cxr.labelling.status import status_of


class LeadPage:
    """The routes of the lead's page; `lead` raises HTTPException 401 for whoever is not the lead.

    Measuring takes seconds, so it is done on a project of its own (`open_again`) beside the one that readers use, and
    only where something happened since the last time.
    """

    def __init__(self, open_again: Callable[[], Project], lead: Callable[[Request], None]) -> None:
        self._open, self._lead = open_again, lead
        self._project: Project | None = None
        self._lock = threading.Lock()
        self._status: tuple[int, dict[str, Any]] = (-1, {})

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/api/lead/status", self.status, methods=["GET"]),
            Route("/api/lead/export/{name}", self.export, methods=["GET"]),
        ]

    def close(self) -> None:
        if self._project is not None:
            self._project.close()

    async def status(self, request: Request) -> Response:
        self._lead(request)
        return JSONResponse(await run_in_threadpool(self._measured))

    async def export(self, request: Request) -> Response:
        self._lead(request)
        name = request.path_params["name"]
        if name not in TABLES:
            raise HTTPException(404, f"no such table; there are {', '.join(TABLES)}")
        text = await run_in_threadpool(self._table, name)
        return Response(text, media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'})

    def _table(self, name: str) -> bytes:
        with self._lock:
            if self._project is None:
                self._project = self._open()
            frame = TABLES[name][1](self._project.journal.refresh())
        return bytes(frame.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape"))

    def _measured(self) -> dict[str, Any]:
        with self._lock:
            if self._project is None:
                self._project = self._open()
            number = self._project.journal.refresh().number
            if number != self._status[0]:
                self._project.close()
                self._project = self._open()  # with the features and the model that are there by now
                self._status = number, _told(self._project)
            return self._status[1]


def _told(project: Project) -> dict[str, Any]:
    """The status, and what the project is to reach."""
    s = project.settings
    goal = {"figure": s.goal.figure, "at_least": s.goal.at_least}
    return {**status_of(project).as_json(), "target": s.target, "goal": goal}
