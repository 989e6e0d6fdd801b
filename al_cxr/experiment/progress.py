"""One view of all runs of a sweep, whichever engine computes them: done, running, queued, and how long it will take.

It is read from the run folder, in which every step that is done leaves a file. So nothing has to be sent by workers,
on this machine or another; what was there before counts as done; and the time that is left is that of what is left.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from al_cxr.core.errors import UserError
from al_cxr.core.progress import INTERVAL, Progress, Say, duration
from al_cxr.core.records import BaselineRecord, RoundRecord, read
from al_cxr.experiment.estimate import Speeds, TimeEstimate, makespan
from al_cxr.experiment.plan import Job, Step

LOOK = 1.0
"""Seconds between two looks at the run folder."""
NAMED = 3
"""Running jobs that are named; of more, only the number is shown."""
AS_PLANNED = 0.8
"""Share of a running step's estimate that is taken for done at most, where nothing is heard of it: a step that takes
longer than estimated always has a part of the time it took still before it."""
TRUSTED = 20.0
"""Seconds of measured work that the estimate counts as, against what was really needed since; of a short one less."""


class SweepProgress(Progress):
    """A block in which a sweep is followed. Each round that gets done is said as a line: on a terminal above one bar
    over all jobs, elsewhere with [done/total] in front and the time that is left behind; and a line says how far it is
    where no round got done for `interval` seconds.

    `steps` are those of each job in the order in which jobs are begun, `slots` is how many run at once: the first so
    many that are not done are the ones that run. `target` is the class whose F1 is said. Without an `estimate` the time
    that is left is not known before something was done.
    """

    def __init__(
        self,
        steps: Mapping[Job, Sequence[Step]],
        target: str,
        say: Say,
        slots: int = 1,
        estimate: TimeEstimate | None = None,
        interval: float = INTERVAL,
    ) -> None:
        self.slots, self._estimate = slots, estimate
        self._speeds = Speeds() if estimate is None else estimate.speeds
        self._left = {job: list(of_job) for job, of_job in steps.items()}
        self._target, self._told = target, 0
        every = [step for of_job in steps.values() for step in of_job]
        self._said_in_all = sum(step.kind is not None for step in every)
        cost = sum(map(self._speeds.seconds, every))
        self._told = len(self._advance())
        bar = "{percentage:3.0f} % {bar:20} {desc}"
        before = cost - self._cost_left()
        super().__init__(cost, "sweep", "s of work", before, interval=interval, say=say, leave=False, bar_format=bar)
        self._moved, self._ended = self._started, threading.Event()
        self._looks = threading.Thread(target=self._look_again, daemon=True)

    def __enter__(self) -> SweepProgress:
        super().__enter__()
        self._show()
        self._looks.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._looks.join()
        try:
            self.look()
        except UserError:
            if error is None:  # else that one says what is wrong
                raise
        finally:
            super().__exit__(kind, error, trace)

    def look(self) -> None:
        """Say what was done since the last look."""
        new = self._advance()
        self.done = self.total - self._cost_left()
        for step in new:
            assert step.kind is not None
            line = describe(read(step.path, step.kind), self._target)
            self._told += 1
            self.say(line if self._bar is not None else f"{self._count()} {line}{self._in_words()}")
        self._show()

    def status(self) -> str:
        """done 3/18 · running 2 (focal-random seed 0, ce-random seed 0) · queued 13 · about 12 min left"""
        open_jobs = [job for job, left in self._left.items() if left]
        running, queued = open_jobs[: self.slots], open_jobs[self.slots :]
        names = f" ({', '.join(map(str, running))})" if 0 < len(running) <= NAMED else ""
        done = len(self._left) - len(open_jobs)
        waiting = f" · queued {len(queued)}" if queued else ""
        return f"done {done}/{len(self._left)} · running {len(running)}{names}{waiting}{self._in_words()}"

    def first_line(self) -> str:
        """Nothing: who runs a sweep has said what is to be done."""
        return ""

    def last_line(self) -> str:
        """Nothing: who runs a sweep says what it came to."""
        return ""

    def line(self) -> str:
        return f"{self._count()} jobs {self.status()}"

    def remaining(self) -> float | None:
        """Seconds: what is left by the estimate, times how much longer than estimated the work so far has taken.

        Work that is going on counts as far as it says, else as if it took what was estimated, until most of it is over.
        """
        if self._estimate is None and self.done == self._before:
            return None
        left, credit = [sum(map(self._speeds.seconds, steps)) for steps in self._left.values() if steps], 0.0
        for at, steps in enumerate([steps for steps in self._left.values() if steps][: self.slots]):
            gone = self._gone(steps[0])
            left[at] -= gone
            credit += gone
        trusted = 0.0 if self._estimate is None else min(TRUSTED, self._estimate.seconds / 10)
        crowd = 1.0 if self._estimate is None else self._estimate.crowd
        estimated = crowd * (self.done - self._before + credit) / self.slots
        factor = (self.elapsed + trusted) / max(estimated + trusted, 1e-9)
        return factor * crowd * makespan(left, self.slots)

    def _gone(self, step: Step) -> float:
        """Seconds of a step that is going on, of those that it was estimated to take, which are over."""
        cost, inner = self._speeds.seconds(step), self.inner()
        if inner is not None:
            return cost * inner.fraction / max(step.fits, 1)
        if self._estimate is None:
            return 0.0
        return min(AS_PLANNED * cost, time.monotonic() - self._moved)

    def _look_again(self) -> None:
        while not self._ended.wait(LOOK):
            # A record that cannot be read is met and raised again by the last look, where it can be caught; so is
            # a reader of the output who went away.
            with contextlib.suppress(UserError, OSError):
                self.look()

    def _advance(self) -> list[Step]:
        """Take away what is done by now; of that, what is to be said."""
        said = []
        for left in self._left.values():
            while left and (left[0].done or left[0].void):
                step = left.pop(0)
                self._moved = time.monotonic()
                if step.void:
                    self._said_in_all -= step.kind is not None
                elif step.kind is not None:
                    said.append(step)
        return said

    def _cost_left(self) -> float:
        return sum(self._speeds.seconds(step) for left in self._left.values() for step in left)

    def _count(self) -> str:
        return f"[{self._told}/{self._said_in_all}]"

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.n = self.done
            self._bar.set_description_str(self.status())

    def _in_words(self) -> str:
        """The time that is left, and what was estimated where that turns out wrong."""
        left = self.remaining() if any(self._left.values()) else None
        if left is None:
            return ""
        said = f" · about {duration(left)} left"
        if self._estimate is not None and not self._estimate.range[0] <= self.elapsed + left <= self._estimate.range[1]:
            said += f" (estimated at the start: {self._estimate})"
        return said


def describe(record: RoundRecord | BaselineRecord, target: str) -> str:
    """What a round or a baseline came to, in one line."""
    figures = f"accuracy {100 * record.test.accuracy:.1f} % · {target} F1 {100 * record.test.of(target).f1:.1f} %"
    if isinstance(record, BaselineRecord):
        return f"baseline, seed {record.seed}: all {record.n_labelled:,} labels · {figures}"
    new = f"{sum(record.acquired.values()):,} new, {record.acquired[target]:,} of them {target}"
    labels = f"{record.n_labelled:,} labels ({new})"
    return f"{record.arm}, seed {record.seed}, round {record.round}: {labels} · {figures}"
