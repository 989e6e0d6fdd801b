"""A server that a test has in its hand: it answers a browser as `al-cxr label serve` does, is away when told, and
writes down what was asked; a request to anything else fails the test."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Route

from al_cxr.server import guard
from al_cxr.server.guard import HEADERS

STATIC = Path(guard.__file__).with_name("static")
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
ORIGIN = "http://localhost:8317"
BITS = 12
LARGEST = 2**BITS - 1


def deep(rows: int, columns: int, seed: int) -> np.ndarray:
    """12 bits, every value different from its neighbours."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(200, 3600, rows * columns).reshape(rows, columns)
    return (slope + rng.integers(0, 300, (rows, columns))).astype(np.uint16)


@dataclass
class Pretended:
    """A project with these images; question k is about image k."""

    images: list[np.ndarray]
    classes: list[str] = field(default_factory=lambda: ["normal", "pneumonia", "tuberculosis"])
    lead: dict[str, Any] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    aspect: float = 1.0
    away: bool = False
    deaf_once: bool = False
    """The next answer is written down, and its acknowledgement is lost."""
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Question -> body, in the order in which they came."""
    calls: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    """What the browser got from the API, images left out."""
    wrong: list[str] = field(default_factory=list)
    """Requests to others, errors, messages."""

    def question(self, number: int) -> str:
        return f"q{number:07}"

    @property
    def open(self) -> list[str]:
        return [q for q in map(self.question, range(len(self.images))) if q not in self.answers]

    def visit(self, context: BrowserContext, path: str = "/") -> Page:
        context.route("**/*", self.answer)
        context.set_default_timeout(120_000)  # of a busy machine
        page = context.new_page()
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("console", lambda said: self.wrong.append(said.text) if _is_wrong(said) else None)
        page.goto(ORIGIN + path)
        return page

    def answer(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if f"{url.scheme}://{url.netloc}" != ORIGIN:
            self.wrong.append(f"asked {route.request.url}")
            route.abort()
            return
        self.calls.append(url.path)
        if self.away:
            route.abort("connectionrefused")
            return
        if url.path.startswith("/api/"):
            self._api(route, url.path)
            return
        name = {"/": "reader.html", "/lead": "lead.html"}.get(url.path, url.path.rpartition("/")[2])
        kind = TYPES[name.rpartition(".")[2]]
        route.fulfill(body=(STATIC / name).read_bytes(), headers={**HEADERS, "Content-Type": kind})

    def _api(self, route: Route, path: str) -> None:
        if path.startswith("/api/images/"):
            _, _, _, question, what = path.split("/")
            self._image(route, question, what)
            return
        replies: dict[str, Callable[[Any], Any]] = {
            "/api/session": self._session,
            "/api/next": lambda body: {"questions": [{"question": q, "done": False} for q in self.open[: body["n"]]]},
            "/api/shown": lambda body: {"ok": True},
            "/api/comment": lambda body: {"ok": True},
            "/api/answer": self._take,
            "/api/undo": self._undo,
            "/api/lead/status": lambda body: self.lead,
        }
        reply = replies[path](route.request.post_data_json if route.request.method == "POST" else None)
        if reply is None:
            route.fulfill(status=409, json={"error": "there is no answer to take back"})
        elif path == "/api/answer" and self.deaf_once:
            self.deaf_once = False
            route.abort("connectionreset")
        else:
            self.bodies.append(json.dumps(reply).encode())
            route.fulfill(body=self.bodies[-1], headers={**HEADERS, "Content-Type": "application/json"})

    def _session(self, body: Any) -> dict[str, Any]:
        kinds = ["unsure", "skip", "unreadable", "not-frontal"]
        counts = {"prefetch": 5, "comments": True, "answered": len(self.answers)}
        return {"reader": "ann", "classes": self.classes, "answers": kinds, **counts}

    def _take(self, body: dict[str, Any]) -> dict[str, Any]:
        self.answers[body["question"]] = body
        return {"ok": True, "answered": len(self.answers)}

    def _undo(self, body: Any) -> dict[str, Any] | None:
        if not self.answers:
            return None
        question, told = self.answers.popitem()
        return {"question": question, "answer": told["answer"]}

    def _image(self, route: Route, question: str, what: str) -> None:
        pixels_HW = self.images[int(question[1:])]
        if question in self.broken:
            route.fulfill(status=422, json={"error": "this image cannot be read; answer unreadable"})
        elif what == "meta":
            self.bodies.append(json.dumps(self.meta(pixels_HW)).encode())
            route.fulfill(body=self.bodies[-1], headers={**HEADERS, "Content-Type": "application/json"})
        elif what == "preview":
            file = io.BytesIO()
            Image.fromarray((pixels_HW >> (BITS - 8)).astype(np.uint8)).save(file, "JPEG")
            route.fulfill(body=file.getvalue(), headers={**HEADERS, "Content-Type": "image/jpeg"})
        else:
            kind = {"Content-Type": "application/octet-stream"}
            route.fulfill(body=pixels_HW.astype("<u2").tobytes(), headers={**HEADERS, **kind})

    def meta(self, pixels_HW: np.ndarray) -> dict[str, Any]:
        low, high = int(pixels_HW.min()), int(pixels_HW.max())
        p_low, p_high = np.percentile(pixels_HW, [0.5, 99.5])
        windows: list[dict[str, Any]] = [
            {"name": "normal", "center": 2047.5, "width": 4095.0, "function": "LINEAR_EXACT"},
            {"name": "soft", "center": 2000.0, "width": 1500.0, "function": "SIGMOID"},
            {"name": "look-up table", "center": 2000.0, "width": 3000.0, "function": "TABLE"},
            {"name": "percentiles", "center": (p_low + p_high) / 2, "width": p_high - p_low},
            {"name": "full range", "center": (low + high) / 2, "width": float(high - low)},
        ]
        windows[2]["levels"] = [0, 0.1, 0.5, 0.6, 1]
        for window in windows[3:]:
            window["function"] = "LINEAR_EXACT"
        rows, columns = pixels_HW.shape
        size = {"rows": rows, "columns": columns, "bits": BITS, "low": low, "high": high}
        return {**size, "aspect": self.aspect, "windows": windows, "inverted": False}


def _is_wrong(said: ConsoleMessage) -> bool:
    """A page that is closed mid-way, or a server that is away, is no fault of the page."""
    return said.type == "error" and "Failed to load resource" not in said.text
