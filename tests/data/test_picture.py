"""A radiograph for a person: all bits of its file, and windows; the first shows what a network sees."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from al_cxr.data import decode
from al_cxr.data.picture import PREVIEW, Picture, Window, of_values, picture_of


def file(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, kind, **options)
    return made.getvalue()


def ramp(largest: int, size: int = 64) -> np.ndarray:
    return np.linspace(0, largest, size * size).reshape(size, size).astype(np.uint16)


def seen(data: bytes, size: int) -> np.ndarray:
    """By the network, without resizing."""
    return decode.read(data, size, "a").pixels.astype(float)


def shown(picture: Picture) -> np.ndarray:
    return 255 * picture.windows[0].grey(picture.pixels_HW)


@pytest.mark.parametrize("largest", [1000, 4000, 65_000])
def test_a_png_of_16_bits_keeps_its_values_and_the_first_window_is_the_depth_that_is_guessed(largest: int) -> None:
    data = file(ramp(largest), "PNG")
    picture = picture_of(data, "a")
    assert np.array_equal(picture.pixels_HW, ramp(largest)) and picture.range == (0, largest)
    assert picture.bits == {1000: 10, 4000: 12, 65_000: 16}[largest]
    assert np.abs(shown(picture) - seen(data, 64)).max() <= 0.5


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP"])
def test_files_of_8_bits_are_their_own_values(kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    data = file(pixels, kind)
    picture = picture_of(data, "a")
    assert np.array_equal(picture.pixels_HW, seen(data, 64)) and picture.bits == 8
    assert picture.windows[0] == Window("stored range", 127.5, 255)


def test_a_tiff_whose_white_is_0_is_turned_round() -> None:
    data = file(ramp(65_000), "TIFF", tiffinfo={262: 0})
    picture = picture_of(data, "a")
    assert picture.inverted and np.array_equal(picture.pixels_HW, 65_535 - ramp(65_000))
    assert np.abs(shown(picture) - seen(data, 64)).max() <= 0.5


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_what_has_no_depth_is_spread_over_its_own_range(dtype: str) -> None:
    raw = (np.linspace(-3000, 3000, 64 * 64).reshape(64, 64)).astype(dtype)
    data = file(raw, "TIFF")
    picture = picture_of(data, "a")
    assert np.abs(shown(picture) - seen(data, 64)).max() <= 1
    if dtype == "int32":
        assert np.array_equal(picture.pixels_HW, raw + 3000), "whole numbers are moved up, and no more"


def test_an_image_that_lies_on_its_side_is_put_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = ramp(255, 48)[:32].astype(np.uint8)
    picture = picture_of(file(pixels, "PNG", exif=exif), "a")
    assert np.array_equal(picture.pixels_HW, np.rot90(pixels, -1))


@pytest.mark.parametrize(("aspect", "size"), [(1.0, (667, 1000)), (2.0, (333, 1000)), (0.5, (1000, 750))])
def test_a_preview_is_small_and_has_square_pixels(aspect: float, size: tuple[int, int]) -> None:
    values_HW = np.add.outer(np.arange(1500), np.arange(1000)).astype(np.uint16)
    picture = of_values(values_HW, 12, [Window.between("a", 500, 2000)], aspect)
    made = Image.open(io.BytesIO(picture.preview))
    assert made.size == size and max(made.size) <= PREVIEW and made.mode == "L"
    small = np.asarray(made).astype(float)
    wanted = np.asarray(Image.fromarray(np.float32(shown(picture))).resize(size, Image.Resampling.BOX))
    assert np.abs(small - wanted).mean() < 2


def test_windows_that_suit_every_image_leave_the_border_aside() -> None:
    values_HW = ramp(1000).copy()
    values_HW[:20] = 0
    values_HW[20:24] = 4095
    named = {window.name: window for window in of_values(values_HW, 12, []).windows}
    low, high = (named["percentiles"].center + sign * named["percentiles"].width / 2 for sign in (-1, 1))
    inner = np.sort(values_HW[24:].ravel())
    assert low == pytest.approx(inner[len(inner) // 200], abs=2) and high == pytest.approx(995, abs=5)
    assert named["full range"] == Window("full range", 2047.5, 4095)


def test_a_window_that_is_turned_round_shows_the_same() -> None:
    values = np.arange(4096)
    for window in (
        Window("a", 900, 700),
        Window("b", 900, 700, "SIGMOID"),
        Window("c", 900, 700, "TABLE", (0, 0.2, 1)),
    ):
        assert np.abs(window.turned(4095).grey(4095 - values) - (1 - window.grey(values))).max() < 1e-9
