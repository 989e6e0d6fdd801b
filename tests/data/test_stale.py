"""Pixels that are kept are those of the files as they are, and not as they were."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from al_cxr.data import decode
from al_cxr.data.dataset import Dataset, take
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.sources.medmnist import MedmnistSource
from al_cxr.data.store import PixelStore, dataset_fingerprint

TIME = 315532800


def write(root: Path, seed: int, only: str = "", bits: int = 8) -> Dataset:
    """Twelve images, always of the same sizes and times."""
    rng = np.random.default_rng(seed)
    for label in ("normal", "sick"):
        (root / label).mkdir(parents=True, exist_ok=True)
        for i in range(6):
            pixels = rng.integers(0, 2**bits, (16, 16)).astype(np.uint8 if bits == 8 else np.uint16)
            file = root / label / f"{i}.tif"
            if only in str(file):
                Image.fromarray(pixels).save(file)
                os.utime(file, (TIME, TIME))
    return FolderSource(kind="folder", path=str(root)).read()


def test_a_file_replaced_by_one_of_equal_size_and_time_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write(tmp_path / "set", 1)
    old = PixelStore.open(first.images, 8, tmp_path / "cache")
    then, fingerprint = np.array(old.pixels), dataset_fingerprint(first, old)
    capsys.readouterr()
    second = write(tmp_path / "set", 2, only="sick/3")
    assert second.images.key == first.images.key
    trusting = PixelStore.open(second.images, 8, tmp_path / "cache", verify=False)
    assert trusting.digests == old.digests and "warning" not in capsys.readouterr().out
    new = PixelStore.open(second.images, 8, tmp_path / "cache")
    said = "warning   files replaced by others of equal size and time are decoded anew: 1 of 12 images (sick/3.tif)"
    assert capsys.readouterr().out.splitlines().count(said) == 1
    changed = [i for i in range(12) if old.digests[i] != new.digests[i]]
    assert changed == [9] and np.array_equal(np.delete(new.pixels, 9, 0), np.delete(then, 9, 0))
    assert np.array_equal(new.pixels[9], decode.decode(tmp_path / "set" / "sick" / "3.tif", 8))
    assert dataset_fingerprint(second, new) != fingerprint
    assert np.array_equal(old.pixels, then)  # who has the old ones mapped keeps them
    PixelStore.open(second.images, 8, tmp_path / "cache")
    assert "warning" not in capsys.readouterr().out and len(list((tmp_path / "cache").iterdir())) == 1


def test_a_part_of_a_data_set_is_verified_too(tmp_path: Path) -> None:
    part = take(write(tmp_path / "set", 1), np.array([4, 7]))
    old = PixelStore.open(part.images, 8, tmp_path / "cache", progress=False)
    write(tmp_path / "set", 2, only="sick/1")
    new = PixelStore.open(part.images, 8, tmp_path / "cache", progress=False)
    assert [a == b for a, b in zip(old.digests, new.digests, strict=True)] == [True, False]


def test_an_archive_replaced_by_one_of_equal_size_and_time_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "pneumoniamnist.npz"

    def written(seed: int) -> Dataset:
        rng = np.random.default_rng(seed)
        splits, labels = ("train", "val", "test"), np.array([[0], [1], [0], [1]], np.uint8)
        arrays = {f"{split}_images": rng.integers(0, 256, (4, 28, 28)).astype(np.uint8) for split in splits}
        arrays |= {f"{split}_labels": labels for split in splits}
        np.savez(file, **arrays)
        os.utime(file, (TIME, TIME))
        return MedmnistSource(kind="medmnist", pixels=28, root=str(tmp_path)).read()

    first = written(1)
    before, size = PixelStore.open(first.images, 28, tmp_path / "cache", progress=False), file.stat().st_size
    second = written(2)
    after = PixelStore.open(second.images, 28, tmp_path / "cache", progress=False)
    assert file.stat().st_size == size
    assert dataset_fingerprint(first, before) != dataset_fingerprint(second, after)
    assert written(2).images.key == second.images.key


def test_only_images_of_more_than_8_bits_have_keys_of_their_own(tmp_path: Path) -> None:
    plain = PixelStore.open(write(tmp_path / "plain", 1).images, 8, tmp_path / "cache", progress=False)
    assert plain.keys == plain.digests and plain.depths == {} and plain.notes == ()
    write(tmp_path / "mixed", 1)
    mixed = write(tmp_path / "mixed", 1, only="sick/3", bits=12)
    deep = PixelStore.open(mixed.images, 8, tmp_path / "cache", progress=False)
    assert deep.depths == {9: "12"} and [a == b for a, b in zip(deep.keys, deep.digests, strict=True)].count(False) == 1
    data = (tmp_path / "mixed" / "sick" / "3.tif").read_bytes()
    assert deep.digests[9] == hashlib.sha256(data).hexdigest()


def test_what_was_guessed_is_still_said_when_the_pixels_are_there_already(tmp_path: Path) -> None:
    dataset = write(tmp_path / "set", 1, bits=12)
    file = tmp_path / "set" / "sick" / "3.tif"
    pixels = np.array(Image.open(file))
    pixels[0, 0] = 65535
    Image.fromarray(pixels).save(file)
    for _ in range(2):
        (note,) = PixelStore.open(dataset.images, 8, tmp_path / "cache", progress=False).notes
        assert note.endswith("(a burnt-in letter, a hot pixel?): 1 of 12 images (sick/3.tif)")
