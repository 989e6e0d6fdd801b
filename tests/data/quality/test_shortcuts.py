"""Shortcuts: what tells the class without looking at a chest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_images import made, real

from al_cxr.data.quality.shortcuts import by_brightness, by_source, cramers_v
from al_cxr.data.quality.usual import brightness


def test_source_shortcut_in_closed_form() -> None:
    # train: source a 3 normal + 1 sick, source b 1 normal + 2 sick, so a -> normal, b -> sick, unseen -> normal (4 : 3)
    train = [("a", 0)] * 3 + [("a", 1)] + [("b", 0)] + [("b", 1)] * 2
    test = [("a", 0), ("a", 1), ("b", 1), ("b", 1), ("c", 0)]
    rows = train + test
    dataset = made(
        [b""] * len(rows),
        labels=[c for _, c in rows],
        sources=[s for s, _ in rows],
        splits=["train"] * len(train) + ["test"] * len(test),
    )
    found = by_source(dataset)
    assert found is not None
    assert found.test.confusion == [[2, 0], [1, 2]]
    assert found.test.accuracy == pytest.approx(4 / 5)
    assert found.test.of("sick").f1 == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert found.test.balanced_accuracy == pytest.approx((1 + 2 / 3) / 2)
    assert found.always.confusion == [[2, 0], [3, 0]]


def test_one_source_is_no_shortcut() -> None:
    assert by_source(made([b""] * 4, splits=["train", "train", "test", "test"], sources=["a"] * 4)) is None


def test_source_shortcut_of_the_real_data(cxr_root: Path) -> None:
    found = by_source(real(cxr_root, "cxr3.csv"))
    assert found is not None
    # kermany -> pneumonia (376 of 647), nih14 -> normal (288 of 560), shenzhen -> tuberculosis (185 of 364)
    assert found.test.confusion == [[135, 153, 98], [161, 219, 0], [0, 0, 101]]


def test_brightness_alone_tells_bright_from_dark_and_not_noise_from_noise() -> None:
    rng = np.random.default_rng(0)
    splits = ["train", "test"] * 100
    labels = rng.integers(0, 2, 200)
    noise = rng.integers(0, 200, (200, 16, 16))
    dataset = made([b""] * 200, labels=labels.tolist(), splits=splits)
    bright = by_brightness(dataset, np.arange(200), brightness((noise + 40 * labels[:, None, None]).astype(np.uint8)))
    blind = by_brightness(dataset, np.arange(200), brightness(noise.astype(np.uint8)))
    assert bright is not None and blind is not None
    assert bright.test.accuracy > 0.95 and blind.test.accuracy < 0.7


def test_brightness_knows_borders_and_nothing_of_shapes() -> None:
    image = np.zeros((1, 64, 64), np.uint8)
    image[0, :4] = 100
    mean, _, *rest = brightness(image)[0]
    assert mean == pytest.approx(100 / 16)
    assert rest[:5] == [0, 0, 0, 0, 100]
    assert rest[5:9] == [100, 0, pytest.approx(100 / 16), pytest.approx(100 / 16)]
    inner = np.random.default_rng(0).permutation(np.arange(56 * 56) % 256).reshape(56, 56)
    a, b = np.zeros((2, 64, 64), np.uint8)
    a[4:60, 4:60], b[4:60, 4:60] = inner, inner[::-1, ::-1]
    np.testing.assert_allclose(brightness(np.stack([a]))[0], brightness(np.stack([b]))[0])


def test_cramers_v_closed_forms() -> None:
    assert cramers_v(np.array([[5, 0], [0, 7]])) == pytest.approx(1)
    assert cramers_v(np.array([[2, 4], [3, 6]])) == pytest.approx(0)
    assert cramers_v(np.array([[3, 1], [1, 3]])) == pytest.approx(0.5)
    assert cramers_v(np.array([[3, 1], [0, 0]])) is None
