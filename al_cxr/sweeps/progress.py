"""One view of all runs of a sweep, whichever engine computes them: done, running, queued, and how long it will take.

It is read from the run folder, in which every step that is done leaves a file. So nothing has to be sent by workers,
on this machine or another; what was there before counts as done; and the time that is left is that of what is left.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from tqdm import tqdm

from al_cxr.errors import UserError
from al_cxr.records import BaselineRecord, RoundRecord, read
from al_cxr.sweeps.plan import Job, Step

Say = Callable[[str], None]

INTERVAL = 1.0
"""Seconds between two looks at the run folder."""
NAMED = 3
"""Running jobs that are named on a terminal; of more, only the number is shown."""


class Progress:
    """A block in which a sweep is followed. Each round that gets done is said as a line: on a terminal above one bar
    over all jobs, elsewhere with [done/total] in front and the time that is left behind.

    `steps` are those of each job in the order in which jobs are begun, `slots` is how many run at once: the first so
    many that are not done are the ones that run. `target` is the class whose F1 is said.
    """

    def __init__(self, steps: Mapping[Job, Sequence[Step]], target: str, say: Say, slots: int = 1) -> None:
        self.slots = slots
        self._left = {job: list(of_job) for job, of_job in steps.items()}
        self._target, self._say = target, say
        every = [step for of_job in steps.values() for step in of_job]
        self._told, self._total = 0, sum(step.kind is not None for step in every)
        self._cost = sum(step.cost for step in every)
        self._advance()
        self._before = self._done()
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._bar = tqdm(
            total=self._cost,
            initial=self._before,
            bar_format="{percentage:3.0f} % {bar:20} {desc}",
            dynamic_ncols=True,
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> Progress:
        self._show()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        try:
            self.look()
        except UserError:
            if error is None:  # else that one says what is wrong
                raise
        finally:
            self._bar.close()

    def look(self) -> None:
        """Say what was done since the last look."""
        for step in self._advance():
            assert step.kind is not None
            line = describe(read(step.path, step.kind), self._target)
            self._told += 1
            if self._bar.disable:
                self._say(f"[{self._told}/{self._total}] {line}{self._remaining(' · {} left')}")
            else:
                with tqdm.external_write_mode():
                    self._say(line)
        self._show()

    def status(self) -> str:
        """done 3/18 · running 2 (focal-random seed 0, ce-random seed 0) · queued 13 · 12 min left"""
        open_jobs = [job for job, left in self._left.items() if left]
        running, queued = open_jobs[: self.slots], open_jobs[self.slots :]
        names = f" ({', '.join(map(str, running))})" if 0 < len(running) <= NAMED else ""
        done = len(self._left) - len(open_jobs)
        waiting = f" · queued {len(queued)}" if queued else ""
        return f"done {done}/{len(self._left)} · running {len(running)}{names}{waiting}{self._remaining(' · {} left')}"

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL):
            # Met and raised again by the last look, or when the output is flushed: where it can be caught.
            with contextlib.suppress(UserError, OSError):
                self.look()

    def _advance(self) -> list[Step]:
        """Take away what is done by now; of that, what is to be said. At the first call that was done before."""
        first, said = not hasattr(self, "_started"), []
        for left in self._left.values():
            while left and (left[0].done or left[0].void):
                step = left.pop(0)
                if step.void:
                    self._total -= step.kind is not None
                elif step.kind is not None:
                    self._told += first
                    said.append(step)
        return said

    def _done(self) -> int:
        return self._cost - sum(step.cost for left in self._left.values() for step in left)

    def _show(self) -> None:
        if not self._bar.disable:
            self._bar.n = self._done()
            self._bar.set_description_str(self.status())

    def _remaining(self, text: str) -> str:
        """The time that is left, put into a text; empty while nothing or once everything is done."""
        done = self._done()
        if done == self._before or done == self._cost:
            return ""
        elapsed = time.monotonic() - self._started
        return text.format(duration(elapsed * (self._cost - done) / (done - self._before)))


def describe(record: RoundRecord | BaselineRecord, target: str) -> str:
    """What a round or a baseline came to, in one line."""
    figures = f"accuracy {100 * record.test.accuracy:.1f} % · {target} F1 {100 * record.test.of(target).f1:.1f} %"
    if isinstance(record, BaselineRecord):
        return f"baseline, seed {record.seed}: all {record.n_labelled:,} labels · {figures}"
    labels = f"{record.n_labelled:,} labels (+{record.acquired[target]} {target})"
    return f"{record.arm}, seed {record.seed}, round {record.round}: {labels} · {figures}"


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
