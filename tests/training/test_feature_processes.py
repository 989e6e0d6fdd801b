"""Features by several processes: the same bits, one clear error where one is killed, nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frozen_backbone import RUNTIME, network

from al_cxr.config import AugmentSettings
from al_cxr.core.errors import UserError
from al_cxr.data.store import PixelStore
from al_cxr.training import extractor, feature_pass
from al_cxr.training.archive import FeaturePass
from al_cxr.training.extractor import Extractor
from al_cxr.training.feature_cache import FOLDER, Views, feature_loader, missing
from al_cxr.training.feature_pass import Batch, Pass

pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes start after two batches, however little is left."""
    monkeypatch.setattr(extractor, "TRIAL", 1)
    monkeypatch.setattr(extractor, "START_SECONDS", -1.0)


def test_processes_and_threads_change_no_bit(
    weights: Path, store: PixelStore, tmp_path: Path, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = Views(1, np.arange(20), AugmentSettings())
    made = []
    for workers in (1, 2, 3):
        cache = tmp_path / str(workers)
        feature_loader(network(weights, chest=True), store, cache, RUNTIME, views, workers=workers)
        made.append({file.name: file.read_bytes() for file in (cache / FOLDER).rglob("*.npy")})
    assert len(made[0]) == 2 and made[0] == made[1] == made[2]
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        feature_loader(network(weights, chest=True), store, tmp_path / "threads", RUNTIME, views, workers=1)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert {file.name: file.read_bytes() for file in (tmp_path / "threads").rglob("*.npy")} == made[0]


def test_few_images_start_no_process(weights: Path, store: PixelStore) -> None:
    with Extractor(network(weights), RUNTIME, workers=2) as made:
        assert made(store.pixels).shape == (60, 96)
        assert made._processes is None


def test_a_process_that_is_killed_is_one_error_and_the_next_start_goes_on(
    weights: Path, store: PixelStore, tmp_path: Path, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_cxr.training.feature_file.PART", 16)
    expected = feature_loader(network(weights), store, tmp_path / "other", RUNTIME, workers=1)
    streamed = extractor.FeatureProcesses.stream

    def killed(self: Any, batches: Any) -> Any:
        for number, features in enumerate(streamed(self, batches)):
            yield features
            if number == 0:  # of six batches one at least was given to nobody yet
                for process in self._processes:
                    os.kill(process.child.pid, signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(extractor.FeatureProcesses, "stream", killed)
        with pytest.raises(UserError, match=r"was killed \(signal 9; out of memory\?\); the same command goes on"):
            feature_loader(network(weights), store, tmp_path, RUNTIME, workers=2)
    left = sorted((tmp_path / FOLDER).rglob("*.*"))
    assert left and all(".part-" in file.name for file in left)
    assert 0 < missing(network(weights), store, tmp_path) < 60
    loader = feature_loader(network(weights), store, tmp_path, RUNTIME, workers=2)
    np.testing.assert_array_equal(loader.features_NK, expected.features_NK)


def test_who_starts_processes_and_is_killed_leaves_none_behind(weights: Path, tmp_path: Path) -> None:
    code = f"""if True:
        import itertools, sys
        import numpy as np
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from frozen_backbone import RUNTIME, network
        from al_cxr.training import extractor
        extractor.TRIAL, extractor.START_SECONDS = 1, -1.0
        made = extractor.Extractor(network({str(weights)!r}), RUNTIME, workers=2)
        batches = (extractor.Batch(np.zeros((8, 32, 32), np.uint8)) for _ in itertools.count())
        for number, _ in enumerate(made.stream(batches, 10**9)):
            if number == 5:
                print(*(process.child.pid for process in made._processes._processes), flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(word) for word in parent.stdout.readline().split()]
        assert len(children) == 2 and all(Path(f"/proc/{child}").exists() for child in children)
        parent.kill()
    for _ in range(600):
        if not any(_runs(child) for child in children):
            return
        time.sleep(0.1)
    raise AssertionError("processes outlived the one that had started them")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_mistake_in_a_process_is_the_same_line(
    weights: Path, store: PixelStore, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = network(weights)
    broken.body.unpicklable = lambda: None
    with Extractor(broken, RUNTIME, workers=2) as made, pytest.raises(UserError, match=r"set machine\.workers: 1"):
        made(store.pixels)
    broken = network(weights)
    with torch.no_grad():
        broken.body.layer4[0].conv1.weight.fill_(float("inf"))
    with Extractor(broken, RUNTIME, workers=2) as made:
        made._processes = extractor.FeatureProcesses(made._compute, 2)
        with pytest.raises(UserError, match="some features are not finite"):
            made(store.pixels)


def test_where_memory_is_short_a_batch_is_halved(
    weights: Path, store: PixelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU does whose memory holds three images; here the memory is only said to be short."""
    backbone, sizes = network(weights), []
    compute = Pass(backbone, RUNTIME)
    expected = compute(Batch(store.pixels[:8]))
    computed = backbone.features

    def small(images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return computed(images)  # type: ignore[no-any-return]

    monkeypatch.setattr(feature_pass, "BATCH", 1)  # a batch is not filled up
    backbone.features = small
    compute = Pass(backbone, RUNTIME)
    compute.size = 8
    np.testing.assert_allclose(compute(Batch(store.pixels[:8])), expected, rtol=1e-4, atol=1e-5)
    assert sizes == [8, 4, 2, 2, 4, 2, 2] and compute.size == 2

    def never(images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    backbone.features = never
    with pytest.raises(UserError, match="its memory does not hold one image"):
        Pass(backbone, RUNTIME)(Batch(store.pixels[:2]))


def test_images_that_come_a_few_at_a_time_have_the_features_of_the_whole(
    weights: Path, store: PixelStore, tmp_path: Path, eager: None
) -> None:
    whole = feature_loader(network(weights), store, tmp_path / "other", RUNTIME, workers=1).features_NK
    given = FeaturePass(network(weights), 32, tmp_path, RUNTIME, workers=2)
    with given.looking("project", 60) as look:
        for first in (0, 20, 10):  # the last ten of each were there, or come again
            rows = np.arange(first, first + 20)
            keys = [store.keys[i] for i in rows]
            np.testing.assert_array_equal(look(keys, store.pixels[rows]), whole[rows])
        assert look.computed == 40
        for part in (tmp_path / FOLDER).rglob("*.npy"):
            part.unlink()  # as where another process has put them into a file of its own, and that is gone
        np.testing.assert_array_equal(look(keys, store.pixels[rows]), whole[rows])
    assert missing(network(weights), store, tmp_path) == 60 - 20
