"""How a sweep is followed: what is new is said, what was there counts, and a wrong estimate is corrected."""

from __future__ import annotations

import io
import re
import sys
import time
from pathlib import Path

import pytest
from fake_run import fake_run

from al_cxr.core import progress
from al_cxr.core.errors import UserError
from al_cxr.core.progress import Progress
from al_cxr.core.records import RoundRecord
from al_cxr.experiment.estimate import Speeds, TimeEstimate, makespan
from al_cxr.experiment.plan import Job, Plan, Step
from al_cxr.experiment.progress import SweepProgress


@pytest.fixture
def interrupted(tmp_path: Path) -> tuple[dict[Job, list[Step]], Path]:
    """Two arms of a made-up run, the first without its last two rounds, which lie aside."""
    run = fake_run(tmp_path / "run", {"a": ("random", "focal"), "b": ("entropy", "focal")}, seeds=(0,), rounds=3)
    followed = {}
    for arm in ("a", "b"):
        folder = run / "arms" / arm / "seed-0"
        followed[Job("arm", arm, 0)] = [
            Step(folder / f"round-{r}.json", RoundRecord, fits=1, trained=10, scored=10) for r in range(4)
        ]
    for r in (2, 3):
        path = run / "arms" / "a" / "seed-0" / f"round-{r}.json"
        path.rename(path.with_suffix(".later"))
    return followed, run / "arms" / "a" / "seed-0"


def test_progress_says_what_is_new_and_counts_what_was_there(
    interrupted: tuple[dict[Job, list[Step]], Path],
) -> None:
    followed, folder = interrupted
    said: list[str] = []
    with SweepProgress(followed, "tuberculosis", said.append) as sweep:
        assert sweep.status() == "done 1/2 · running 1 (a seed 0)" and said == []
        (folder / "round-2.later").rename(folder / "round-2.json")
        sweep.look()
        assert re.fullmatch(
            r"\[7/8\] a, seed 0, round 2: 2\d0 labels \(\d+ new, 7 of them tuberculosis\) · .* · about 1 s left",
            said[0],
        )
        (folder / "round-3.later").rename(folder / "round-3.json")
    assert len(said) == 2 and re.fullmatch(r"\[8/8\] a, seed 0, round 3: .* %", said[1])
    assert sweep.status() == "done 2/2 · running 0"


def test_the_first_jobs_that_are_not_done_are_those_that_run(tmp_path: Path) -> None:
    followed = {Job("arm", f"arm{i}", 0): [Step(tmp_path / str(i), trained=1)] for i in range(9)}
    sweep = SweepProgress(followed, "tuberculosis", print, slots=2)
    assert sweep.status() == "done 0/9 · running 2 (arm0 seed 0, arm1 seed 0) · queued 7"
    (tmp_path / "1").touch()
    sweep.look()
    assert sweep.status().startswith("done 1/9 · running 2 (arm0 seed 0, arm2 seed 0) · queued 6 · ")
    sweep.slots = 5
    assert sweep.status().startswith("done 1/9 · running 5 · queued 3 · ")


def test_on_a_terminal_lines_stand_above_one_bar(
    interrupted: tuple[dict[Job, list[Step]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, said = Terminal(), list[str]()
    monkeypatch.setattr(sys, "stderr", terminal)
    followed, folder = interrupted
    with SweepProgress(followed, "tuberculosis", said.append) as sweep:
        (folder / "round-2.later").rename(folder / "round-2.json")
        sweep.look()
    assert len(said) == 1 and said[0].startswith("a, seed 0, round 2: ")
    shown = terminal.getvalue().split("\r")
    assert any(text.strip().startswith("75 %") and "done 1/2 · running 1 (a seed 0)" in text for text in shown)
    assert any(text.strip().startswith("88 %") and "about 1 s left" in text for text in shown)


def test_an_edited_record_is_an_error_of_the_sweep_and_not_of_a_thread(
    interrupted: tuple[dict[Job, list[Step]], Path],
) -> None:
    followed, folder = interrupted
    with (
        pytest.raises(UserError, match=r"round-2\.json: cannot be used \(arm: missing"),
        SweepProgress(followed, "tuberculosis", print),
    ):
        (folder / "round-2.json").write_text("{}")


def arms(folder: Path, count: int, steps: int) -> dict[Job, list[Step]]:
    return {
        Job("arm", f"arm{i}", 0): [Step(folder / f"{i}-{s}", fits=1, trained=100) for s in range(steps)]
        for i in range(count)
    }


def estimated(followed: dict[Job, list[Step]], slots: int = 1) -> TimeEstimate:
    """A hundred images a second: each step takes a second."""
    return TimeEstimate(Plan(followed), Speeds(train=100, score=100, sample=100), slots)


def test_before_anything_is_done_the_time_left_is_the_estimate(tmp_path: Path) -> None:
    followed = arms(tmp_path, 3, 400)
    sweep = SweepProgress(followed, "tuberculosis", print, estimate=estimated(followed))
    assert sweep.remaining() == pytest.approx(1200, rel=0.01)
    assert sweep.status().endswith("queued 2 · about 20 min left")
    assert SweepProgress(followed, "tuberculosis", print).remaining() is None, "nothing is known without an estimate"


def test_a_wrong_estimate_is_corrected_by_what_the_work_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    followed = arms(tmp_path, 2, 100)
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    sweep = SweepProgress(followed, "tuberculosis", print, estimate=estimated(followed))
    for step in range(50):  # a second was estimated for each, and ten are needed
        now[0] += 10
        (tmp_path / f"0-{step}").touch()
        sweep.look()
    left = sweep.remaining()
    assert left is not None and 1000 < left < 1500, "150 steps of ten seconds, the estimate still counting a little"
    assert re.search(r"about \d+ min left \(estimated at the start: 3 to 7 min\)$", sweep.status())


def test_a_step_that_takes_longer_than_all_was_estimated_to_take_raises_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = arms(tmp_path, 1, 4)
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    sweep = SweepProgress(followed, "tuberculosis", print, estimate=estimated(followed))
    now[0] = 2400.0
    left = sweep.remaining()
    assert left is not None and left > 300, "not a single step is done after 40 minutes"
    last = SweepProgress(arms(tmp_path, 1, 1), "tuberculosis", print, estimate=estimated(arms(tmp_path, 1, 1)))
    now[0] = 4800.0
    assert (last.remaining() or 0) > 300, "nor is the last one about to be, for all that is known"


def test_what_was_done_before_counts_as_done_and_not_for_the_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = arms(tmp_path, 1, 1000)
    for step in range(900):
        (tmp_path / f"0-{step}").touch()
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    sweep = SweepProgress(followed, "tuberculosis", print)
    now[0] = 50.0
    for step in range(900, 950):
        (tmp_path / f"0-{step}").touch()
    sweep.look()
    assert sweep.remaining() == pytest.approx(50)


def test_training_in_this_process_tells_how_far_the_running_step_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = arms(tmp_path, 1, 2)
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    sweep = SweepProgress(followed, "tuberculosis", print, estimate=estimated(followed))
    with sweep, Progress(10, "training", "steps") as training:
        assert sweep.inner() is training
        now[0] = 50.0
        training.update(5)
        assert 100 < (sweep.remaining() or 0) < 150, "half a step took 50 s, and one and a half are left"


def test_without_a_terminal_a_long_round_is_not_silent(tmp_path: Path) -> None:
    followed, said = arms(tmp_path, 2, 2), list[str]()
    estimate = estimated(followed)
    with (
        SweepProgress(followed, "tuberculosis", said.append, estimate=estimate, interval=0.01),
        Progress(1000, "arm0 seed 0 round 0", "steps") as training,
    ):
        training.update(412)
        while not said:
            time.sleep(0.001)
    line = r"\[0/0\] jobs done 0/2 · running 1 \(arm0 seed 0\) · queued 1 · about \d+ s left.*"
    assert re.match(line + r" · now arm0 seed 0 round 0: 412 of 1,000 steps · ", said[0])


def test_jobs_that_run_at_once_share_the_time(tmp_path: Path) -> None:
    followed = arms(tmp_path, 3, 100)
    assert [estimated(followed, slots).seconds for slots in (1, 2, 3, 9)] == [300, 200, 100, 100]
    assert TimeEstimate(Plan(followed), Speeds(train=100), 2, crowd=1.5).seconds == 300
    assert (makespan([], 2), makespan([5, 1, 1, 1], 2)) == (0, 5)
    assert str(estimated(followed)) == "4 to 10 min"


def test_a_worker_says_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_muted", False)
    progress.mute()
    with Progress(3, "training", interval=0.001) as training:
        training.update(3)
        time.sleep(0.01)
    assert capsys.readouterr() == ("", "")
