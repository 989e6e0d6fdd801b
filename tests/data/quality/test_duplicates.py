"""Copies of one radiograph: found however they were changed, and no others."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from made_images import encoded, picture, real
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import gaussian_filter

from al_cxr.data.decode import decode_bytes
from al_cxr.data.quality import duplicates
from al_cxr.data.quality.sketches import sketch


def found(images: list[np.ndarray], digests: list[str] | None = None) -> duplicates.Found:
    """Images of any size of 64 or more, sketched at 64 pixels."""
    small = np.stack([np.asarray(Image.fromarray(image).resize((64, 64))) for image in images])
    digests = digests or [str(i) for i in range(len(images))]
    return duplicates.find(digests, [duplicates.key(image) for image in small], sketch(small), images.__getitem__)


CHANGES = {
    "jpeg": (lambda im: Image.open(io.BytesIO(encoded(im, format="JPEG", quality=30))), "near"),
    "smaller": (lambda im: im.resize((70, 70), Image.Resampling.BICUBIC), "near"),
    "larger": (lambda im: im.resize((301, 301), Image.Resampling.BICUBIC), "near"),
    "darker": (lambda im: ImageEnhance.Brightness(im).enhance(0.6), "near"),
    "contrast": (lambda im: ImageEnhance.Contrast(im).enhance(1.3), "near"),
    "gamma": (lambda im: im.point([round(255 * (v / 255) ** 0.7) for v in range(256)]), "near"),
    "equalised": (ImageOps.equalize, "near"),
    "cropped": (lambda im: im.crop((1, 1, 127, 127)), "near"),
    "turned": (lambda im: im.rotate(1, Image.Resampling.BICUBIC), "near"),
    "mirrored": (ImageOps.mirror, "mirrored"),
    "negative": (ImageOps.invert, "negative"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_is_found_among_others_and_nothing_else(name: str) -> None:
    change, kind = CHANGES[name]
    originals = [picture(seed) for seed in range(12)]
    (link,) = found([decode_bytes(encoded(image), 128, "x") for image in [*originals, change(originals[4])]]).links
    assert (link.a, link.b, link.kind) == (4, 12, kind)
    assert duplicates.FINE <= link.likeness <= 1


@pytest.mark.parametrize("change", [lambda im: ImageEnhance.Brightness(im).enhance(0.8), ImageOps.mirror])
def test_changed_copies_of_real_radiographs_are_found_and_no_others(cxr_root: Path, change) -> None:
    names = real(cxr_root, "shenzhen.csv").table["image"][:60]
    originals = [Image.open(cxr_root / name).convert("L") for name in names]
    copies = [change(image).resize((150, 150)) for image in originals[::6]]
    data = [encoded(image) for image in originals] + [encoded(im, format="JPEG", quality=60) for im in copies]
    links = found([decode_bytes(d, 128, "x") for d in data]).links
    assert sorted((link.a, link.b) for link in links) == [(6 * k, 60 + k) for k in range(10)]


def test_alike_at_a_glance_and_not_in_detail_is_similar_and_no_copy() -> None:
    broad = np.asarray(picture(1, 128)).astype(np.float32)
    a, b = (
        (gaussian_filter(broad, 1) + gaussian_filter(np.random.default_rng(seed).normal(0, 20, broad.shape), 1))
        .clip(0, 255)
        .astype(np.uint8)
        for seed in (1, 2)
    )
    seen = found([np.asarray(picture(9, 128)), a, b])
    assert seen.links == () and [(pair.a, pair.b) for pair in seen.similar] == [(1, 2)]
    assert seen.similar[0].likeness < duplicates.FINE


def test_copies_are_joined_once_and_identical_files_are_told_from_identical_pixels() -> None:
    a, b = (np.asarray(picture(seed, 64)) for seed in (1, 2))
    links = found([a, b, a, a, b], ["a", "b", "a", "other", "b"]).links
    assert [(link.a, link.b, link.kind) for link in links] == [(0, 2, "file"), (1, 4, "file"), (0, 3, "pixels")]
    assert duplicates.groups(links) == [(0, 2, 3), (1, 4)]
    keys = [duplicates.key(image) for image in (a, b, a, a, b)]
    assert duplicates.identical(["a", "b", "a", "other", "b"], keys) == list(links)


def test_a_thousand_equal_or_flat_images_do_not_make_half_a_million_pairs() -> None:
    equal = [np.asarray(picture(1, 64))] * 500
    links = found([*equal, *(np.full((64, 64), grey, np.uint8) for grey in range(250))]).links
    assert len(links) == 499 and {link.kind for link in links} == {"pixels"}


def test_many_changed_copies_of_one_image_are_one_set() -> None:
    image = np.asarray(picture(1, 64)).astype(int)
    noisy = [(image + np.random.default_rng(i).integers(-1, 2, image.shape)).clip(0, 255) for i in range(60)]
    links = found([one.astype(np.uint8) for one in noisy]).links
    assert len(links) == 59 and duplicates.groups(links) == [tuple(range(60))]


def test_nothing_to_compare_is_no_error() -> None:
    none = np.zeros((0, 64, 64), np.uint8)
    assert duplicates.find([], [], sketch(none), none.__getitem__) == duplicates.Found((), ())
    assert found([np.zeros((64, 64), np.uint8)]).links == ()
    with pytest.raises(ValueError, match="2 digests, 1 keys"):
        duplicates.find(["a", "b"], ["a"], sketch(none), none.__getitem__)
