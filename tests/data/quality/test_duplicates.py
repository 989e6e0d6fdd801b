"""Copies of one radiograph: found however they were changed, and no others."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_images import encoded, picture, real
from PIL import Image, ImageEnhance, ImageOps

from al_cxr.data.decode import decode_bytes
from al_cxr.data.quality import duplicates


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 110), st.sampled_from([0, 3]))
def test_pair_search_equals_brute_force(seed: int, radius: int, roll: int) -> None:
    rng = np.random.default_rng(seed)
    bits_NF = rng.random((500, 256)) < 0.5
    bits_NF[100:150] = bits_NF[:50] ^ (rng.random((50, 256)) < rng.random((50, 1)) / 2)
    bits_NF[200:220] = ~bits_NF[:20]
    bits_NF[:, 0] = False
    other_NF = np.roll(bits_NF, roll, axis=0)
    distance_NN = (bits_NF[:, None] != other_NF[None]).sum(axis=2)
    close_NN = (distance_NN <= radius) | (distance_NN >= 255 - radius)
    expected = {(i, j) for i, j in np.argwhere(close_NN).tolist() if i < j}
    a_NW, b_NW = (np.packbits(bits, axis=1).view(np.uint64) for bits in (bits_NF, other_NF))
    found = [tuple(ij) for block in duplicates.close_pairs(a_NW, b_NW, radius) for ij in np.stack(block, 1).tolist()]
    assert len(found) == len(set(found)) and set(found) == expected


def test_hash_has_half_of_its_bits_set_and_that_of_a_negative_has_the_others() -> None:
    images = np.stack([np.asarray(picture(seed, 64)) for seed in range(5)])
    bits_NF, negative_NF = (
        np.unpackbits(duplicates.perceptual_hash(x).view(np.uint8), axis=1) for x in (images, 255 - images)
    )
    assert bits_NF.shape == (5, 256) and not bits_NF[:, 0].any() and (bits_NF.sum(axis=1) == 127).all()
    assert not negative_NF[:, 0].any()
    assert (bits_NF[:, 1:] != negative_NF[:, 1:]).sum(axis=1).min() >= 254  # the median itself is in neither


def test_likeness_sees_through_any_monotone_change_of_grey_levels() -> None:
    image = np.asarray(picture(1, 64)).astype(np.float32)
    changed = np.exp(image / 25)
    assert duplicates.likeness(image[None], image[None])[0] == pytest.approx(1, abs=1e-5)
    assert duplicates.likeness(image[None], changed[None])[0] == pytest.approx(1, abs=1e-3)
    assert duplicates.likeness(image[None], -image[None])[0] == pytest.approx(-1, abs=1e-3)


CHANGES = {
    "jpeg": (lambda im: Image.open(io.BytesIO(encoded(im, format="JPEG", quality=20))), "near"),
    "smaller": (lambda im: im.resize((70, 70), Image.Resampling.BICUBIC), "near"),
    "larger": (lambda im: im.resize((301, 301), Image.Resampling.BICUBIC), "near"),
    "darker": (lambda im: ImageEnhance.Brightness(im).enhance(0.6), "near"),
    "contrast": (lambda im: ImageEnhance.Contrast(im).enhance(1.3), "near"),
    "gamma": (lambda im: im.point([round(255 * (v / 255) ** 0.7) for v in range(256)]), "near"),
    "equalised": (ImageOps.equalize, "near"),
    "mirrored": (ImageOps.mirror, "mirrored"),
    "negative": (ImageOps.invert, "negative"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_is_found_among_others_and_nothing_else(name: str) -> None:
    change, kind = CHANGES[name]
    originals = [picture(seed) for seed in range(12)]
    pixels = [decode_bytes(encoded(image), 64, "x") for image in [*originals, change(originals[4])]]
    (link,) = duplicates.find(np.stack(pixels), [str(i) for i in range(13)])
    assert (link.a, link.b, link.kind) == (4, 12, kind)
    assert duplicates.LIKENESS <= link.likeness <= 1


@pytest.mark.parametrize("change", [lambda im: ImageEnhance.Brightness(im).enhance(0.8), ImageOps.mirror])
def test_changed_copies_of_real_radiographs_are_found_and_no_others(cxr_root: Path, change) -> None:
    names = real(cxr_root, "shenzhen.csv").table["image"][:60]
    originals = [Image.open(cxr_root / name).convert("L") for name in names]
    copies = [change(image).resize((150, 150)) for image in originals[::6]]
    data = [encoded(image) for image in originals] + [encoded(im, format="JPEG", quality=60) for im in copies]
    links = duplicates.find(np.stack([decode_bytes(d, 64, "x") for d in data]), [str(i) for i in range(len(data))])
    assert sorted((link.a, link.b) for link in links) == [(6 * k, 60 + k) for k in range(10)]


def test_copies_are_joined_once_and_identical_files_are_told_from_identical_pixels() -> None:
    a, b = (np.asarray(picture(seed, 64)) for seed in (1, 2))
    links = duplicates.find(np.stack([a, b, a, a, b]), ["a", "b", "a", "other", "b"])
    assert [(link.a, link.b, link.kind) for link in links] == [(0, 2, "file"), (1, 4, "file"), (0, 3, "pixels")]
    assert duplicates.groups(links) == [(0, 2, 3), (1, 4)]


def test_a_thousand_equal_or_flat_images_do_not_make_half_a_million_pairs() -> None:
    equal = np.repeat(np.asarray(picture(1, 64))[None], 500, axis=0)
    greys = np.repeat(np.arange(250, dtype=np.uint8), 64 * 64).reshape(250, 64, 64)
    links = duplicates.find(np.concatenate([equal, greys]), [str(i) for i in range(750)])
    assert len(links) == 499 and {link.kind for link in links} == {"pixels"}


def test_nothing_to_compare_is_no_error() -> None:
    assert duplicates.find(np.zeros((0, 64, 64), np.uint8), []) == []
    assert duplicates.find(np.zeros((1, 64, 64), np.uint8), ["a"]) == []
    with pytest.raises(ValueError, match="64"):
        duplicates.find(np.zeros((2, 28, 28), np.uint8), ["a", "b"])
