"""benchmarks/archive.py: its ways compute the same, its table says what was measured, and nothing is measured twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

FOLDER = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))

import archive  # noqa: E402
from archive_files import copied, phantoms  # noqa: E402
from archive_ways import WAYS, Job  # noqa: E402
from memory import PeakOfProcesses  # noqa: E402


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantoms(tmp_path_factory.mktemp("files") / "phantoms-32", 12, 32)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def job(way: str, files: Path, folder: Path, **options: int) -> Job:
    (folder / way).mkdir()
    return Job(way, str(files), 12, 32, "test_resnet", str(folder / way), options)


def test_all_ways_of_al_cxr_give_the_same_features(files: Path, tmp_path: Path) -> None:
    before = WAYS["before"](job("before", files, tmp_path))()
    now = WAYS["torch"](job("torch", files, tmp_path))()
    assert before is not None and now is not None and before.shape[0] == 12
    assert np.array_equal(before, now) and np.ptp(before, axis=0).max() > 0
    pytest.importorskip("openvino")
    other = WAYS["openvino"](job("openvino", files, tmp_path))()
    assert other is not None and np.allclose(before, other, rtol=1e-3, atol=1e-4)


def test_the_rival_writes_features_of_all_images(files: Path, tmp_path: Path) -> None:
    given = job("timm", files, tmp_path, workers=0, threads=1, batch=8)
    WAYS["timm"](given)()
    features = np.load(given.out)
    assert features.shape[0] == 12 and np.isfinite(features).all() and np.ptp(features, axis=0).max() > 0


def test_files_are_repeated_with_other_bytes_and_the_same_pixels(files: Path, tmp_path: Path) -> None:
    many = sorted(copied(files, tmp_path / "many", 30).iterdir())
    assert len({path.read_bytes() for path in many}) == 30
    pixels = {np.asarray(Image.open(path)).tobytes() for path in many}
    assert pixels == {np.asarray(Image.open(path)).tobytes() for path in files.iterdir()} and len(pixels) == 12


def test_a_measurement_is_a_process_of_its_own(files: Path, tmp_path: Path) -> None:
    bench = archive.Bench(tmp_path / "work", "test_resnet")
    found = bench.measure("before", files, 12, 32, 0)
    assert found.seconds > 0 and found.cpu > 0 and found.bytes > 50 * 2**20
    assert np.load(bench.sample("before", files)).shape[0] == 12


def test_the_memory_of_processes_that_it_started_counts() -> None:
    child = "import time; held = bytearray(300 * 2**20); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], start_new_session=True)
    try:
        with PeakOfProcesses(process.pid, every=0.05) as peak:
            for _ in range(200):
                if peak.bytes > 300 * 2**20:
                    break
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.1)
        assert 300 * 2**20 < peak.bytes < 400 * 2**20
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_table_compares_with_both_rivals_and_a_second_start_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"before": 8.0, "timm": 4.0, "torch": 2.0, "openvino": 1.0, "decoding": 0.1, "inference": 0.5}
    measured: list[str] = []

    def run(
        self: archive.Bench, way: str, files: Path, count: int, size: int, options: dict[str, int]
    ) -> archive.Found:
        measured.append(way)
        slower = 1 + options.get("workers", 0) + options.get("threads", 1) - 1
        took = seconds[way] * slower * count / 40
        return archive.Found(took, 2 * took, 2**20 * (100 + count))

    monkeypatch.setattr(archive.Bench, "_run", run)
    out = tmp_path / "archive.md"
    small = ["--images", "40,80", "--size", "32", "--phantoms", "", "--work", str(tmp_path / "work")]
    archive.main([*small, "--turns", "2", "--out", str(out)])
    text, first = out.read_text(), len(measured)
    assert "| 40 | al-cxr, OpenVINO, one thread a core | 40 | 8.0 |" in text and "| 50.0 | 140 | —" in text
    assert "DataLoader, workers/threads/batch and images a second over 40 images: 0/" in text
    assert "al-cxr, PyTorch, one thread a core: 1,024.00 KB" in text
    archive.main([*small, "--turns", "2", "--out", str(out)])
    assert len(measured) == first and out.read_text() == text
    archive.main([*small, "--turns", "2", "--out", str(out), "--rivals", "40"])
    text = out.read_text()
    assert len(measured) == first and "thread, eight images a pass, on the first 40 of them | 5 | 1.0 |" in text
    assert "| 80 | al-cxr, OpenVINO, one thread a core | 40 | 8.0 |" in text
    measured.clear()
    archive.main([*small, "--turns", "3", "--out", str(out)])
    assert measured == ["before", "timm", "torch", "openvino", "decoding", "inference"] * 2
