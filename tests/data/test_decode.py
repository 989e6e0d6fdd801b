"""Decoding: every kind of image comes out as the same grey square, and what is no image is an error that names it."""

from __future__ import annotations

import csv
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.decode import decode_bytes
from al_cxr.data.square import resize

RAMP = np.add.outer(np.arange(64) * 2, np.arange(64) * 2).astype(np.uint8)  # 0..252, black in the upper left


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_grey_of_the_right_size_is_kept_to_the_bit() -> None:
    for kind in ("PNG", "TIFF", "BMP"):
        assert np.array_equal(decode_bytes(encoded(Image.fromarray(RAMP), kind), 64, "x"), RAMP)


MODES = {
    "PNG": "L LA RGB RGBA P I;16",
    "TIFF": "L LA RGB RGBA P PA CMYK YCbCr I I;16 I;16B F",
    "JPEG": "L RGB CMYK YCbCr",
    "BMP": "L RGB RGBA P",
    "WEBP": "L LA RGB RGBA",
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind in MODES for mode in MODES[kind].split()])
def test_every_mode_gives_the_same_grey(kind: str, mode: str) -> None:
    wide = RAMP.astype(np.int32) * 257
    if mode == "I;16B":
        image = Image.frombytes(mode, (64, 64), wide.astype(">u2").tobytes())
    elif mode in ("I", "I;16", "F"):
        image = Image.fromarray(wide.astype({"I": np.int32, "I;16": np.uint16, "F": np.float32}[mode]))
    else:
        image = Image.fromarray(RAMP).convert(mode)
    assert image.mode == mode
    exact: dict[str, dict[str, Any]] = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}}
    pixels = decode_bytes(encoded(image, kind, **exact.get(kind, {})), 64, "x")
    assert pixels.dtype == np.uint8 and pixels.shape == (64, 64)
    low, high = np.percentile(RAMP[(RAMP > 0) & (RAMP < 252)], [2, 98])
    # floats have no scale and are stretched
    expected = ((RAMP - low) / (high - low) * 255).clip(0, 255) if mode == "F" else RAMP
    assert np.abs(pixels - expected).max() <= (4 if mode == "P" and kind != "PNG" else 2)


def test_one_bit_and_palette_with_transparency() -> None:
    bits = Image.fromarray(((RAMP > 100) * 255).astype(np.uint8)).convert("1", dither=Image.Dither.NONE)
    assert np.array_equal(decode_bytes(encoded(bits), 64, "x"), (RAMP > 100) * np.uint8(255))
    white = Image.new("P", (4, 4), 1)
    white.putpalette([0, 0, 0, 255, 255, 255])
    assert decode_bytes(encoded(white), 4, "x").min() == 255
    half = np.zeros((4, 4), np.uint8)
    half[:2] = 1
    white.putdata(half.ravel().tolist())
    assert np.array_equal(decode_bytes(encoded(white, transparency=0), 4, "x"), half * 255)


def test_transparency_is_laid_over_black() -> None:
    rgba = Image.new("RGBA", (8, 8), (200, 200, 200, 128))
    assert np.abs(decode_bytes(encoded(rgba), 8, "x").astype(int) - 100).max() <= 1


@settings(deadline=None, max_examples=40)
@given(bits=st.sampled_from([10, 12, 14, 16]), peak=st.floats(0.51, 1), format=st.sampled_from(["PNG", "TIFF"]))
def test_more_than_8_bits_are_divided_by_their_bit_depth(bits: int, peak: float, format: str) -> None:
    white = 2**bits - 1
    pixels = np.round(RAMP / 252 * peak * white).astype(np.uint16)
    result = decode_bytes(encoded(Image.fromarray(pixels), format), 64, "x")
    assert np.abs(result - pixels * (255 / white)).max() <= 0.51


def test_integers_without_a_bit_depth_and_floats_are_stretched() -> None:
    for pixels in (RAMP.astype(np.int32) - 100, RAMP.astype(np.int32) * 1000, RAMP.astype(np.float32) * 1e-6):
        result = decode_bytes(encoded(Image.fromarray(pixels), "TIFF"), 64, "x")
        assert result.min() == 0 and result.max() == 255
    assert decode_bytes(encoded(Image.fromarray(np.full((4, 4), 7, np.float32)), "TIFF"), 4, "x").max() == 0
    with pytest.raises(UserError, match=r"nan\.tif.*not finite"):
        decode_bytes(encoded(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), 4, "nan.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_tiff(dtype: type) -> None:
    scale = 1 if dtype == np.uint8 else 257
    image = Image.fromarray(RAMP.astype(dtype) * dtype(scale))
    data = bytearray(encoded(image, "TIFF"))
    tag = data.index(struct.pack("<HHI", 262, 3, 1))  # PhotometricInterpretation: 1 black is zero, 0 white is zero
    data[tag + 8 : tag + 10] = struct.pack("<H", 0)
    assert np.array_equal(decode_bytes(bytes(data), 64, "x"), 255 - RAMP)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_rotation(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    upright = Image.fromarray(RAMP + (np.arange(64) > 40)[:, None] * np.uint8(3))
    stored = upright if back == 1 else upright.transpose(decode._ORIENTATIONS[back])
    data = encoded(stored, kind, exif=exif, **({"quality": 100} if kind == "JPEG" else {}))
    assert np.abs(decode_bytes(data, 64, "x").astype(int) - np.asarray(upright)).max() <= 3


@settings(deadline=None, max_examples=30)
@given(width=st.integers(1, 300), height=st.integers(1, 300), size=st.sampled_from([28, 64]), value=st.integers(0, 255))
def test_any_shape_is_squashed_to_the_square(width: int, height: int, size: int, value: int) -> None:
    pixels = decode_bytes(encoded(Image.new("L", (width, height), value)), size, "x")
    assert pixels.shape == (size, size) and (pixels == value).all()


def test_squashed_and_not_cropped() -> None:
    wide = np.zeros((50, 400), np.uint8)
    wide[:, :40] = wide[:, -40:] = 255  # a tenth at either end, which a centre crop would lose
    pixels = decode_bytes(encoded(Image.fromarray(wide)), 40, "x")
    assert pixels[:, :3].min() > 240 and pixels[:, -3:].min() > 240 and pixels[:, 6:-6].max() < 15


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_fast_way_for_large_images_equals_the_plain_way(kind: str) -> None:
    waves = np.sin(np.linspace(0, 40, 1303))[None, :] * np.cos(np.linspace(0, 30, 997))[:, None]
    image = Image.fromarray((127 + 100 * waves).astype(np.uint8))
    data = encoded(image, kind)
    plain = np.asarray(Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(decode_bytes(data, 64, "x") - plain).max() <= 3


def test_resize_is_the_same_filter() -> None:
    assert resize(RAMP, 64) is RAMP
    assert np.array_equal(resize(RAMP, 28), decode_bytes(encoded(Image.fromarray(RAMP)), 28, "x"))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8_945, 9_600, 60_000])
def test_decompression_bomb(side: int) -> None:
    with pytest.raises(UserError, match=r"bomb\.png: .*million pixels: a decompression bomb"):
        decode_bytes(bomb(side, side), 64, "bomb.png")


def test_file_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_BYTES", 10)
    (tmp_path / "big.png").write_bytes(encoded(Image.fromarray(RAMP)))
    with pytest.raises(UserError, match=r"big\.png: larger than"):
        decode.decode(tmp_path / "big.png", 64)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_truncated(kind: str, keep: float) -> None:
    rng = np.random.default_rng(0)
    data = encoded(Image.fromarray(rng.integers(0, 255, (128, 128), dtype=np.uint8)), kind)
    with pytest.raises(UserError, match=r"scan-7: "):
        decode_bytes(data[: int(len(data) * keep)], 64, "scan-7")


def test_truncated_jpeg_says_so() -> None:
    data = encoded(Image.fromarray(RAMP), "JPEG")
    with pytest.raises(UserError, match=r"a/b\.jpg: damaged or truncated .*truncated"):
        decode_bytes(data[:-200], 64, "a/b.jpg")


def test_no_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"t\.jpg: not an image in one of the formats PNG, JPEG"):
        decode_bytes(b"Not a radiograph, but a letter.", 64, "t.jpg")
    with pytest.raises(UserError, match="not an image"):  # a format that Pillow knows and we do not want
        decode_bytes(encoded(Image.fromarray(RAMP), "GIF"), 64, "t.jpg")
    with pytest.raises(UserError, match="the file is empty"):
        decode_bytes(b"", 64, "t.jpg")
    with pytest.raises(UserError, match=r"gone\.png: cannot be read \(No such file"):
        decode.decode(tmp_path / "gone.png", 64)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(deadline=None, max_examples=150)
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP"]))
def test_damaged_bytes_give_an_image_or_a_user_error(data: st.DataObject, kind: str) -> None:
    raw = bytearray(encoded(Image.fromarray(RAMP[:16, :16]), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode_bytes(bytes(raw), 16, "fuzz").shape == (16, 16)
    except UserError as error:
        assert str(error).startswith("fuzz: ")


def test_real_radiographs_equal_plain_pillow(cxr_root: Path) -> None:
    with open(cxr_root / "cxr3.csv", newline="") as f:
        names = [row["path"] for row in csv.DictReader(f)][::400]
    for name in names:
        plain = Image.open(cxr_root / name).convert("L")
        assert np.array_equal(decode.decode(cxr_root / name, plain.width), np.asarray(plain))
        small = plain.resize((64, 64), Image.Resampling.LANCZOS)
        assert np.array_equal(decode.decode(cxr_root / name, 64), np.asarray(small))
