"""The finer test: an image is laid over its copy, and different images stay different."""

from __future__ import annotations

import numpy as np
import pytest
from made_images import picture
from PIL import Image

from al_cxr.data.quality.alignment import Pyramid, likeness
from al_cxr.data.quality.duplicates import FINE

MOVED = {
    "as it is": lambda im: im,
    "turned": lambda im: im.rotate(3, Image.Resampling.BICUBIC),
    "cropped at two sides": lambda im: im.crop((0, 7, 249, 256)),
    "stretched": lambda im: im.crop((6, 0, 250, 256)),
    "enlarged": lambda im: im.resize((400, 400), Image.Resampling.BICUBIC),
}


@pytest.mark.parametrize("name", MOVED)
def test_an_image_is_laid_over_its_moved_copy(name: str) -> None:
    image = picture(3, 256)
    moved = Pyramid.of(np.asarray(MOVED[name](image)))
    assert likeness(Pyramid.of(np.asarray(image)), moved) > FINE
    assert likeness(moved, Pyramid.of(np.asarray(image))) > FINE


def test_a_mirrored_negative_is_the_image_once_it_is_changed_back() -> None:
    image = np.asarray(picture(4, 200))
    other = Pyramid.of(np.ascontiguousarray(255 - image[:, ::-1]))
    assert likeness(Pyramid.of(image), other) < 0.5
    assert likeness(Pyramid.of(image), other.changed(mirrored=True, negative=True)) > 0.99


def test_different_images_of_one_shape_are_not_alike() -> None:
    pyramids = [Pyramid.of(np.asarray(picture(seed, 128))) for seed in range(6)]
    assert max(likeness(a, b) for k, a in enumerate(pyramids) for b in pyramids[:k]) < 0.6


def test_what_is_flat_is_like_nothing() -> None:
    flat = Pyramid.of(np.full((64, 64), 100, np.uint8))
    assert abs(likeness(flat, Pyramid.of(np.asarray(picture(1, 128))))) < 0.1 and abs(likeness(flat, flat)) < 0.1
