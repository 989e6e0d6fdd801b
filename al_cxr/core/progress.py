"""How far long work is: a bar on a terminal, and lines where there is none, as in a log, a batch job or a notebook.

Without a terminal a line is said at the start, at least every minute, and at the end, whatever the work does in the
meantime. Work inside other work, such as a training inside a sweep, says nothing by itself: the lines of the outer work
end with how far the inner is. A process that works for another one is silent (`mute`): that one says it.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from tqdm import tqdm

INTERVAL = 60.0
"""Seconds without a word after which a line is said, where there is no terminal."""

Say = Callable[[str], None]

_open: list[Progress] = []
"""The work that is going on in this process, the outermost first."""
_muted = False


def mute() -> None:
    """Say nothing more in this process."""
    global _muted
    _muted = True


def to_log(line: str) -> None:
    """A line among what a command prints, at once; none where that is closed."""
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)


class Progress:
    """A block in which `total` units of work are done; `update` counts them.

    `done` of them were there before, as where work goes on that was stopped: they count as done, and not for the speed.
    `interval` is in seconds. `shown` is false where somebody else shows this work.
    """

    def __init__(
        self,
        total: float,
        what: str,
        unit: str = "images",
        done: float = 0,
        *,
        interval: float = INTERVAL,
        say: Say = to_log,
        shown: bool = True,
        leave: bool = True,
        bar_format: str | None = None,
    ) -> None:
        self.total, self.what, self.unit, self.done = total, what, unit, done
        self._before, self._note, self._started = done, "", time.monotonic()
        self._say, self._interval, self._spoke = say, interval, self._started
        self._shown = shown and total > 0 and not _muted
        self._leave, self._format = leave, bar_format
        self._bar: tqdm | None = None
        self._over = threading.Event()
        self._watch: threading.Thread | None = None
        self._outer: Progress | None = None

    def __enter__(self) -> Progress:
        if not self._shown:
            return self
        self._outer = _open[0] if _open else None
        _open.append(self)
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=self.total,
                initial=self.done,
                desc=self.what,
                unit=f" {self.unit}",
                leave=self._leave,
                dynamic_ncols=True,
                bar_format=self._format,
            )
        elif self._outer is None:
            if first := self.first_line():
                self.say(first)
            self._watch = threading.Thread(target=self._keep_saying, daemon=True)
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._shown:
            return
        self._over.set()
        if self._watch is not None:
            self._watch.join()
        if self in _open:
            _open.remove(self)
        if self._bar is not None:
            self._bar.close()
        elif self._outer is None and error is None and (last := self.last_line()):
            self.say(last)

    def update(self, count: float = 1) -> None:
        """So many more units are done."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)

    def resume(self, count: float) -> None:
        """So many more units turn out to have been done before."""
        self._before += count
        self.update(count)

    def note(self, text: str) -> None:
        """How it goes, in a few words, behind how far it is."""
        self._note = text
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)

    def say(self, line: str) -> None:
        """A line of its own; on a terminal it stands above the bar."""
        self._spoke = time.monotonic()
        if self._bar is None:
            self._say(line)
        else:
            with tqdm.external_write_mode():
                self._say(line)

    @property
    def noted_every(self) -> float:
        """Seconds after which another note would be read."""
        if not self._shown:
            return math.inf
        return 10.0 if self._bar is None else 0.5

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._started

    @property
    def fraction(self) -> float:
        """Of the units, those that are done (0..1)."""
        return min(self.done / self.total, 1.0) if self.total else 1.0

    def remaining(self) -> float | None:
        """Seconds that the rest takes at the speed so far; None before anything was done."""
        since = self.done - self._before
        return None if since <= 0 else self.elapsed * (self.total - self.done) / since

    def first_line(self) -> str:
        """What is begun, and how much of it was done before; "" where there is nothing to say of it."""
        begun = f"{self.what}: {self.total:,.0f} {self.unit}"
        return f"{begun}, {self._before:,.0f} done before" if self._before else begun

    def line(self) -> str:
        """How far it is, how fast it goes, how long it still takes."""
        parts = [f"{self.what}: {self.done:,.0f} of {self.total:,.0f} {self.unit}"]
        left = self.remaining()
        if left is not None:
            parts.append(f"{_rate((self.done - self._before) / max(self.elapsed, 1e-9))} {self.unit}/s")
        if self._note:
            parts.append(self._note)
        parts.append(f"{duration(self.elapsed)} so far")
        if left is not None and self.done < self.total:
            parts.append(f"about {duration(left)} left")
        return " · ".join(parts)

    def last_line(self) -> str:
        """How much was done, and how long it took."""
        return f"{self.what}: {self.done:,.0f} {self.unit} in {duration(self.elapsed)}"

    def inner(self) -> Progress | None:
        """The innermost work that goes on inside this one."""
        return _open[-1] if _open and _open[-1] is not self else None

    def _keep_saying(self) -> None:
        while not self._over.wait(max(self._spoke + self._interval - time.monotonic(), 0.001)):
            if time.monotonic() - self._spoke >= self._interval:
                inner = self.inner()
                try:
                    self.say(self.line() if inner is None else f"{self.line()} · now {inner.line()}")
                except OSError:  # nobody reads any more; the main thread meets it where it can be caught
                    return


class Working:
    """A block of work whose parts are not counted: it is only said that it goes on, where it takes long.

    Work inside it that is counted speaks for itself.
    """

    def __init__(self, what: str, *, interval: float = INTERVAL, say: Say = to_log) -> None:
        self.what, self._say, self._interval = what, say, interval
        self._started, self._over = time.monotonic(), threading.Event()
        self._watch = threading.Thread(target=self._keep_saying, daemon=True)

    def __enter__(self) -> Working:
        if not _muted:
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._watch.is_alive():
            self._watch.join()

    def _keep_saying(self) -> None:
        while not self._over.wait(self._interval):
            if not _open:
                self._say(f"{self.what} · {duration(time.monotonic() - self._started)} so far")


def duration(seconds: float) -> str:
    """Seconds in words a person plans with: 42 s, 7 min, 3 h 10 min, 2 d 5 h."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def between(low: float, high: float) -> str:
    """A range of seconds in words: 4 to 9 min, 50 s to 2 min."""
    first, last = duration(low), duration(high)
    if first == last:
        return first
    same = first.rpartition(" ")[2] == last.rpartition(" ")[2] and first.count(" ") == last.count(" ") == 1
    return f"{first.partition(' ')[0] if same else first} to {last}"


def _rate(units: float) -> str:
    return f"{units:,.0f}" if units >= 10 else f"{units:.2g}"
