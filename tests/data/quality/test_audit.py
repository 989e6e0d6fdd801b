"""The audit: planted faults are found, real radiographs give what is known of them, and nothing is invented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_images import SETTINGS, Memory, encoded, made, picture, planted, real
from PIL import Image, ImageEnhance, ImageOps

from al_cxr.data import splits
from al_cxr.data.dataset import Dataset
from al_cxr.data.quality import duplicates
from al_cxr.data.quality.audit import audit, shared_patients
from al_cxr.data.quality.odd import odd_files
from al_cxr.data.quality.sketches import sketch
from al_cxr.data.sources.medmnist import MedmnistSource


def test_pneumonia_shares_317_patients_between_train_and_val_and_none_with_test(cxr_root: Path) -> None:
    found = {s.splits: s for s in shared_patients(real(cxr_root, "pneumonia.csv"))}
    assert {splits: len(s.patients) for splits, s in found.items()} == {
        ("train", "val"): 317,
        ("train", "test"): 0,
        ("val", "test"): 0,
    }
    assert found["train", "val"].images == (882, 372)


@pytest.mark.parametrize("name", ["cxr3.csv", "shenzhen.csv"])
def test_splits_by_patient_share_none(cxr_root: Path, name: str) -> None:
    assert [len(s.patients) for s in shared_patients(real(cxr_root, name))] == [0, 0, 0]


def test_unknown_patients_are_shared_by_nobody() -> None:
    dataset = made([b""] * 4, splits=["train", "val", "train", "val"], patients=["", "", "ann", "ann"])
    first = shared_patients(dataset)[0]
    assert first.patients == ("ann",) and first.images == (1, 1)


def test_planted_faults_are_found_with_the_right_indices() -> None:
    found = audit(planted(), workers=2, progress=False)
    assert [(c.members, c.kinds, c.splits, c.labels) for c in found.copies] == [
        ((3, 30), ("file",), ("train", "test"), ("sick", "normal")),
        ((5, 31), ("near",), ("train", "val"), ("sick", "sick")),
    ]
    assert found.copies[1].patients == ("p5", "somebody else")
    assert [(o.index, o.what) for o in found.unreadable] == [(2, "image-2.png: damaged")]
    assert [(o.index, o.what) for o in found.odd] == [(32, "blank: one grey (0) all over")]
    assert (found.copied("test", "train"), found.copied("val", "train"), found.copied("test", "val")) == (1, 1, 0)
    assert [w.split()[:4] for w in found.warnings[:4]] == [
        ["1", "of", "33", "images"],
        ["1", "patients", "are", "in"],
        ["1", "image", "of", "test"],
        ["1", "image", "of", "val"],
    ]
    assert any("different labels" in w for w in found.warnings)
    assert any("different patients" in w for w in found.warnings)


def test_reading_order_and_threads_do_not_matter() -> None:
    one, four = (audit(planted(), workers=n, progress=False) for n in (1, 4))
    assert (one.copies, one.odd, one.unreadable, one.warnings) == (
        four.copies,
        four.odd,
        four.unreadable,
        four.warnings,
    )
    pd.testing.assert_frame_equal(one.counts, four.counts)


def test_a_clean_data_set_has_no_copies_and_its_counts_add_up() -> None:
    sources = ["a", "b"] * 15
    found = audit(made([encoded(picture(i)) for i in range(30)], sources=sources, labels=[0, 0, 1] * 10))
    assert not (found.copies or found.odd or found.unreadable or found.warnings)
    assert found.counts[["class normal", "class sick"]].sum().tolist() == [20, 10]
    assert found.patients.set_index("split").loc["train", ["images", "patients", "unknown"]].tolist() == [30, 0, 30]


def test_nothing_readable_at_all_is_a_finding() -> None:
    found = audit(made([None] * 4, splits=["train", "train", "test", "test"]), progress=False)
    assert len(found.unreadable) == 4 and found.copies == () and found.warnings[0].startswith("4 of 4 images")


def test_negatives_and_flat_images_are_odd_and_others_are_not() -> None:
    images = [picture(i) for i in range(30)]
    images[7] = ImageOps.invert(images[7])
    images[9] = ImageEnhance.Contrast(images[9]).enhance(0.05)
    found = audit(made([encoded(image) for image in images]), progress=False)
    assert [(o.index, o.what[:23]) for o in found.odd] == [
        (7, "a negative, or no front"),
        (9, "almost without contrast"),
    ]


def test_real_radiographs_are_not_odd_and_identical_ones_are_found(cxr_root: Path) -> None:
    found = audit(real(cxr_root, "cxr3.csv"), progress=False)
    assert [o.name for o in found.odd] == ["images/nih14/00003490_011.jpg"]  # which is upside down
    assert "turned by 180 degrees" in found.odd[0].what and found.unreadable == ()
    assert [c.kinds for c in found.copies] == [("file",)] * 3
    assert [len(set(c.splits)) for c in found.copies] == [1, 1, 1]
    assert any("from the source alone" in w for w in found.warnings)


def test_medmnist_has_the_same_copies_as_the_manifest_it_was_made_from(cxr_root: Path, medmnist_root: Path) -> None:
    def links(dataset: Dataset) -> int:
        test = dataset.indices("test").tolist()
        read = [dataset.images.read(i, 64) for i in test]
        pixels, keys = np.stack([r.pixels for r in read]), [duplicates.key(r.pixels) for r in read]
        digests = [r.digest for r in read]
        return len(duplicates.find(digests, keys, sketch(pixels), pixels.__getitem__).links)

    packed = splits.complete(MedmnistSource(pixels=64, root=str(medmnist_root)).read(), SETTINGS)
    assert links(packed) == links(real(cxr_root, "pneumonia.csv")) == 6


class OnDisk(Memory):
    def __init__(self, folder: Path, data_N: list[bytes]) -> None:
        super().__init__(list(data_N))
        self.folder = folder
        for i, data in enumerate(data_N):
            self.path(i).write_bytes(data)

    def path(self, index: int) -> Path:
        return self.folder / self.name(index)


def test_small_long_and_coloured_originals(tmp_path: Path) -> None:
    grey = picture(0)
    red = Image.merge("RGB", [grey, Image.new("L", grey.size), Image.new("L", grey.size)])
    cases = [grey, grey.convert("RGB"), grey.convert("RGBA"), grey.resize((300, 120)), grey.resize((40, 40)), red]
    data = [encoded(image) for image in cases]
    assert odd_files(Memory(list(data)), np.arange(6)) is None
    found = odd_files(OnDisk(tmp_path, data), np.arange(6))
    assert found is not None
    assert [(i, what.split(" ")[0]) for i, what in found] == [(3, "300"), (4, "only"), (5, "coloured")]
