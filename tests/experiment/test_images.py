"""images.csv: what is in it, that it is written once and alike, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from al_cxr.comparison.images import read_images
from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.sources.phantom import PhantomSource
from al_cxr.data.store import PixelStore
from al_cxr.experiment.images import duplicate_groups, write_images


class Named:
    """Images that have names alone."""

    key = "named"

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def name(self, index: int) -> str:
        return f'a, "b"/{index}.png'


def dataset(n: int = 6, **more: object) -> Dataset:
    labels = np.arange(n) % 2
    table = pd.DataFrame(
        {"image": "", "label": "", "split": "", "patient_id": ["007", *[""] * (n - 1)], "source": "NA"}
    )
    return Dataset(
        name="d",
        classes=("normal", "tuberculosis"),
        labels_N=labels,
        split_N=np.array(["train", "val", "test"] * (n // 3)),
        table=table.assign(**more),
        images=Named(n),  # type: ignore[arg-type]
    )


def store(n: int, size: int) -> PixelStore:
    """Noise, of which image 4 is a brighter copy of 1 and image 5 the file of 0."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 200, (n, size, size)).astype(np.uint8)
    pixels[4] = np.clip(pixels[1].astype(int) + 20, 0, 255)
    pixels[5] = pixels[0]
    return PixelStore(pixels, [*(f"digest {i}" for i in range(5)), "digest 0"])


def test_a_row_an_image_as_the_data_set_has_it(tmp_path: Path) -> None:
    write_images(tmp_path, dataset(age=[50, 51, 52, 53, 54, 55], other="x"), duplicate_groups(store(6, 64)))
    frame = read_images(tmp_path)
    assert frame is not None
    named = ["index", "name", "label", "split", "patient_id", "source", "age", "duplicate_group"]
    assert list(frame.columns) == named
    assert list(frame["index"]) == list(range(6)) and frame["name"][3] == 'a, "b"/3.png'
    assert list(frame["label"]) == ["normal", "tuberculosis"] * 3
    # Text stays text: no number loses its zeros, no source is taken for a missing value.
    assert frame["patient_id"][0] == "007" and frame["patient_id"][1] == "" and set(frame["source"]) == {"NA"}


@pytest.mark.parametrize("size", [64, 128])
def test_copies_share_a_number(tmp_path: Path, size: int) -> None:
    write_images(tmp_path, dataset(), duplicate_groups(store(6, size)))
    frame = read_images(tmp_path)
    assert frame is not None
    group = frame["duplicate_group"]
    assert group[0] == group[5] and group[1] == group[4] != group[0]
    assert group[[2, 3]].isna().all()


def test_small_images_are_copies_only_where_they_are_identical(tmp_path: Path) -> None:
    write_images(tmp_path, dataset(), duplicate_groups(store(6, 16)))
    frame = read_images(tmp_path)
    assert frame is not None and list(frame["duplicate_group"].dropna()) == [0, 0]


def test_written_once_and_alike(tmp_path: Path) -> None:
    first, second = (write_images(tmp_path / name, dataset(), duplicate_groups(store(6, 64))) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    first.write_text("kept")
    assert write_images(tmp_path / "a", dataset(), duplicate_groups(store(6, 64))).read_text() == "kept"
    assert not list(tmp_path.glob("*/.*"))


def test_what_is_no_table_of_images_is_refused(tmp_path: Path) -> None:
    assert read_images(tmp_path) is None
    path = write_images(tmp_path, dataset(), duplicate_groups(store(6, 16)))
    whole = path.read_text()
    for text, said in (
        ("index,name\n0,a\n", "no column label"),
        (whole.replace("\n1,", "\n7,"), "does not count from 0"),
        (whole.replace("\n1,", "\nx,"), "not a table of images"),
        ("", "not a table of images"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=said):
            read_images(tmp_path)


def test_a_phantom_has_patients_and_sources(tmp_path: Path) -> None:
    phantom = PhantomSource(count=40).read()
    opened = PixelStore.open(phantom.images, 32, tmp_path / "cache", 1, progress=False)
    write_images(tmp_path, phantom, duplicate_groups(opened))
    frame = read_images(tmp_path)
    assert frame is not None and len(frame) == 40
    assert list(frame["split"]) == list(phantom.split_N)
    np.testing.assert_array_equal(frame["label"], np.array(phantom.classes)[phantom.labels_N])
