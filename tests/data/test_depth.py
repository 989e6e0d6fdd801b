"""Bit depth: a radiograph is as bright as it is, whatever its file has room for and whatever is burnt into it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_decode import RAMP, encoded

from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.series import Series
from al_cxr.data.sources.files import FileImages, Root

Y, X = np.mgrid[:64, :64]
CHEST = (1900 + 1500 * np.sin(X / 9) * np.cos(Y / 7) + np.random.default_rng(0).normal(0, 30, (64, 64))).clip(0, 4000)
"""A radiograph of 12 bits."""


def read(pixels_HW: np.ndarray, kind: str = "PNG", usual: int | None = None, **options: Any) -> decode.Reading:
    return decode.read(encoded(Image.fromarray(pixels_HW), kind, **options), 64, "x", lambda: usual)


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one chunk more, after its header."""
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + chunk + data[33:]


def png(pixels_HWC: np.ndarray, colour: int) -> bytes:
    """A PNG of 16 bits a channel, of a colour type that Pillow reads and does not write."""
    height, width = pixels_HWC.shape[:2]
    rows = pixels_HWC.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    data = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    for kind, body in ((b"IHDR", head), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data


def hot_pixel(pixels_HW: np.ndarray) -> None:
    pixels_HW[5, 5] = 4096


def letter(pixels_HW: np.ndarray) -> None:
    pixels_HW[2:10, 50:58] = 65535


def border(pixels_HW: np.ndarray) -> None:
    pixels_HW[:, :12] = 65535  # a fifth of the image


def dead_pixels(pixels_HW: np.ndarray) -> None:
    pixels_HW[40, :30] = np.linspace(5000, 60000, 30)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("damage", [hot_pixel, letter, border, dead_pixels])
def test_few_values_do_not_decide_how_bright_the_rest_is(damage: Callable[[np.ndarray], None], kind: str) -> None:
    plain = CHEST.astype(np.uint16)
    damaged = plain.copy()
    damage(damaged)
    before, after = read(plain, kind), read(damaged, kind)
    same = damaged == plain
    assert np.array_equal(before.pixels[same], after.pixels[same]) and (after.pixels[~same] == 255).all()
    assert before.depth == after.depth == "12" and not before.doubts
    assert len(after.doubts) == 1 and "above 12 bits and were cut to white" in after.doubts[0]


def test_an_image_that_exceeds_its_depth_a_little_is_no_darker() -> None:
    brighter = read((CHEST * 4200 / CHEST.max()).astype(np.uint16))
    assert brighter.depth == "12" and brighter.pixels.mean() > read(CHEST.astype(np.uint16)).pixels.mean()


def test_significant_bits_of_a_png_are_believed() -> None:
    dark = (CHEST / 8).astype(np.uint16)  # nine bits are used
    data = with_chunk(encoded(Image.fromarray(dark)), b"sBIT", bytes([12]))
    read_12 = decode.read(data, 64, "x")
    assert read_12.depth == "12" and np.abs(read_12.pixels - dark * (255 / 4095)).max() <= 0.51
    # as the standard wants it: the 12 bits spread over all 16
    spread = (CHEST * 65535 / 4095).astype(np.uint16)
    data = with_chunk(encoded(Image.fromarray(spread)), b"sBIT", bytes([12]))
    assert np.abs(decode.read(data, 64, "x").pixels - CHEST * (255 / 4095)).max() <= 0.6
    assert decode.read(data, 64, "x").doubts == ()
    for broken in (b"", bytes([0]), bytes([200])):
        assert decode.read(with_chunk(encoded(Image.fromarray(dark)), b"sBIT", broken), 64, "x").depth == "10"


def test_what_a_tiff_states_is_believed_where_it_can_be() -> None:
    dark = (CHEST / 8).astype(np.uint16)

    def depth(**tags: Any) -> str:
        return read(dark, "TIFF", tiffinfo={int(tag[1:]): value for tag, value in tags.items()}).depth

    assert depth() == "10"
    assert depth(_281=4095) == "12" and depth(_281=16383) == "14" and depth(_341=4095) == "12"
    assert depth(_281=65535) == "10"  # says nothing but that there is room
    assert depth(_281=4096) == "10"  # its brightest pixel, and not what its detector can hold


def test_twelve_bits_packed_in_a_tiff_are_twelve() -> None:
    dark = (CHEST / 8).astype(np.uint16).reshape(-1, 2)
    packed = np.stack([dark[:, 0] >> 4, (dark[:, 0] & 15) << 4 | dark[:, 1] >> 8, dark[:, 1] & 255], axis=1)
    body = packed.astype(np.uint8).tobytes()
    entries = ((256, 64), (257, 64), (258, 12), (259, 1), (262, 1), (273, 200), (277, 1), (278, 64), (279, len(body)))
    ifd = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    data = (b"II*\0" + struct.pack("<I", 8) + ifd).ljust(200, b"\0") + body
    made = decode.read(data, 64, "x")
    assert made.depth == "12" and np.abs(made.pixels - dark.reshape(64, 64) * (255 / 4095)).max() <= 0.51


def test_white_is_zero_at_twelve_of_sixteen_bits() -> None:
    plain, inverted = CHEST.astype(np.uint16), (4095 - CHEST.astype(np.uint16)).astype(np.uint16)
    inverted[3, 3] = 65535
    buffer = bytearray(encoded(Image.fromarray(inverted), "TIFF"))
    tag = buffer.index(struct.pack("<HHI", 262, 3, 1))
    buffer[tag + 8 : tag + 10] = struct.pack("<H", 0)
    made = decode.decode_bytes(bytes(buffer), 64, "x").astype(int)
    expected = read(plain).pixels.astype(int)
    expected[3, 3] = 0
    assert np.abs(made - expected).max() <= 1


def test_colour_and_alpha_of_16_bits_are_read_or_refused() -> None:
    for colour, channels in ((2, 3), (4, 2), (6, 4)):
        full = np.repeat((RAMP.astype(np.uint16) * 257)[:, :, None], channels, axis=2)
        low = np.repeat(CHEST.astype(np.uint16)[:, :, None], channels, axis=2)
        if channels != 3:
            full[:, :, -1] = low[:, :, -1] = 65535
        assert np.abs(decode.decode_bytes(png(full, colour), 64, "x").astype(int) - RAMP).max() <= 1
        low[:4, :4] = 65535  # a burnt-in letter
        with pytest.raises(UserError, match=r"scan\.png: colour or transparency of 16 bits .* save it as 16-bit grey"):
            decode.decode_bytes(png(low, colour), 64, "scan.png")


def test_what_is_transparent_everywhere_is_no_black_image() -> None:
    for alpha in (0, 20):
        image = Image.fromarray(np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, alpha)]))
        for data in (encoded(image), encoded(image.convert("LA")), encoded(image, "TIFF")):
            with pytest.raises(UserError, match=r"x: transparent \(almost\) everywhere"):
                decode.decode_bytes(data, 64, "x")
    opaque_16 = np.dstack([RAMP.astype(np.uint16) * 257, np.full((64, 64), 4095)])  # 12 bits: 6 % opaque
    with pytest.raises(UserError, match="transparent"):
        decode.decode_bytes(png(opaque_16, 4), 64, "x")


def test_a_palette_written_with_8_bits_instead_of_16_is_not_black() -> None:
    image = Image.fromarray(RAMP).convert("P")
    data = bytearray(encoded(image, "TIFF"))
    plain = decode.decode_bytes(bytes(data), 64, "x")
    tags = Image.open(io.BytesIO(bytes(data))).tag_v2  # type: ignore[attr-defined]
    colours = struct.pack("<768H", *tags[320])
    at = data.index(colours)
    data[at : at + len(colours)] = struct.pack("<768H", *(c // 256 for c in tags[320]))
    assert np.array_equal(decode.decode_bytes(bytes(data), 64, "x"), plain) and plain.max() > 240


@pytest.mark.parametrize("offset", [32768, 31000])
def test_signed_values_saved_with_an_offset_keep_their_contrast_and_are_named(offset: int) -> None:
    made = read((CHEST + offset).astype(np.uint16))
    assert np.ptp(made.pixels) == 255 and "close together" in made.doubts[0] and made.depth == "stretched"


def test_signed_values_saved_without_sign_are_doubtful() -> None:
    made = read((CHEST - 1000).astype(np.int16).view(np.uint16))
    assert any("without sign" in doubt for doubt in made.doubts)


@pytest.mark.parametrize("scale", [1.0, 1 / 4095, 1000.0])
def test_floats_are_stretched_without_regard_to_outliers_and_that_is_said(scale: float) -> None:
    plain = (CHEST * scale).astype(np.float32)
    damaged = plain.copy()
    damaged[2, 2], damaged[3, 3:6] = 1e6 * scale, -1e5 * scale
    before, after = read(plain, "TIFF"), read(damaged, "TIFF")
    same = plain == damaged
    assert np.abs(before.pixels[same].astype(int) - after.pixels[same]).max() <= 1
    assert "floating point" in before.doubts[0] and before.depth == "stretched"


def test_several_pages_are_said() -> None:
    pages = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]
    made = decode.read(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]), 64, "x")
    assert np.array_equal(made.pixels, RAMP) and "several pages" in made.doubts[0] and made.depth == ""


def series(tmp_path: Path, pixels: list[np.ndarray]) -> FileImages:
    names = [f"{i:02d}.png" for i in range(len(pixels))]
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image).save(tmp_path / name)
    root = Root(tmp_path)
    return FileImages(root, names, [root.stat(name) for name in names])


def test_a_series_has_one_brightness(tmp_path: Path) -> None:
    dark, bright = (CHEST / 5).astype(np.uint16), (CHEST * 1.1).astype(np.uint16)
    images = series(tmp_path, [CHEST.astype(np.uint16)] * 5 + [dark, bright])
    read_N = [images.read(i, 64) for i in range(len(images))]
    assert {r.depth for r in read_N} == {"12"}
    assert read(dark).depth == "10"  # by itself
    assert np.abs(read_N[5].pixels - dark * (255 / 4095)).max() <= 0.51
    assert "read as 12 bits, as most others are" in read_N[5].doubts[0] and not read_N[0].doubts


def test_a_file_of_another_depth_keeps_it_and_is_named(tmp_path: Path) -> None:
    wide = (CHEST * 16).astype(np.uint16)
    images = series(tmp_path, [CHEST.astype(np.uint16)] * 3 + [wide])
    made = images.read(3, 64)
    assert made.depth == "16" and np.abs(made.pixels.astype(int) - images.read(0, 64).pixels).max() <= 1
    assert "read as 16 bits, though most others have 12" in made.doubts[0]


def test_files_of_8_bits_ask_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = series(tmp_path, [RAMP, RAMP])
    monkeypatch.setattr(Series, "_most", None)
    made = images.read(1, 64)
    assert np.array_equal(made.pixels, RAMP) and made.depth == "" and made.doubts == ()
