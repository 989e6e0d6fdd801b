"""Features of an archive on a real Ray of this machine: the same bytes as in one process, each shard once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import al_cxr
from al_cxr.api.features import Opened
from al_cxr.cli.__main__ import main
from al_cxr.config import Ray
from al_cxr.core.errors import UserError
from al_cxr.experiment.engines.ray_features import features_on_ray

pytest.importorskip("timm", reason="the extra 'pretrained' is not installed")
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - else a worker starves beside whatever else this machine tests
ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")

NAME = {"name": "test_resnet"}


def opened(cache: Path, archive: str = "phantom:60") -> Opened:
    return Opened(archive, None, False, "backbone", json.dumps(NAME), 32, "torch", "cpu", str(cache))


def test_shards_on_ray_are_the_bytes_of_one_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = al_cxr.features("phantom:60", "backbone", options=NAME, image_size=32, cache=tmp_path / "alone")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        made = features_on_ray(opened(tmp_path / "ray"), Ray(shard=16))
        assert made.computed == 60 and made.path.read_bytes() == alone.path.read_bytes()
        assert list(made.index_M) == list(range(60)) and made.path.name == alone.path.name
        assert [file for file in (tmp_path / "ray/features").rglob("*.npy")] == [made.path]  # no shard is kept twice
        again = features_on_ray(opened(tmp_path / "ray"), Ray(shard=16))
        assert again.computed == 0
        np.testing.assert_array_equal(again.features_MK, alone.features_NK)

        command = ["features", "phantom:60", "--arch", "backbone", "--option", "name=test_resnet", "--size", "32"]
        assert main([*command, "--cache", str(tmp_path / "command"), "--ray"]) == 0
        assert "computed  60 images" in capsys.readouterr().out
        (file,) = (tmp_path / "command/features").rglob("*.npy")
        assert file.read_bytes() == alone.path.read_bytes()

        with pytest.raises(UserError, match=r"machine\.ray: a task asks for 99 CPUs"):
            features_on_ray(opened(tmp_path / "ray"), Ray(cpus=99))
    finally:
        ray.shutdown()
