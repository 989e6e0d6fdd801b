"""Contact sheets: of what was asked for, or a line that says why there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_images import encoded, made, picture
from PIL import Image

from al_cxr.core.errors import UserError
from al_cxr.report.contact import contact_sheet, copies_sheet, reader, show


def test_contact_sheet_shows_what_was_asked_for(tmp_path: Path) -> None:
    dataset = made([encoded(picture(i)) for i in range(12)], splits=["train", "train", "val"] * 4)
    asked: list[int] = []

    def pixels(index_M: np.ndarray) -> np.ndarray:
        asked.extend(index_M.tolist())
        return reader(dataset.images, 32)(index_M)

    contact_sheet(dataset, pixels, per_class=3, seed=1)
    both = list(asked)
    assert len(both) == 6 and [dataset.labels_N[i] for i in both] == [0] * 3 + [1] * 3
    asked.clear()
    contact_sheet(dataset, pixels, per_class=3, seed=1, label="sick")
    assert asked == both[3:]
    asked.clear()
    contact_sheet(dataset, pixels, per_class=9, split="val", leave_out=[2])
    assert sorted(asked) == [5, 8, 11]
    path = show(dataset, pixels, tmp_path / "sheet.png", per_class=2)
    with Image.open(path) as image:
        assert image.width > image.height / 2 and len(np.unique(np.asarray(image.convert("L")))) > 50
    with Image.open(show(dataset, pixels, path, 2)) as again:
        assert again.size == image.size


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"per_class": 0}, "must be 1 or more"),
        ({"split": "tset"}, "no split 'tset'"),
        ({"split": "test"}, "no image to show in the test split"),
        ({"label": "healthy"}, "no class 'healthy'"),
    ],
)
def test_a_contact_sheet_that_cannot_be_made(options: dict, says: str) -> None:
    dataset = made([encoded(picture(i)) for i in range(2)])
    with pytest.raises(UserError, match=says):
        contact_sheet(dataset, reader(dataset.images, 32), **options)


def test_copies_sheet_wants_copies() -> None:
    dataset = made([encoded(picture(i)) for i in range(2)])
    with pytest.raises(ValueError, match="no copies"):
        copies_sheet(dataset, reader(dataset.images, 32), [])
