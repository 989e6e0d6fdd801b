"""A thread that works while people read: it computes features and trains heads, and nobody waits for it."""

from __future__ import annotations

import threading
from typing import Protocol

from al_cxr.core.errors import UserError

IDLE = 1.0
"""Seconds after which it looks whether another process brought answers."""
PAUSE = 30.0
"""Seconds after which it tries again where a file could not be read or written."""


class Work(Protocol):
    """What there is to do, in pieces of a few seconds."""

    def learn(self) -> bool: ...

    def prepare(self) -> int: ...


class Worker:
    """Does the work of a project until it is stopped.

    What goes wrong is raised in the thread of who calls `check` or `stop`, once. Where a person can mend it, such as
    a full disk, the work goes on after a pause.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._news, self._over = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="al-cxr labelling", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There are answers."""
        self._news.set()

    def stop(self) -> None:
        """Ends it after the piece that it is at."""
        self._over.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()
        self.check()

    def check(self) -> None:
        """Raises what went wrong, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        while not self._over.is_set():
            self._news.clear()
            try:
                if not self._work.learn() and not self._work.prepare():
                    self._news.wait(IDLE)
            except UserError as error:  # told to whoever asks next, as a thread has nobody who hears it
                self._error = error
                self._over.wait(PAUSE)
            except BaseException as error:
                self._error = error
                return
