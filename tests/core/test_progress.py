"""How far long work is: lines in a log, a bar on a terminal."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import al_cxr
from al_cxr.core.progress import Progress, Working, between, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


def test_a_log_has_a_line_at_the_start_at_every_interval_and_at_the_end() -> None:
    said: list[str] = []
    with Progress(10, "reading", interval=0.01, say=said.append) as work:
        assert said == ["reading: 10 images"]
        wait_for(lambda: len(said) > 2)  # though nothing is done meanwhile
        work.update(4)
        seen = len(said)
        wait_for(lambda: len(said) > seen + 1)
        work.update(6)
    assert re.fullmatch(r"reading: 0 of 10 images · \d+ s so far", said[1])
    assert re.fullmatch(r"reading: 4 of 10 images · [\d,.]+ images/s · \d+ s so far · about \d+ s left", said[seen + 1])
    assert re.fullmatch(r"reading: 10 images in \d+ s", said[-1])


def test_short_work_has_two_lines() -> None:
    said: list[str] = []
    with Progress(1000, "reading", say=said.append) as work:
        for _ in range(1000):
            work.update()
    assert said == ["reading: 1,000 images", "reading: 1,000 images in 1 s"]


def test_work_that_goes_on_counts_what_was_there_and_not_for_its_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    work = Progress(100, "training", "steps", 40)
    assert (work.first_line(), work.remaining()) == ("training: 100 steps, 40 done before", None)
    now[0] = 10.0
    work.update(20)
    assert work.remaining() == pytest.approx(20)
    assert work.line() == "training: 60 of 100 steps · 2 steps/s · 10 s so far · about 20 s left"
    late = Progress(100, "predicting")
    late.resume(50)  # found out only when the file was read
    now[0] = 20.0
    late.update(10)
    assert (late.done, late.remaining()) == (60, pytest.approx(40))


def test_many_small_jobs_inside_other_work_say_nothing_by_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with Progress(50, "sweep", "jobs", say=said.append) as sweep:
        for number in range(50):
            with Progress(3, f"training {number}", "steps") as training:
                training.update(3)
            sweep.update()
    assert said == ["sweep: 50 jobs", "sweep: 50 jobs in 1 s"]
    assert capsys.readouterr() == ("", "")


def test_a_line_of_the_outer_work_ends_with_how_far_the_inner_is() -> None:
    said: list[str] = []
    with Progress(2, "sweep", "jobs", interval=0.01, say=said.append), Progress(8, "training", "steps") as training:
        training.update(2)
        training.note("loss 0.5")
        wait_for(lambda: any("loss 0.5" in line for line in said))
    line = next(line for line in said if "loss 0.5" in line)
    assert re.match(r"sweep: 0 of 2 jobs · \d+ s so far · now training: 2 of 8 steps · \S+ steps/s · loss 0.5 · ", line)


def test_a_line_that_is_said_puts_the_next_one_off() -> None:
    said: list[str] = []
    with Progress(2, "sweep", "jobs", interval=1000, say=said.append) as work:
        work.say("round 0")
    assert said == ["sweep: 2 jobs", "round 0", "sweep: 0 jobs in 1 s"]


def test_work_that_fails_has_no_last_line() -> None:
    said: list[str] = []
    with pytest.raises(KeyError), Progress(2, "reading", say=said.append):
        raise KeyError
    assert said == ["reading: 2 images"]
    with Progress(2, "reading", say=said.append):  # and is over
        pass
    assert len(said) == 3


def test_nothing_to_do_and_work_that_somebody_else_shows_say_nothing() -> None:
    said: list[str] = []
    with Progress(0, "features", say=said.append), Progress(5, "decoding", say=said.append, shown=False):
        pass
    assert said == []


def test_a_terminal_has_a_bar_and_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    said: list[str] = []
    with Progress(4, "reading", interval=0.001, say=said.append) as work:
        work.update(3)
        time.sleep(0.01)
        work.say("a word")
    shown = terminal.getvalue()
    assert said == ["a word"] and "reading" in shown and "3/4" in shown and "reading: 4 images" not in shown


def test_work_that_is_not_counted_is_heard_of_only_where_it_takes_long(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with Working("writing the report", say=said.append):
        pass
    assert said == []
    with Working("writing the report", interval=0.01, say=said.append):
        wait_for(lambda: bool(said))
    assert re.fullmatch(r"writing the report · \d+ s so far", said[0])


def test_counted_work_inside_uncounted_work_speaks_for_itself() -> None:
    said, outer = list[str](), list[str]()
    with Working("opening", interval=0.001, say=outer.append), Progress(3, "features", interval=0.01, say=said.append):
        before = len(outer)
        wait_for(lambda: len(said) > 2)
        assert len(outer) - before <= 1, "one line may have been on its way"
    assert said[0] == "features: 3 images" and said[-1].startswith("features: 0 images in ")


def test_a_log_that_nobody_can_write_to_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", closed)
    with Progress(3, "reading", interval=0.001) as work:
        monkeypatch.setattr(closed, "write", lambda text: (_ for _ in ()).throw(OSError("no space left")))
        time.sleep(0.01)
        work.update(3)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (89, "89 s"), (91, "2 min"), (3600 * 1.6, "1 h 36 min"), (3600 * 49.2, "2 d 1 h")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (240, 540, "4 to 9 min"),
        (50, 120, "50 s to 2 min"),
        (240, 241, "4 min"),
        (5000, 9000, "83 min to 2 h 30 min"),
        (9000, 18000, "2 h 30 min to 5 h 0 min"),
        (0, 0, "1 s"),
    ],
)
def test_ranges_in_words(low: float, high: float, words: str) -> None:
    assert between(low, high) == words


def test_all_work_says_how_far_it_is_in_one_way() -> None:
    package = Path(al_cxr.__file__).parent
    own = [path.name for path in package.rglob("*.py") if "import tqdm" in path.read_text()]
    assert own == ["progress.py"], "a bar of its own says nothing in a log"
