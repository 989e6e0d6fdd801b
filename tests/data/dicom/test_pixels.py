"""DICOM pixels as the standard means them: bits, sign, polarity, padding, collimators, square pixels."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from dicom_files import AS_IT_IS, ROOM, chest, encoded, made, radiograph, table
from PIL import Image
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from al_cxr.core.errors import UserError
from al_cxr.data import decode
from al_cxr.data.dicom import reader


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


def test_the_high_bit_of_run_lengths_counts_as_that_of_plain_pixels() -> None:
    voi = table(0, *range(4096), bits=12)
    shifted = made(chest() << 4, 12, HighBit=15, VOILUTSequence=voi, syntax=RLELossless)
    assert np.array_equal(shifted.pixels_HW, made(bits=12, VOILUTSequence=voi).pixels_HW)
    for bits, attributes in ((12, {"HighBit": 16}), (12, {"HighBit": 3}), (17, {}), (12, {"HighBit": 65535})):
        with pytest.raises(UserError, match="bits below bit"):
            made(chest(), bits, **attributes)


def test_values_may_have_a_sign() -> None:
    signed = chest().astype(np.int16) - 2048
    shown = made(signed, 16, WindowCenter=0, WindowWidth=4096).pixels_HW
    assert np.array_equal(shown, made(**AS_IT_IS).pixels_HW)
    in_12 = (signed.view(np.uint16) & 0x0FFF).view(np.int16)  # sign in bit 11, nothing above
    assert np.array_equal(made(in_12, 12, VOILUTSequence=None, WindowCenter=0, WindowWidth=3000).pixels_HW,
                          made(signed, 16, WindowCenter=0, WindowWidth=3000).pixels_HW)  # fmt: skip


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


@pytest.mark.parametrize("syntax", [None, JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_padding_of_a_signed_image_is_found_whichever_sign_was_written(syntax: UID | None) -> None:
    signed = chest().astype(np.int16) - 2048
    signed[:40] = -2048 * 4
    inside = made(signed[40:].copy(), PixelPaddingValue=None).pixels_HW
    for padding, representation in ((-8192, "SS"), (2**16 - 8192, "US")):
        dataset = radiograph(signed, 16)
        dataset.add_new("PixelPaddingValue", representation, padding)
        shown = reader.pixels(encoded(dataset, syntax or ExplicitVRLittleEndian)).pixels_HW
        assert shown[:40].max() == 0 and np.array_equal(shown[40:], inside)


def test_what_lies_outside_the_collimator_does_not_decide_how_bright_the_rest_is() -> None:
    framed = np.full((200, 200), 60000, np.uint16)
    framed[::2] = 50000
    framed[30:158, 40:168] = chest()
    edges = {"UpperHorizontal": 30, "LowerHorizontal": 159, "LeftVertical": 40, "RightVertical": 169}
    for what in ("Collimator", "Shutter"):
        attributes = {f"{what}{edge}Edge": at for edge, at in edges.items()}
        shown = made(framed, **{f"{what}Shape": "RECTANGULAR"}, **attributes).pixels_HW
        assert np.array_equal(shown[30:158, 40:168], made().pixels_HW)
    absurd = made(framed, CollimatorShape="RECTANGULAR", CollimatorUpperHorizontalEdge=5,
                  CollimatorLowerHorizontalEdge=3).pixels_HW  # fmt: skip
    assert np.array_equal(absurd, made(framed).pixels_HW)


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


def test_the_version_of_the_rule_is_in_the_key_of_a_dicom_file_alone() -> None:
    read = decode.read(encoded(radiograph(chest())), 32, "x")
    png = BytesIO()
    Image.fromarray(chest(8).astype(np.uint8)).save(png, "PNG")
    assert read.depth == f"DICOM {reader.VERSION}" and read.is_dicom
    assert decode.read(png.getvalue(), 32, "x").depth == ""


def test_a_wrong_polarity_in_the_header_is_said_and_the_image_is_kept() -> None:
    right = decode.read(encoded(radiograph(chest(), ROOM, **AS_IT_IS)), 64, "x")
    assert right.doubts == ()
    wrong = decode.read(
        encoded(radiograph(chest(), ROOM, **AS_IT_IS, PhotometricInterpretation="MONOCHROME1")), 64, "x"
    )
    assert wrong.doubts == (decode.LOOKS_ODD,) and np.abs(wrong.pixels + right.pixels.astype(int) - 255).max() <= 1
