"""From stored values to grey: Modality LUT, rescale, VOI LUT, windows, and percentiles where these say nothing."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from dicom_files import AS_IT_IS, chest, encoded, made, radiograph, table
from pydicom import dcmread
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
)

from al_cxr.data.dicom import reader
from al_cxr.data.dicom.levels import window


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
    levels = [int(4095 * (i / 1999) ** 2) for i in range(2000)]
    voi = table(1000, *levels, bits=12)
    if syntax is not None:
        voi[0].LUTData = np.array(levels, ">u2").tobytes()
    shown = made(**AS_IT_IS, VOILUTSequence=voi, syntax=syntax).pixels_HW
    expected = np.array(levels)[np.clip(chest().astype(int) - 1000, 0, 1999)] * (255 / 4095)
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


def test_a_border_of_one_value_does_not_decide_how_bright_the_rest_is() -> None:
    bordered = np.zeros((228, 228), np.uint16)
    bordered[50:178, 50:178] = chest() + 8000
    shown = made(bordered).pixels_HW[50:178, 50:178]
    assert np.abs(shown - made(chest() + 8000).pixels_HW).max() < 1 and shown.std() > 30


def test_a_window_or_table_that_shows_nothing_is_not_used() -> None:
    plain = made().pixels_HW
    dark = made(WindowCenter=60000, WindowWidth=100)
    assert np.array_equal(dark.pixels_HW, plain) and "shows next to nothing" in dark.doubts[0]
    white = made(VOILUTSequence=table(0, 0, 4095, bits=12))
    assert np.array_equal(white.pixels_HW, plain) and "shows next to nothing" in white.doubts[0]


def test_a_voi_table_whose_descriptor_is_wrong_is_read_or_passed_over() -> None:
    levels = list(range(4096))
    right = made(VOILUTSequence=table(0, *levels, bits=12)).pixels_HW
    for bits in (8, 16):
        odd = made(VOILUTSequence=table(0, *levels, bits=bits))
        assert np.array_equal(odd.pixels_HW, right) and f"(it says {bits})" in odd.doubts[0]
    for broken in ([5000, 0, 12], [4096, 0, 99], [7]):
        item = table(0, *levels, bits=12)
        item[0].add_new("LUTDescriptor", "US", broken)
        odd = made(VOILUTSequence=item)
        assert np.array_equal(odd.pixels_HW, made().pixels_HW) and "damaged" in odd.doubts[0]
    item = table(0, *levels, bits=12)
    del item[0].LUTData
    assert "damaged" in made(VOILUTSequence=item).doubts[0]


def test_one_value_everywhere_is_black() -> None:
    assert made(np.full((32, 32), 500, np.uint16)).pixels_HW.max() == 0


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
