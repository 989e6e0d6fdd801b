"""Small data sets on the disk, one way for each kind of source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from al_cxr.config import DataSettings
from al_cxr.data import splits
from al_cxr.data.dataset import SPLITS, Dataset
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.sources.manifest import ManifestSource
from al_cxr.data.sources.medmnist import MedmnistSource
from al_cxr.data.sources.source import Source

HEADER = "path,label,split,patient_id,source,age"

GOOD = [
    "00.png,a,train,p0,x,50",
    "01.png,b,train,p1,x,",
    "02.png,a,val,p2,x,7",
    "03.png,b,val,p3,x,8",
    "04.png,a,test,p4,y,9",
    "05.png,b,test,p5,y,NA",
]

KAGGLE = {
    f"{split}/{label}": 2 for split in ("train", "val", "test") for label in ("Normal", "Pneumonia", "TUBERCULOSIS")
}


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), value % 256).save(path)


def settings(*given: Source, **options: Any) -> DataSettings:
    return DataSettings(sources=list(given), **options)


def complete(source: Source, **options: Any) -> Dataset:
    """What is at a source, with all three splits."""
    given = settings(source, **options)
    return splits.complete(source.read(), given).with_notes(*source.warnings(given.image_size))


def counts(dataset: Dataset) -> dict[str, list[int]]:
    return {split: list(by_class.values()) for split, by_class in splits.class_counts(dataset).items()}


def tree(root: Path, layout: dict[str, int]) -> FolderSource:
    """Folders relative to the root, and how many images go into each."""
    for where, n in layout.items():
        (root / where).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            picture(root / where / f"{where.replace('/', '-')}-{i:02d}.png", i)
    return FolderSource(kind="folder", path=str(root))


def table(root: Path, *rows: str, header: str = HEADER, encoding: str = "utf-8") -> ManifestSource:
    """A manifest of these rows, and the images 00.png .. 19.png."""
    for i in range(20):
        picture(root / f"{i:02d}.png", i)
    (root / "set.csv").write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
    return ManifestSource(kind="manifest", path=str(root / "set.csv"), root=None)


def archive(root: Path, name: str = "pneumoniamnist", pixels: int = 28, **changes: Any) -> MedmnistSource:
    """A small .npz in MedMNIST's format, with arrays replaced or (None) left out."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, n in zip(SPLITS, (6, 4, 2), strict=True):
        arrays[f"{split}_images"] = rng.integers(0, 256, (n, pixels, pixels), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(n, dtype=np.uint8) % 2)[:, None]
    arrays = {key: value for key, value in (arrays | changes).items() if value is not None}
    root.mkdir(exist_ok=True)
    np.savez_compressed(root / f"{name}{'' if pixels == 28 else f'_{pixels}'}.npz", **arrays)
    return MedmnistSource.model_validate({"kind": "medmnist", "flag": name, "pixels": pixels, "root": str(root)})
