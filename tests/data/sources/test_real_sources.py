"""Published data sets as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from source_files import counts, settings

from al_cxr.data.dataset import SPLITS
from al_cxr.data.load import load_first
from al_cxr.data.quality import checks
from al_cxr.data.sources.manifest import ManifestSource
from al_cxr.data.sources.named import named_source
from al_cxr.data.store import PixelStore


@pytest.mark.parametrize(
    ("name", "classes", "expected", "rarest"),
    [
        ("cxr3", ("normal", "pneumonia", "tuberculosis"), (1571, 423, 867), [185, 50, 101]),
        ("pneumonia", ("normal", "pneumonia"), (4708, 524, 624), None),
        ("shenzhen", ("normal", "tuberculosis"), (364, 99, 199), None),
    ],
)
def test_real_manifests(
    cxr_root: Path, name: str, classes: tuple[str, ...], expected: tuple[int, ...], rarest: list[int] | None
) -> None:
    dataset = load_first(settings(ManifestSource(kind="manifest", path=str(cxr_root / f"{name}.csv"), root=None)))
    assert dataset.name == name and dataset.classes == classes and not dataset.synthetic
    assert tuple(len(dataset.indices(split)) for split in SPLITS) == expected
    if rarest is not None:
        assert [counts(dataset)[split][-1] for split in SPLITS] == rarest
    shared = checks.shared_patients(dataset)
    assert shared == ({("train", "val"): 317} if name == "pneumonia" else {})
    shortcut = [n for n in dataset.notes if n.startswith("source shortcut")]
    assert shortcut == (
        ["source shortcut: every image of tuberculosis with a known source comes from shenzhen"]
        if name == "cxr3"
        else []
    )


@pytest.mark.parametrize("pixels", [28, 64])
def test_real_medmnist(medmnist_root: Path, pixels: int) -> None:
    dataset = load_first(settings(named_source(f"medmnist:pneumoniamnist-{pixels}@{medmnist_root}")))
    assert dataset.name == f"pneumoniamnist-{pixels}" and dataset.classes == ("normal", "pneumonia")
    assert tuple(len(dataset.indices(split)) for split in SPLITS) == (4708, 524, 624)
    assert counts(dataset)["test"] == [234, 390]
    import medmnist as package

    theirs = package.PneumoniaMNIST(split="val", size=pixels, root=str(medmnist_root), download=False)
    assert np.array_equal(dataset.images.read(4708 + 5, pixels)[0], theirs.imgs[5])
    assert dataset.labels_N[4708 + 5] == theirs.labels[5, 0]


def test_real_radiographs_into_a_store(cxr_root: Path, tmp_path: Path) -> None:
    dataset = load_first(settings(ManifestSource(kind="manifest", path=str(cxr_root / "shenzhen.csv"), root=None)))
    opened = PixelStore.open(dataset.images, 28, tmp_path, progress=False)
    for i in (0, 300, 661):
        assert np.array_equal(opened.pixels[i], dataset.images.read(i, 28)[0])
    assert 80 < opened.pixels.mean() < 180 and len(set(opened.digests)) == 662
