"""What a data set and its images are known by: their content, on any machine."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from al_cxr.data import decode
from al_cxr.data.dataset import Dataset
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.store import PixelStore, data_card, dataset_fingerprint


def example(root: Path, seed: int = 0) -> Dataset:
    """Two classes in three splits, as files."""
    rng = np.random.default_rng(seed)
    for split in ("train", "val", "test"):
        for label in ("normal", "sick"):
            (root / split / label).mkdir(parents=True)
            for i in range(2):
                pixels = rng.integers(0, 256, (40, 30), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{i}.png")
    return FolderSource(kind="folder", path=str(root)).read()


def test_the_key_follows_the_files_and_reads_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "set"
    before = example(root).images.key
    source = FolderSource(kind="folder", path=str(root))
    with monkeypatch.context() as patch:
        patch.setattr(decode, "read_file", None)
        assert source.read().images.key == before
    image = root / "val" / "sick" / "1.png"
    os.utime(image, ns=(1, 1))
    changed = source.read().images.key
    assert changed != before
    image.rename(image.with_name("2.png"))
    assert source.read().images.key not in (before, changed)


def test_fingerprint_is_of_the_data_and_not_of_the_place(tmp_path: Path) -> None:
    here, there, other = (example(tmp_path / name, seed) for name, seed in (("here", 0), ("there", 0), ("other", 1)))

    def fingerprint(dataset: Dataset, size: int = 16) -> str:
        return dataset_fingerprint(dataset, PixelStore.open(dataset.images, size, tmp_path / "cache", progress=False))

    assert here.images.key != there.images.key
    assert fingerprint(here) == fingerprint(there)
    assert len({fingerprint(here), fingerprint(here, 20), fingerprint(other)}) == 3
    (tmp_path / "there" / "test" / "sick" / "1.png").rename(tmp_path / "there" / "val" / "sick" / "9.png")
    assert fingerprint(FolderSource(kind="folder", path=str(tmp_path / "there")).read()) != fingerprint(here)


def test_fingerprint_sees_one_label_and_one_split(tmp_path: Path) -> None:
    dataset = example(tmp_path / "set")
    opened = PixelStore.open(dataset.images, 16, tmp_path / "cache", progress=False)
    before = dataset_fingerprint(dataset, opened)
    dataset.labels_N[0] = 1 - dataset.labels_N[0]
    relabelled = dataset_fingerprint(dataset, opened)
    dataset.labels_N[0] = 1 - dataset.labels_N[0]
    assert dataset_fingerprint(dataset, opened) == before
    dataset.split_N[0] = "train" if dataset.split_N[0] != "train" else "val"
    assert len({before, relabelled, dataset_fingerprint(dataset, opened)}) == 3


def test_card(tmp_path: Path) -> None:
    dataset = example(tmp_path / "set").with_notes("a note")
    opened = PixelStore.open(dataset.images, 16, tmp_path / "cache", progress=False)
    made = data_card(dataset, opened)
    assert made.name == "set" and made.classes == ["normal", "sick"] and made.notes == ["a note"]
    assert made.counts == {split: {"normal": 2, "sick": 2} for split in ("train", "val", "test")}
    assert made.fingerprint == dataset_fingerprint(dataset, opened) and made.image_size == 16
