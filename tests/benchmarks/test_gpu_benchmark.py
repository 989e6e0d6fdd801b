"""benchmarks/gpu.py on the CPU: it runs whole, and what is wrong is seen and said."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from al_cxr.training.runtime import Runtime

FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))

import gpu  # noqa: E402
import gpu_equality  # noqa: E402
import gpu_speeds  # noqa: E402
from gpu_cases import NETWORKS, TINY, Bench  # noqa: E402


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    threads = torch.get_num_threads()
    runtime = Runtime("cpu", "fp32", True, threads, 256, 1e9)
    return Bench.open(runtime, "bf16", TINY, tmp_path_factory.mktemp("gpu"), 600)


def test_one_command_compares_and_times_everything(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    command = [
        sys.executable,
        str(FOLDER / "gpu.py"),
        "--device",
        "cpu",
        "--tiny",
        "--seconds",
        "1e6",
        "--out",
        str(page),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text()
    assert text.rstrip() == done.stdout.rstrip() and "All within their limits" in text
    for what in ("gradient of a training step, fp32", *NETWORKS, "ResNet-18, fp32"):
        assert f"| {what}" in text
    for how in ("plain loop", "al-cxr, raced", "frozen network", "trainer, augmented"):
        assert f"| {how} | fp32 |" in text
    assert "× Baal best" in text or "is not compared with Baal" in text
    assert "TFLOPS" in text and "no time left" not in text


def test_what_does_not_fit_into_the_time_is_said_and_what_was_not_compared_is_no_success(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gpu.main(["--device", "cpu", "--tiny", "--seconds", "0"]) == 1
    said = capsys.readouterr().out
    assert said.count("Left out: the time that --seconds gives is used up.") == 7
    assert "not compared.**" in said


def test_a_device_that_computes_something_else_is_seen(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the reference had other weights, by one part in thirty."""
    (what,) = one = dict(list(NETWORKS.items())[:1])
    monkeypatch.setattr(gpu_equality, "NETWORKS", one)
    faithful = list(gpu_equality.scoring(bench))
    assert all(check.within for check in faithful) and what in faithful[0].what
    on_cpu = Bench.on_cpu

    def other(self: Bench, network: nn.Module) -> nn.Module:
        copied = on_cpu(self, network)
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter *= 1.03
        return copied

    monkeypatch.setattr(Bench, "on_cpu", other)
    assert not next(gpu_equality.scoring(bench)).within
    features = list(gpu_equality.features(bench))
    assert not next(check for check in features if check.what == "ResNet-18, fp32").within
    page = gpu.Page(None)
    (table,) = gpu.checked(features, page)
    assert page.failed and "**NO**" in table


def test_no_number_is_outside_every_limit() -> None:
    assert not gpu_equality.Check("", math.nan, 1.0).within


def test_a_part_that_fails_is_named_and_the_next_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    page = gpu.Page(None)
    assert not page.part("Scoring", (1 / 0 for _ in "a"), time.monotonic() + 60)  # type: ignore[misc]
    assert page.part("Features", ["a table"], time.monotonic() + 60)
    assert page.failed and "**Failed**: ZeroDivisionError" in capsys.readouterr().out


@pytest.mark.parametrize("wrapped", [False, True])
def test_too_little_memory_is_a_row_and_not_the_end(bench: Bench, wrapped: bool) -> None:
    def call() -> None:
        try:
            raise torch.OutOfMemoryError("20 GiB")
        except torch.OutOfMemoryError as error:
            if not wrapped:
                raise
            raise RuntimeError("Baal's own words") from error

    row = gpu_speeds._timed("Baal, default", "fp32", 256, call, 8, bench)
    fast = gpu_speeds.Speed("al-cxr", "fp32", 256, 90.0, 2e9)
    baal = gpu_speeds.Speed("Baal, batch not copied", "fp32", 256, 30.0, math.nan)
    lines = gpu.timed("A network", [row, baal, fast], {"fp32": 1e12}).splitlines()
    assert lines[-3] == "| Baal, default | fp32 | 256 | out of memory | — | — | — |"
    assert lines[-1] == "| al-cxr | fp32 | 256 | 90 | — | 3.0 | 18.0 % |"
