"""Features by several threads: the same bits, and what a stopped start has computed is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frozen_backbone import RUNTIME, network

from al_cxr.config import AugmentSettings
from al_cxr.core.errors import UserError
from al_cxr.data.store import PixelStore
from al_cxr.training import feature_pass
from al_cxr.training.archive import FeaturePass
from al_cxr.training.extractor import Extractor
from al_cxr.training.feature_cache import FOLDER, Views, feature_loader, missing
from al_cxr.training.feature_pass import Batch, Pass

pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")


@pytest.mark.parametrize("engine", ["torch", "openvino", "torch_float16"])
def test_threads_change_no_bit(engine: str, weights: Path, store: PixelStore, tmp_path: Path) -> None:
    pytest.importorskip(engine.split("_")[0], reason="the extra 'openvino' is not installed")
    given: dict[str, Any] = {"layers": ["layer2"], "chest": True}
    views = Views(1, np.arange(20), AugmentSettings())
    made = []
    for workers in (1, 2, 4):
        cache = tmp_path / str(workers)
        feature_loader(network(weights, **given), store, cache, RUNTIME, views, engine, workers)
        made.append({file.name: file.read_bytes() for file in (cache / FOLDER).rglob("*.npy")})
    assert len(made[0]) == 2 and made[0] == made[1] == made[2]
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        feature_loader(network(weights, **given), store, tmp_path / "threads", RUNTIME, views, engine, workers=2)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert {file.name: file.read_bytes() for file in (tmp_path / "threads").rglob("*.npy")} == made[0]


def test_threads_share_the_weights_and_leave_the_network_as_it_was(weights: Path, store: PixelStore) -> None:
    backbone = network(weights).train()
    with Extractor(backbone, RUNTIME, workers=2) as made:
        made(store.pixels)
        twin = made._compute.twin()
    assert backbone.head.dropout.training and not twin.backbone.head.dropout.training
    assert twin.backbone is not backbone and twin.backbone.body is not backbone.body
    for one, other in zip(backbone.parameters(), twin.backbone.parameters(), strict=True):
        assert one.data_ptr() == other.data_ptr()


def test_what_was_computed_before_a_stop_is_not_computed_again(
    weights: Path, store: PixelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_cxr.training.feature_file.PART", 16)
    expected = feature_loader(network(weights), store, tmp_path / "other", RUNTIME, workers=1)
    streamed = Extractor.stream

    def stopped(self: Extractor, batches: Any) -> Any:
        for number, features in enumerate(streamed(self, batches)):
            yield features
            if number == 3:
                raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Extractor, "stream", stopped)
        with pytest.raises(KeyboardInterrupt):
            feature_loader(network(weights), store, tmp_path, RUNTIME, workers=2)
    left = sorted((tmp_path / FOLDER).rglob("*.*"))
    assert left and all(".part-" in file.name for file in left)
    assert missing(network(weights), store, tmp_path) == 60 - 32
    loader = feature_loader(network(weights), store, tmp_path, RUNTIME, workers=2)
    np.testing.assert_array_equal(loader.features_NK, expected.features_NK)


def test_a_mistake_in_a_thread_is_the_same_line(weights: Path, store: PixelStore) -> None:
    backbone = network(weights)
    with Extractor(backbone, RUNTIME, workers=2) as made:
        made(store.pixels[:20])
        with torch.no_grad():
            backbone.body.layer4[0].conv1.weight.fill_(float("inf"))
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
    weights: Path, store: PixelStore, tmp_path: Path
) -> None:
    whole = feature_loader(network(weights), store, tmp_path / "other", RUNTIME, workers=1).features_NK
    given = FeaturePass(network(weights), 32, tmp_path, RUNTIME, workers=2)
    with given.looking("project") as look:
        for first in (0, 20, 10):  # the last ten of each were there, or come again
            rows = np.arange(first, first + 20)
            keys = [store.keys[i] for i in rows]
            np.testing.assert_array_equal(look(keys, store.pixels[rows]), whole[rows])
        assert look.computed == 40
        for part in (tmp_path / FOLDER).rglob("*.npy"):
            part.unlink()  # as where another process has put them into a file of its own, and that is gone
        np.testing.assert_array_equal(look(keys, store.pixels[rows]), whole[rows])
    assert missing(network(weights), store, tmp_path) == 60 - 20
