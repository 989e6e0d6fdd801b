"""All bits of a DICOM file and its windows: the first window over the values is the rule by which networks see it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dicom_files import chest, encoded, radiograph
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from al_cxr.core.errors import UserError
from al_cxr.data.dicom import reader
from al_cxr.data.picture import Picture, picture_of

TOLERANCE = 1.01
"""Grey levels between the rule and the first window."""


def both(dataset: Dataset) -> tuple[Picture, np.ndarray]:
    """The picture, and what the rule makes of the same file, 0..255."""
    data = encoded(dataset)
    return picture_of(data, "a.dcm"), reader.pixels(data).pixels_HW


def first_window(picture: Picture) -> np.ndarray:
    return 255 * picture.windows[0].grey(picture.pixels_HW)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"WindowCenter": 1500, "WindowWidth": 1200},
        {"WindowCenter": 1500, "WindowWidth": 1200, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 700, "WindowWidth": 600, "VOILUTFunction": "LINEAR_EXACT", "RescaleSlope": 0.5},
        {"WindowCenter": -1500, "WindowWidth": 1200, "RescaleSlope": -1, "RescaleIntercept": 0},
        {"WindowCenter": 1500, "WindowWidth": 0},
        {"WindowCenter": 1500, "WindowWidth": 1},
    ],
)
def test_the_first_window_is_the_rule_and_no_bit_is_lost(
    photometric: str, signed: bool, attributes: dict[str, Any]
) -> None:
    stored_HW = chest().astype(np.int16) - 2048 if signed else chest()
    if signed:
        attributes = attributes | {"RescaleIntercept": 2048 * attributes.get("RescaleSlope", 1)}
    dataset = radiograph(stored_HW, PhotometricInterpretation=photometric, **attributes)
    picture, rule_HW = both(dataset)
    assert np.abs(first_window(picture) - rule_HW).max() < TOLERANCE
    up_HW = chest().astype(np.uint16)
    assert np.array_equal(picture.pixels_HW, 4095 - up_HW if picture.inverted else up_HW)
    assert picture.inverted == ((photometric == "MONOCHROME1") != (attributes.get("RescaleSlope", 1) < 0))
    assert picture.bits == 12 and picture.windows[-1].name == "full range"


def test_every_window_and_table_of_the_file_is_offered_under_a_name_that_says_nothing_of_a_patient() -> None:
    dataset = radiograph(chest(), WindowCenter=[1000, 2000, 2048], WindowWidth=[1500, 800, 0.5])
    dataset.WindowCenterWidthExplanation = ["HARDER", "Doe Jane", "NORMAL"]
    picture, rule_HW = both(dataset)
    assert [w.name for w in picture.windows] == ["harder", "window 2", "percentiles", "full range"]
    assert np.abs(first_window(picture) - rule_HW).max() < TOLERANCE


def table(curve_L: np.ndarray, name: str) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(curve_L), 0, 12]
    item.LUTExplanation = name
    item.LUTData = curve_L.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_voi_tables_are_curves_and_the_first_comes_first(photometric: str) -> None:
    straight = np.arange(4096)
    curves = Sequence([table(np.rint(4095 * (straight / 4095) ** 2), "SOFTER"), table(4095 - straight, "Doe")])
    dataset = radiograph(chest(), VOILUTSequence=curves, PhotometricInterpretation=photometric)
    picture, rule_HW = both(dataset)
    assert [(w.name, w.function) for w in picture.windows][:2] == [("softer", "TABLE"), ("table 2", "TABLE")]
    assert np.abs(first_window(picture) - rule_HW).max() < TOLERANCE
    assert np.abs(rule_HW - 255 * picture.windows[1].grey(picture.pixels_HW)).max() > 20


def test_padding_is_black_and_pixels_that_are_not_square_stay_as_they_are() -> None:
    stored_HW = chest().copy()
    stored_HW[:, :30] = 4095
    dataset = radiograph(stored_HW, PixelPaddingValue=4095, PhotometricInterpretation="MONOCHROME1")
    dataset.PixelSpacing = [0.3, 0.2]
    picture = picture_of(encoded(dataset), "a.dcm")
    assert picture.pixels_HW.shape == stored_HW.shape and picture.aspect == pytest.approx(1.5)
    assert not picture.pixels_HW[:, :30].any()
    assert np.array_equal(picture.pixels_HW[:, 30:], 4095 - stored_HW[:, 30:])


def test_a_file_that_is_not_used_says_why_and_which_it_is() -> None:
    with pytest.raises(UserError, match=r"a\.dcm: DICOM: modality CT"):
        picture_of(encoded(radiograph(chest(), Modality="CT")), "a.dcm")
