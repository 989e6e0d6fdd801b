"""Decoded radiographs of the questions that come next, so that nobody waits for a decoder; in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from al_cxr.data.picture import Picture

MEMORY = 384 * 2**20
"""Bytes of pixels that are kept beside those that are asked for now: 50 radiographs of 1,955 x 1,841 pixels."""
THREADS = 2


class Pictures:
    """Pictures by question, decoded once, those that were not looked at for longest forgotten first."""

    def __init__(self, read: Callable[[str], Picture], memory: int = MEMORY) -> None:
        self._read, self._memory = read, memory
        self._held: OrderedDict[str, Future[Picture]] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="al-cxr pictures")

    def ahead(self, questions: Iterable[str]) -> None:
        """Begin to decode those that will be looked at."""
        for question in questions:
            self.get(question)

    def get(self, question: str) -> Future[Picture]:
        """The picture of a question, when it is decoded; the future raises what reading it raised."""
        with self._lock:
            future = self._held.get(question)
            if future is None or future.cancelled():
                future = self._held[question] = self._pool.submit(self._decoded, question)
            self._held.move_to_end(question)
            return future

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def held(self) -> int:
        """Bytes of the pictures that are decoded."""
        with self._lock:
            return sum(_bytes(future) for future in self._held.values())

    def _decoded(self, question: str) -> Picture:
        try:
            picture = self._read(question)
            _ = picture.preview, picture.range  # made here, where nobody waits
        except BaseException:
            with self._lock:  # it may be readable the next time
                self._held.pop(question, None)
            raise
        self._make_room(picture)
        return picture

    def _make_room(self, picture: Picture) -> None:
        with self._lock:
            over = sum(_bytes(future) for future in self._held.values()) + picture.pixels_HW.nbytes - self._memory
            for question, future in list(self._held.items()):
                if over <= 0:
                    return
                if size := _bytes(future):
                    del self._held[question]
                    over -= size


def _bytes(future: Future[Picture]) -> int:
    """Those of a picture that is there."""
    if not future.done() or future.cancelled() or future.exception() is not None:
        return 0
    return future.result().pixels_HW.nbytes
