"""DICOM pixels as the standard means them: every transfer syntax, every step from stored value to grey."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import DATA, LOSSLESS, by_gdcm, chest, encoded, radiograph
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, JPEGBaseline8Bit

from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.dicom import reader
from al_cxr.data.dicom.pixels import window

# 12 bits in room for 16, shown as they are: LINEAR of centre 2048 and width 4096 takes 0 to 0 and 4095 to 1.
AS_IT_IS = {"WindowCenter": 2048, "WindowWidth": 4096}
ROOM = 16


def made(pixels_HW: np.ndarray | None = None, bits: int = ROOM, syntax: UID | None = None, **attributes: Any) -> Any:
    dataset = radiograph(chest() if pixels_HW is None else pixels_HW, bits, **attributes)
    return reader.pixels(encoded(dataset) if syntax is None else encoded(dataset, syntax))


def table(first: int, *levels: int, bits: int = 16) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(levels), first, bits])
    item.add_new("LUTData", "OW", np.array(levels, "<u2").tobytes())
    return [item]


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
def test_every_lossless_transfer_syntax_gives_the_stored_values(syntax: UID, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(encoded(radiograph(chest(), ROOM, **AS_IT_IS), syntax))
    stored = by_gdcm(tmp_path / "x")
    assert np.array_equal(stored, chest())
    pixels_HW = reader.pixels((tmp_path / "x").read_bytes()).pixels_HW
    assert np.abs(pixels_HW - stored * (255 / 4095)).max() < 1e-4
    assert reader.header(tmp_path / "x")["TransferSyntaxUID"] == syntax


def test_a_dicom_file_has_the_pixels_of_the_png_it_was_made_from() -> None:
    png = BytesIO()
    Image.fromarray(chest()).save(png, "PNG")
    dicom = encoded(radiograph(chest(), ROOM, **AS_IT_IS))
    for size in (28, 64, 200):
        assert np.array_equal(decode.decode_bytes(dicom, size, "x"), decode.decode_bytes(png.getvalue(), size, "y.png"))


def test_a_jpeg_of_8_bits_is_read_within_what_it_lost() -> None:
    pixels = chest(8).astype(np.uint8)
    data = encoded(radiograph(pixels, 8, VOILUTSequence=table(0, *range(256), bits=8)), JPEGBaseline8Bit)
    read = decode.decode_bytes(data, 64, "x")
    png = BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    assert np.abs(read.astype(int) - decode.decode_bytes(png.getvalue(), 64, "y")).mean() < 2


def test_a_real_radiograph_is_the_same_uncompressed_and_in_jpeg_2000() -> None:
    """MONOCHROME1, 15 of 16 bits, spacing 0, and a window over all values."""
    plain, lossless, lossy = (
        decode.decode(DATA / f"RG1_{name}.dcm", 128).astype(int) for name in ("UNCR", "J2KR", "J2KI")
    )
    assert np.array_equal(plain, lossless) and 0 < np.abs(plain - lossy).max() <= 8
    stored = by_gdcm(DATA / "RG1_UNCR.dcm").astype(np.float64)
    low, high = np.percentile(stored, [0.5, 99.5])
    grey = Image.fromarray((255 * (1 - ((stored - low) / (high - low)).clip(0, 1))).astype(np.float32))
    expected = np.asarray(grey.resize((128, 128), Image.Resampling.LANCZOS, reducing_gap=3.0)).clip(0, 255)
    assert np.abs(plain - expected).max() <= 1
    assert plain[35:55, 25:35].mean() < 0.7 * plain[35:55, 60:66].mean(), "a lung is darker than the spine"


def test_polarity_is_turned_once_whatever_else_says_so() -> None:
    plain = made(**AS_IT_IS).pixels_HW
    for shape in (None, "INVERSE", "IDENTITY"):
        negative = made(**AS_IT_IS, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape=shape)
        assert np.abs(negative.pixels_HW - (255 - plain)).max() < 1e-4 and negative.doubts == ()
    odd = made(**AS_IT_IS, PresentationLUTShape="INVERSE")
    assert np.array_equal(odd.pixels_HW, plain) and "contradicts MONOCHROME2" in odd.doubts[0]


def test_bits_beside_those_that_are_stored_do_not_count() -> None:
    plain = made(bits=12, VOILUTSequence=table(0, *range(4096), bits=12)).pixels_HW
    overlaid = (chest() | 0x8000 | (chest() & 1) << 13).astype(np.uint16)
    assert np.array_equal(made(overlaid, 12, VOILUTSequence=table(0, *range(4096), bits=12)).pixels_HW, plain)
    shifted = made(chest() << 4, 12, HighBit=15, VOILUTSequence=table(0, *range(4096), bits=12))
    assert np.array_equal(shifted.pixels_HW, plain) and np.abs(plain - chest() * (255 / 4095)).max() < 1e-4


def test_values_may_have_a_sign() -> None:
    signed = chest().astype(np.int16) - 2048
    shown = made(signed, 16, WindowCenter=0, WindowWidth=4096).pixels_HW
    assert np.array_equal(shown, made(**AS_IT_IS).pixels_HW)
    in_12 = (signed.view(np.uint16) & 0x0FFF).view(np.int16)  # sign in bit 11, nothing above
    assert np.array_equal(made(in_12, 12, VOILUTSequence=None, WindowCenter=0, WindowWidth=3000).pixels_HW,
                          made(signed, 16, WindowCenter=0, WindowWidth=3000).pixels_HW)  # fmt: skip


def test_rescaled_values_are_what_a_window_is_about() -> None:
    scaled = made(RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=2 * 2047.5 - 999.5, WindowWidth=2 * 4095 + 1)
    assert np.abs(scaled.pixels_HW - made(**AS_IT_IS).pixels_HW).max() < 1e-4
    falling = made(RescaleSlope=-1, RescaleIntercept=4095, **AS_IT_IS).pixels_HW
    assert np.abs(falling - (255 - made(**AS_IT_IS).pixels_HW)).max() < 1e-4
    nothing = made(RescaleSlope=0, RescaleIntercept=0, **AS_IT_IS)
    assert "RescaleSlope is 0" in nothing.doubts[0] and np.array_equal(nothing.pixels_HW, made(**AS_IT_IS).pixels_HW)


def test_a_modality_table_comes_before_the_window() -> None:
    squares = made(chest(8), 8, BitsStored=8, HighBit=7, ModalityLUTSequence=table(0, *(i * i for i in range(256))),
                   WindowCenter=20000.5, WindowWidth=40001)  # fmt: skip
    expected = (chest(8).astype(float) ** 2 / 40000).clip(0, 1) * 255
    assert np.abs(squares.pixels_HW - expected).max() < 1e-3


@pytest.mark.parametrize("syntax", [None, ExplicitVRBigEndian])
def test_a_voi_table_counts_before_a_window_and_holds_its_ends(syntax: UID | None) -> None:
    levels = [0, 100, 1000, 4095]
    voi = table(1000, *levels, bits=12)
    if syntax is not None:
        voi[0].LUTData = np.array(levels, ">u2").tobytes()
    shown = made(**AS_IT_IS, VOILUTSequence=voi, syntax=syntax).pixels_HW
    expected = np.array(levels)[np.clip(chest().astype(int) - 1000, 0, 3)] * (255 / 4095)
    assert np.abs(shown - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR", [0, 0, (1200 - 1499.5) / 999 + 0.5, (1500 - 1499.5) / 999 + 0.5, 1, 1]),
        ("LINEAR_EXACT", [0, 0, 0.2, 0.5, 1, 1]),
        ("SIGMOID", [1 / (1 + np.exp(-4 * (x - 1500) / 1000)) for x in (0, 1000, 1200, 1500, 2000, 4095)]),
    ],
)
def test_the_window_has_the_formula_of_its_function(function: str, expected: list[float]) -> None:
    values = np.array([0, 1000, 1200, 1500, 2000, 4095])
    assert np.allclose(window(values, 1500, 1000, function), expected)
    pixels = np.resize(values, (48, 48)).astype(np.uint16)
    shown = made(pixels, 16, WindowCenter=1500, WindowWidth=1000, VOILUTFunction=function).pixels_HW
    assert np.allclose(shown.ravel()[:6], 255 * np.array(expected), atol=1e-3)


def test_a_window_that_cannot_be_used_is_replaced_by_percentiles_and_said() -> None:
    low, high = np.sort(chest().ravel())[[int(0.005 * chest().size) - 1, int(0.995 * chest().size) - 1]]
    plain = made()
    assert (
        plain.doubts == ()
        and np.abs(plain.pixels_HW - ((chest() - float(low)) / (high - low)).clip(0, 1) * 255).max() < 2
    )
    for attributes, says in (
        ({"WindowCenter": 5}, "only one of"),
        ({"WindowWidth": 5}, "only one of"),
        ({"WindowCenter": 5, "WindowWidth": 0.5}, "width 0.5 is not allowed"),
        ({"WindowCenter": 5, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"}, "width 0 is not allowed"),
        ({"WindowCenter": 5, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "CUBIC is not known"),
    ):
        odd = made(**attributes)
        assert np.array_equal(odd.pixels_HW, plain.pixels_HW) and says in odd.doubts[0]
    wide = made(WindowCenter=32768, WindowWidth=65536)
    assert np.array_equal(wide.pixels_HW, plain.pixels_HW), "a window over everything says nothing"


def test_padding_is_black_and_does_not_decide_how_bright_the_rest_is() -> None:
    padded = chest().copy() + 10
    padded[:, :40] = 65535
    padded[:40] = 3
    for polarity in ("MONOCHROME1", "MONOCHROME2"):
        whole = made(padded, PixelPaddingValue=65535, PixelPaddingRangeLimit=65000, PhotometricInterpretation=polarity)
        assert whole.pixels_HW[40:, :40].max() == 0
    alone = made(padded[40:, 40:]).pixels_HW
    cut = padded.copy()
    cut[:40] = 65535
    inside = made(cut, PixelPaddingValue=65535).pixels_HW[40:, 40:]
    assert np.array_equal(inside, alone)
    with pytest.raises(UserError, match="nothing but padding"):
        made(np.full((32, 32), 7, np.uint16), PixelPaddingValue=7)


def test_pixels_that_are_not_square_become_so() -> None:
    for name in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        assert made(**AS_IT_IS, **{name: [2, 1]}).pixels_HW.shape == (256, 128)
        assert made(**AS_IT_IS, **{name: [1, 2]}).pixels_HW.shape == (128, 256)
    detector = made(**AS_IT_IS, PixelSpacing=[0, 0], ImagerPixelSpacing=[0.1, 0.2])
    assert detector.pixels_HW.shape == (128, 256)
    patient = made(**AS_IT_IS, PixelSpacing=[0.1, 0.1], ImagerPixelSpacing=[0.1, 0.2])
    assert patient.pixels_HW.shape == (128, 128)
    absurd = made(**AS_IT_IS, PixelSpacing=[1000, 0.001])
    assert absurd.pixels_HW.shape == (128, 128) and "cannot be meant" in absurd.doubts[0]


def test_one_value_everywhere_is_black() -> None:
    assert made(np.full((32, 32), 500, np.uint16)).pixels_HW.max() == 0


def test_the_version_of_the_rule_is_in_the_key_of_a_dicom_file_alone() -> None:
    read = decode.read(encoded(radiograph(chest())), 32, "x")
    png = BytesIO()
    Image.fromarray(chest(8).astype(np.uint8)).save(png, "PNG")
    assert read.depth == f"DICOM {reader.VERSION}" and read.is_dicom
    assert decode.read(png.getvalue(), 32, "x").depth == ""


def test_nothing_that_a_viewer_does_is_done_twice() -> None:
    """The same steps by pydicom's own functions, for a file with all of them."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    data = encoded(radiograph(chest(), 12, RescaleSlope=0.5, RescaleIntercept=10, WindowCenter=900, WindowWidth=800,
                              PhotometricInterpretation="MONOCHROME1"))  # fmt: skip
    dataset = dcmread(BytesIO(data))
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = 10, 4095 * 0.5 + 10
    expected = 255 * (1 - (shown - low) / (high - low))
    assert np.abs(reader.pixels(data).pixels_HW - expected).max() < 1e-3
