"""Data sets of images in memory, with faults planted in them where that is asked for."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import gaussian_filter

from al_cxr.config import DataSettings
from al_cxr.core.errors import UserError
from al_cxr.data import splits
from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import Reading, read
from al_cxr.data.sources.manifest import ManifestSource
from al_cxr.data.sources.phantom import PhantomSource

SETTINGS = DataSettings(sources=[PhantomSource(kind="phantom")])


class Memory:
    """Images from encoded bytes; None is a file that cannot be read."""

    def __init__(self, data_N: list[bytes | None]) -> None:
        self.data_N, self.key = data_N, "memory"

    def __len__(self) -> int:
        return len(self.data_N)

    def read(self, index: int, size: int) -> Reading:
        data = self.data_N[index]
        if data is None:
            raise UserError(f"{self.name(index)}: damaged")
        return read(data, size, self.name(index))

    def digest(self, index: int) -> str | None:
        return None

    def name(self, index: int) -> str:
        return f"image-{index}.png"


def picture(seed: int, side: int = 128) -> Image.Image:
    """A dark frame around structure at all scales; no two seeds alike, yet all with the same bright middle."""
    rng = np.random.default_rng(seed)
    texture = sum(gaussian_filter(rng.normal(size=(side, side)), s) * s for s in (1.5, 3, 6, 12))
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    values = 25 + 170 * np.exp(-(x**2 + y**2)) + 25 * np.asarray(texture)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **({"format": "PNG"} | options))  # type: ignore[arg-type]
    return buffer.getvalue()


def made(
    data_N: list[bytes | None],
    labels: list[int] | None = None,
    splits: list[str] | None = None,
    patients: list[str] | None = None,
    sources: list[str] | None = None,
) -> Dataset:
    n = len(data_N)
    images = Memory(data_N)
    labels_N = np.array(labels or [i % 2 for i in range(n)], dtype=np.int64)
    split_N = np.array(splits or ["train"] * n)
    columns = {
        "image": [images.name(i) for i in range(n)],
        "label": [("normal", "sick")[c] for c in labels_N],
        "split": split_N,
        "patient_id": patients or [""] * n,
        "source": sources or [""] * n,
    }
    return Dataset("made", ("normal", "sick"), labels_N, split_N, pd.DataFrame(columns), images)


def real(cxr_root: Path, name: str) -> Dataset:
    return splits.complete(ManifestSource(path=str(cxr_root / name)).read(), SETTINGS)


def planted() -> Dataset:
    """30 images, number 2 unreadable; then a copy with another label in test, a near copy in val and a black one."""
    data: list[bytes | None] = [encoded(picture(seed)) for seed in range(30)]
    data += [data[3], encoded(picture(5), format="JPEG", quality=30), encoded(Image.new("L", (80, 80)))]
    data[2] = None
    labels = [i % 2 for i in range(30)] + [0, 1, 1]
    splits = ["train"] * 20 + ["val"] * 5 + ["test"] * 5 + ["test", "val", "train"]
    patients = [f"p{i}" for i in range(30)] + ["p3", "somebody else", ""]
    return made(data, labels, splits, patients)
