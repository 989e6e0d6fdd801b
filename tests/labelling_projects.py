"""Small labelling projects on phantoms, with a network that looks at 32 pixels and was never trained."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from al_cxr.api.labelling import LabellingProject
from al_cxr.config.files import merge
from al_cxr.labelling.answers import Asked

CLASSES = ["normal", "pneumonia", "tuberculosis"]


class Clock:
    """A time that passes only where a test says so."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


def settings(folder: Path, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    network = {"arch": "backbone", "options": {"name": "test_resnet"}, "image_size": 32}
    tiny = {"network": network, "machine": {"threads": 1, "cache": str(folder / "cache")}}
    return merge(tiny, changes or {})


def begun(
    folder: Path, changes: Mapping[str, Any] | None = None, archive: str | Path = "phantom:90"
) -> LabellingProject:
    """A new project in folder/project."""
    return LabellingProject.create(
        folder / "project", archive, CLASSES, "tuberculosis", settings(folder, changes), Clock()
    )


def write_archive(folder: Path, count: int, first: int = 0) -> list[Path]:
    """Small PNG files, each of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(first, first + count):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40), dtype=np.uint8)
        made.append(folder / f"{number:03}.png")
        Image.fromarray(pixels).save(made[-1])
    return made


def truth(asked: Asked) -> str:
    """What a phantom shows is in its data set; this is a stand-in that only the name decides."""
    return CLASSES[sum(map(ord, asked.name)) % 3]


def prepared(project: LabellingProject) -> LabellingProject:
    """With all features."""
    while project.prepare():
        pass
    return project
