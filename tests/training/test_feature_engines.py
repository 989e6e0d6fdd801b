"""Engines that compute the same features, faster; the default changes no key of a run or of the cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frozen_backbone import RUNTIME, network, settings

from al_cxr.config import ModelSettings
from al_cxr.core.errors import UserError
from al_cxr.data.store import PixelStore
from al_cxr.training import feature_engines
from al_cxr.training.extractor import Extractor
from al_cxr.training.feature_cache import feature_loader

pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")
BOTH: dict[str, Any] = {"layers": ["layer2"], "chest": True}


def cosines(a_NK: np.ndarray, b_NK: np.ndarray) -> np.ndarray:
    norms_N = np.linalg.norm(a_NK, axis=1) * np.linalg.norm(b_NK, axis=1)
    return np.asarray((a_NK * b_NK).sum(axis=1) / norms_N)


@pytest.mark.parametrize(("engine", "least"), [("openvino", 1 - 1e-6), ("torch_float16", 1 - 1e-3)])
def test_every_engine_sees_what_pytorch_sees_in_the_image_its_layers_and_its_chest(
    engine: str, least: float, weights: Path, store: PixelStore
) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    pixels = store.pixels[:11]
    plain_NK, other_NK = (
        Extractor(network(weights, **BOTH), RUNTIME, name, workers=1)(pixels) for name in ("torch", engine)
    )
    assert other_NK.shape == plain_NK.shape and other_NK.dtype == np.float32
    assert (cosines(plain_NK, other_NK) > least).all()
    assert not np.array_equal(plain_NK, other_NK)  # it is another engine that computed


def test_another_engine_has_files_of_its_own_and_the_default_those_of_ever(
    weights: Path, store: PixelStore, tmp_path: Path
) -> None:
    plain = feature_loader(network(weights), store, tmp_path, RUNTIME)
    other = feature_loader(network(weights), store, tmp_path, RUNTIME, engine="torch_float16")
    assert other.key != plain.key and feature_engines.facts("torch") == {}


def test_the_default_stands_in_no_record_and_another_in_all(weights: Path, tmp_path: Path) -> None:
    assert "feature_engine" not in ModelSettings().model_dump(mode="json")
    chosen = settings(weights, tmp_path, model={"feature_engine": "openvino"})
    assert chosen.record()["model"]["feature_engine"] == "openvino"
    with pytest.raises(UserError, match=r"model\.feature_engine: openvino .* model\.tune frozen"):
        settings(weights, tmp_path, model={"feature_engine": "openvino", "tune": "all"})


def test_openvino_tells_nobody_that_it_is_used(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    code = """if True:
        import sys
        from al_cxr.training.feature_engines.openvino import imported
        imported()
        print([name for name in sys.modules if name.startswith("openvino_telemetry.")])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_an_engine_lacks_is_one_line(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = type(RUNTIME)("cuda", "fp32", True, 1, 16, 0.0)
    with pytest.raises(UserError, match=r"openvino computes on the CPU, not on cuda; use torch there"):
        feature_engines.build("openvino", network(weights), on_gpu)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match=r"pip install 'al-cxr\[openvino\]'"):
        feature_engines.build("openvino", network(weights), RUNTIME)
    with pytest.raises(UserError, match=r"'cuda_graphs' is none; use torch"):
        feature_engines.build("cuda_graphs", network(weights), RUNTIME)


def test_a_value_that_is_no_number_is_refused_in_any_engine(weights: Path, store: PixelStore) -> None:
    broken = network(weights)
    with torch.no_grad():
        broken.body.layer4[0].conv1.weight.fill_(float("nan"))
    for engine in ("torch", "torch_float16"):
        with pytest.raises(UserError, match="test_resnet: some features are not finite"):
            Extractor(broken, RUNTIME, engine, workers=1)(store.pixels[:3])


def test_an_engine_that_sees_other_things_than_pytorch_is_refused(
    weights: Path, store: PixelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = network(weights)

    def coarse(images: torch.Tensor) -> torch.Tensor:
        return backbone.features(images).round(decimals=1)  # type: ignore[no-any-return]

    monkeypatch.setattr(feature_engines, "build", lambda *given: coarse)
    with pytest.raises(UserError, match=r"torch_float16 does not see .* what PyTorch sees .*; use torch"):
        Extractor(backbone, RUNTIME, "torch_float16", workers=1)(store.pixels[:3])
