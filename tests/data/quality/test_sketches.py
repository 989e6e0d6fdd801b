"""Sketches: what they see through, and what they do not."""

from __future__ import annotations

import numpy as np
import pytest
from made_images import picture

from al_cxr.data.quality import sketches


def pictures(n: int) -> np.ndarray:
    return np.stack([np.asarray(picture(seed, 64)) for seed in range(n)])


def test_sketch_of_a_mirrored_image_is_mirrored_and_that_of_a_negative_is_negative() -> None:
    images = pictures(4)
    plain = sketches.sketch(images)
    np.testing.assert_allclose(
        sketches.sketch(images[:, :, ::-1]).astype(float), sketches.changed(plain, True, False).astype(float), atol=2e-3
    )
    np.testing.assert_allclose(
        sketches.sketch(255 - images).astype(float), sketches.changed(plain, False, True).astype(float), atol=2e-3
    )


def test_sketch_sees_through_any_monotone_change_of_grey_levels() -> None:
    images = pictures(3) // 2
    levels = np.sort(np.random.default_rng(0).choice(256, 128, replace=False)).astype(np.uint8)
    np.testing.assert_array_equal(sketches.sketch(images), sketches.sketch(levels[images]))


def test_flat_images_have_an_empty_sketch_and_others_one_of_length_one() -> None:
    images = np.concatenate([pictures(2), np.full((1, 64, 64), 90, np.uint8)])
    lengths = np.linalg.norm(sketches.sketch(images).astype(float), axis=1)
    np.testing.assert_allclose(lengths, [1, 1, 0], atol=1e-3)
    assert sketches.sketch(np.zeros((0, 64, 64), np.uint8)).shape == (0, 256)


@pytest.mark.parametrize("few", [1, 50])
def test_likeness_is_that_of_the_best_small_move(few: int) -> None:
    images = pictures(max(few, 2))
    moved = np.roll(images, 1, axis=2)
    a, b = sketches.sketch(images), sketches.sketch(moved)
    common = sketches.common(a)
    plain = (sketches.without(a, common) * sketches.without(b, common)).sum(axis=1)
    like = sketches.likeness(a, b, common)
    assert (like > plain).all() and like.min() > 0.95
    others = sketches.likeness(a, np.roll(b, 1, axis=0), common)
    assert others.max() < 0.8


def test_what_is_common_is_hardly_taken_away_from_few_and_mostly_from_many() -> None:
    one = sketches.sketch(pictures(1))
    assert np.linalg.norm(sketches.common(one)) < 0.01
    assert np.linalg.norm(sketches.common(np.repeat(one, 9000, axis=0))) == pytest.approx(0.72, abs=0.01)
    assert not sketches.common(one[:0]).any()
