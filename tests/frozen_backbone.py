"""A small frozen backbone and an experiment on its features, for the tests of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from al_cxr import models
from al_cxr.config import Settings
from al_cxr.config import files as experiment
from al_cxr.training.runtime import Runtime

RUNTIME = Runtime("cpu", "fp32", True, 1, 16, 0.0)


DATA = {"sources": [{"kind": "phantom", "count": 60, "seed": 0}], "image_size": 32}


def network(weights: Path | str, **options: Any) -> Any:
    torch.manual_seed(0)
    return models.build("backbone", 1, 3, 32, {"name": "test_resnet", "weights": str(weights), **options})


def settings(weights: Path, cache: Path, **changes: Any) -> Settings:
    tiny = {
        "data": DATA,
        "model": {
            "arch": "backbone",
            "tune": "frozen",
            "options": {"backbone": {"name": "test_resnet", "weights": str(weights), "head_dropout": 0.3}},
        },
        "train": {"epochs": 3, "batch_size": 16, "lr": 0.01, "augment": None},
        "budget": {"seed": 0.4, "query": 0.2, "rounds": 1},
        "scoring": {"passes": 3},
        "arms": {
            "mc": {"strategy": "mc_entropy", "loss": "cross_entropy"},
            "random": {"strategy": "random", "loss": "cross_entropy"},
        },
        "machine": {"threads": 1, "precision": "fp32", "cache": str(cache), "score_batch": 16},
    }
    return experiment.validate(experiment.merge(tiny, changes), "test.yaml")
