"""The audit: planted faults are found, real radiographs give what is known of them, and nothing is invented."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import gaussian_filter

from al_cxr.config import DataSettings
from al_cxr.core.errors import UserError
from al_cxr.data import splits
from al_cxr.data.dataset import Dataset
from al_cxr.data.decode import Reading, decode_bytes, read
from al_cxr.data.quality import duplicates
from al_cxr.data.quality.audit import audit, shared_patients
from al_cxr.data.quality.odd import odd_files
from al_cxr.data.quality.shortcuts import by_brightness, by_source, cramers_v
from al_cxr.data.quality.usual import brightness
from al_cxr.data.sources.manifest import ManifestSource
from al_cxr.data.sources.medmnist import MedmnistSource
from al_cxr.data.sources.phantom import PhantomSource
from al_cxr.report.audit import write_audit
from al_cxr.report.contact import contact_sheet, copies_sheet, reader, show

SETTINGS = DataSettings(sources=[PhantomSource(kind="phantom")])


class Memory:
    """Images from encoded bytes; None is a file that cannot be read."""

    def __init__(self, data_N: list[bytes | None]) -> None:
        self.data_N, self.key = data_N, "memory"

    def __len__(self) -> int:
        return len(self.data_N)

    def read(self, index: int, size: int) -> Reading:
        data = self.data_N[index]
        if data is None:
            raise UserError(f"{self.name(index)}: damaged")
        return read(data, size, self.name(index))

    def digest(self, index: int) -> str | None:
        return None

    def name(self, index: int) -> str:
        return f"image-{index}.png"


def picture(seed: int, side: int = 128) -> Image.Image:
    """A dark frame around structure at all scales; no two seeds alike, yet all with the same bright middle."""
    rng = np.random.default_rng(seed)
    texture = sum(gaussian_filter(rng.normal(size=(side, side)), s) * s for s in (1.5, 3, 6, 12))
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    values = 25 + 170 * np.exp(-(x**2 + y**2)) + 25 * np.asarray(texture)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **({"format": "PNG"} | options))  # type: ignore[arg-type]
    return buffer.getvalue()


def made(
    data_N: list[bytes | None],
    labels: list[int] | None = None,
    splits: list[str] | None = None,
    patients: list[str] | None = None,
    sources: list[str] | None = None,
) -> Dataset:
    n = len(data_N)
    images = Memory(data_N)
    labels_N = np.array(labels or [i % 2 for i in range(n)], dtype=np.int64)
    split_N = np.array(splits or ["train"] * n)
    columns = {
        "image": [images.name(i) for i in range(n)],
        "label": [("normal", "sick")[c] for c in labels_N],
        "split": split_N,
        "patient_id": patients or [""] * n,
        "source": sources or [""] * n,
    }
    return Dataset("made", ("normal", "sick"), labels_N, split_N, pd.DataFrame(columns), images)


def real(cxr_root: Path, name: str) -> Dataset:
    return splits.complete(ManifestSource(path=str(cxr_root / name)).read(), SETTINGS)


# ------------------------------------------------------------------------------------------------------------- patients
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


# ----------------------------------------------------------------------------------------------------------- duplicates
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 110), st.sampled_from([0, 3]))
def test_pair_search_equals_brute_force(seed: int, radius: int, roll: int) -> None:
    rng = np.random.default_rng(seed)
    bits_NF = rng.random((500, 256)) < 0.5
    bits_NF[100:150] = bits_NF[:50] ^ (rng.random((50, 256)) < rng.random((50, 1)) / 2)
    bits_NF[200:220] = ~bits_NF[:20]
    bits_NF[:, 0] = False
    other_NF = np.roll(bits_NF, roll, axis=0)
    distance_NN = (bits_NF[:, None] != other_NF[None]).sum(axis=2)
    close_NN = (distance_NN <= radius) | (distance_NN >= 255 - radius)
    expected = {(i, j) for i, j in np.argwhere(close_NN).tolist() if i < j}
    a_NW, b_NW = (np.packbits(bits, axis=1).view(np.uint64) for bits in (bits_NF, other_NF))
    found = [tuple(ij) for block in duplicates.close_pairs(a_NW, b_NW, radius) for ij in np.stack(block, 1).tolist()]
    assert len(found) == len(set(found)) and set(found) == expected


def test_hash_has_half_of_its_bits_set_and_that_of_a_negative_has_the_others() -> None:
    images = np.stack([np.asarray(picture(seed, 64)) for seed in range(5)])
    bits_NF, negative_NF = (
        np.unpackbits(duplicates.perceptual_hash(x).view(np.uint8), axis=1) for x in (images, 255 - images)
    )
    assert bits_NF.shape == (5, 256) and not bits_NF[:, 0].any() and (bits_NF.sum(axis=1) == 127).all()
    assert not negative_NF[:, 0].any()
    assert (bits_NF[:, 1:] != negative_NF[:, 1:]).sum(axis=1).min() >= 254  # the median itself is in neither


def test_likeness_sees_through_any_monotone_change_of_grey_levels() -> None:
    image = np.asarray(picture(1, 64)).astype(np.float32)
    changed = np.exp(image / 25)
    assert duplicates.likeness(image[None], image[None])[0] == pytest.approx(1, abs=1e-5)
    assert duplicates.likeness(image[None], changed[None])[0] == pytest.approx(1, abs=1e-3)
    assert duplicates.likeness(image[None], -image[None])[0] == pytest.approx(-1, abs=1e-3)


CHANGES = {
    "jpeg": (lambda im: Image.open(io.BytesIO(encoded(im, format="JPEG", quality=20))), "near"),
    "smaller": (lambda im: im.resize((70, 70), Image.Resampling.BICUBIC), "near"),
    "larger": (lambda im: im.resize((301, 301), Image.Resampling.BICUBIC), "near"),
    "darker": (lambda im: ImageEnhance.Brightness(im).enhance(0.6), "near"),
    "contrast": (lambda im: ImageEnhance.Contrast(im).enhance(1.3), "near"),
    "gamma": (lambda im: im.point([round(255 * (v / 255) ** 0.7) for v in range(256)]), "near"),
    "equalised": (ImageOps.equalize, "near"),
    "mirrored": (ImageOps.mirror, "mirrored"),
    "negative": (ImageOps.invert, "negative"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_is_found_among_others_and_nothing_else(name: str) -> None:
    change, kind = CHANGES[name]
    originals = [picture(seed) for seed in range(12)]
    pixels = [decode_bytes(encoded(image), 64, "x") for image in [*originals, change(originals[4])]]
    (link,) = duplicates.find(np.stack(pixels), [str(i) for i in range(13)])
    assert (link.a, link.b, link.kind) == (4, 12, kind)
    assert duplicates.LIKENESS <= link.likeness <= 1


@pytest.mark.parametrize("change", [lambda im: ImageEnhance.Brightness(im).enhance(0.8), ImageOps.mirror])
def test_changed_copies_of_real_radiographs_are_found_and_no_others(cxr_root: Path, change) -> None:
    names = real(cxr_root, "shenzhen.csv").table["image"][:60]
    originals = [Image.open(cxr_root / name).convert("L") for name in names]
    copies = [change(image).resize((150, 150)) for image in originals[::6]]
    data = [encoded(image) for image in originals] + [encoded(im, format="JPEG", quality=60) for im in copies]
    links = duplicates.find(np.stack([decode_bytes(d, 64, "x") for d in data]), [str(i) for i in range(len(data))])
    assert sorted((link.a, link.b) for link in links) == [(6 * k, 60 + k) for k in range(10)]


def test_copies_are_joined_once_and_identical_files_are_told_from_identical_pixels() -> None:
    a, b = (np.asarray(picture(seed, 64)) for seed in (1, 2))
    links = duplicates.find(np.stack([a, b, a, a, b]), ["a", "b", "a", "other", "b"])
    assert [(link.a, link.b, link.kind) for link in links] == [(0, 2, "file"), (1, 4, "file"), (0, 3, "pixels")]
    assert duplicates.groups(links) == [(0, 2, 3), (1, 4)]


def test_a_thousand_equal_or_flat_images_do_not_make_half_a_million_pairs() -> None:
    equal = np.repeat(np.asarray(picture(1, 64))[None], 500, axis=0)
    greys = np.repeat(np.arange(250, dtype=np.uint8), 64 * 64).reshape(250, 64, 64)
    links = duplicates.find(np.concatenate([equal, greys]), [str(i) for i in range(750)])
    assert len(links) == 499 and {link.kind for link in links} == {"pixels"}


def test_nothing_to_compare_is_no_error() -> None:
    assert duplicates.find(np.zeros((0, 64, 64), np.uint8), []) == []
    assert duplicates.find(np.zeros((1, 64, 64), np.uint8), ["a"]) == []
    with pytest.raises(ValueError, match="64"):
        duplicates.find(np.zeros((2, 28, 28), np.uint8), ["a", "b"])


# ---------------------------------------------------------------------------------------------------------------- audit
def planted() -> Dataset:
    """30 images, number 2 unreadable; then a copy with another label in test, a near copy in val and a black one."""
    data: list[bytes | None] = [encoded(picture(seed)) for seed in range(30)]
    data += [data[3], encoded(picture(5), format="JPEG", quality=30), encoded(Image.new("L", (80, 80)))]
    data[2] = None
    labels = [i % 2 for i in range(30)] + [0, 1, 1]
    splits = ["train"] * 20 + ["val"] * 5 + ["test"] * 5 + ["test", "val", "train"]
    patients = [f"p{i}" for i in range(30)] + ["p3", "somebody else", ""]
    return made(data, labels, splits, patients)


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
    packed = splits.complete(MedmnistSource(pixels=64, root=str(medmnist_root)).read(), SETTINGS)
    pixels = np.stack([packed.images.read(i, 64)[0] for i in packed.indices("test")])
    digests = [packed.images.read(int(i), 64)[1] for i in packed.indices("test")]
    dataset = real(cxr_root, "pneumonia.csv")
    files = [dataset.images.read(int(i), 64) for i in dataset.indices("test")]
    from_files = duplicates.find(np.stack([f.pixels for f in files]), [f.digest for f in files])
    assert len(duplicates.find(pixels, digests)) == len(from_files) == 6


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


# ------------------------------------------------------------------------------------------------------------ shortcuts
def test_source_shortcut_in_closed_form() -> None:
    # train: source a 3 normal + 1 sick, source b 1 normal + 2 sick, so a -> normal, b -> sick, unseen -> normal (4 : 3)
    train = [("a", 0)] * 3 + [("a", 1)] + [("b", 0)] + [("b", 1)] * 2
    test = [("a", 0), ("a", 1), ("b", 1), ("b", 1), ("c", 0)]
    rows = train + test
    dataset = made(
        [b""] * len(rows),
        labels=[c for _, c in rows],
        sources=[s for s, _ in rows],
        splits=["train"] * len(train) + ["test"] * len(test),
    )
    found = by_source(dataset)
    assert found is not None
    assert found.test.confusion == [[2, 0], [1, 2]]
    assert found.test.accuracy == pytest.approx(4 / 5)
    assert found.test.of("sick").f1 == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert found.test.balanced_accuracy == pytest.approx((1 + 2 / 3) / 2)
    assert found.always.confusion == [[2, 0], [3, 0]]


def test_one_source_is_no_shortcut() -> None:
    assert by_source(made([b""] * 4, splits=["train", "train", "test", "test"], sources=["a"] * 4)) is None


def test_source_shortcut_of_the_real_data(cxr_root: Path) -> None:
    found = by_source(real(cxr_root, "cxr3.csv"))
    assert found is not None
    # kermany -> pneumonia (376 of 647), nih14 -> normal (288 of 560), shenzhen -> tuberculosis (185 of 364)
    assert found.test.confusion == [[135, 153, 98], [161, 219, 0], [0, 0, 101]]


def test_brightness_alone_tells_bright_from_dark_and_not_noise_from_noise() -> None:
    rng = np.random.default_rng(0)
    splits = ["train", "test"] * 100
    labels = rng.integers(0, 2, 200)
    noise = rng.integers(0, 200, (200, 16, 16))
    dataset = made([b""] * 200, labels=labels.tolist(), splits=splits)
    bright = by_brightness(dataset, np.arange(200), (noise + 40 * labels[:, None, None]).astype(np.uint8))
    blind = by_brightness(dataset, np.arange(200), noise.astype(np.uint8))
    assert bright is not None and blind is not None
    assert bright.test.accuracy > 0.95 and blind.test.accuracy < 0.7


def test_brightness_knows_borders_and_nothing_of_shapes() -> None:
    image = np.zeros((1, 64, 64), np.uint8)
    image[0, :4] = 100
    mean, _, *rest = brightness(image)[0]
    assert mean == pytest.approx(100 / 16)
    assert rest[:5] == [0, 0, 0, 0, 100]
    assert rest[5:9] == [100, 0, pytest.approx(100 / 16), pytest.approx(100 / 16)]
    inner = np.random.default_rng(0).permutation(np.arange(56 * 56) % 256).reshape(56, 56)
    a, b = np.zeros((2, 64, 64), np.uint8)
    a[4:60, 4:60], b[4:60, 4:60] = inner, inner[::-1, ::-1]
    np.testing.assert_allclose(brightness(np.stack([a]))[0], brightness(np.stack([b]))[0])


def test_cramers_v_closed_forms() -> None:
    assert cramers_v(np.array([[5, 0], [0, 7]])) == pytest.approx(1)
    assert cramers_v(np.array([[2, 4], [3, 6]])) == pytest.approx(0)
    assert cramers_v(np.array([[3, 1], [1, 3]])) == pytest.approx(0.5)
    assert cramers_v(np.array([[3, 1], [0, 0]])) is None


# --------------------------------------------------------------------------------------------------------------- report
def test_report_says_the_warnings_first_and_keeps_images_in_the_gallery(tmp_path: Path) -> None:
    dataset = planted().with_notes("a note of the loader")
    found = audit(dataset, progress=False)
    path = write_audit(found, dataset, reader(dataset.images, 64), tmp_path / "page", tmp_path / "gallery")
    text = path.read_text()
    assert text.index(found.warnings[0][:30]) < text.index("a note of the loader") < text.index("## Images")
    assert sorted(p.name for p in (tmp_path / "gallery").iterdir()) == ["contact_sheet.png", "copies.png"]
    assert not list((tmp_path / "page").rglob("*.png"))
    assert "(../gallery/contact_sheet.png)" in text
    copies = pd.read_csv(tmp_path / "page" / "tables" / "duplicates.csv")
    assert copies["image"].tolist() == ["image-3.png", "image-30.png", "image-5.png", "image-31.png"]
    assert copies["set"].tolist() == [1, 1, 2, 2]
    odd = json.loads((tmp_path / "page" / "tables" / "odd.json").read_text())
    assert [row["kind"] for row in odd["rows"]] == ["unreadable", "odd"]
    shared = pd.read_csv(tmp_path / "page" / "tables" / "shared_patients.csv")
    assert shared["patient_id"].tolist() == ["p3"]


def test_report_is_the_same_twice_and_shows_synthetic_images_inside(tmp_path: Path) -> None:
    dataset = dataclasses.replace(made([encoded(picture(i)) for i in range(6)]), synthetic=True)
    found = audit(dataset, progress=False)
    texts = []
    for name in ("a", "b"):
        folder = tmp_path / name
        path = write_audit(found, dataset, reader(dataset.images, 64), folder, folder / "figures")
        texts.append((path.read_bytes(), (folder / "figures" / "contact_sheet.png").read_bytes()))
    assert texts[0] == texts[1]
    assert b"](figures/contact_sheet.png)" in texts[0][0] and b"no patient was imaged" in texts[0][0]


def test_long_lists_are_cut_on_the_page_and_whole_in_the_files(tmp_path: Path) -> None:
    people = [f"person-{i:02d}" for i in range(20)]
    dataset = made([None] * 40, splits=["train"] * 20 + ["test"] * 20, patients=people * 2)
    found = audit(dataset, progress=False)
    text = write_audit(found, dataset, reader(dataset.images, 64), tmp_path, tmp_path / "g").read_text()
    assert "20 patients are in both train and test" in text and "The first 15 of 20:" in text
    assert "person-14" in text and "person-15" not in text
    assert len(pd.read_csv(tmp_path / "tables" / "shared_patients.csv")) == 20


def test_report_where_nothing_can_be_read(tmp_path: Path) -> None:
    dataset = made([None] * 4)
    path = write_audit(audit(dataset, progress=False), dataset, reader(dataset.images, 64), tmp_path, tmp_path / "g")
    assert "No image can be read." in path.read_text()


def test_contact_sheet_of_the_report_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    dataset = made([encoded(picture(0)), None, encoded(picture(2)), encoded(picture(3))])
    write_audit(audit(dataset, progress=False), dataset, reader(dataset.images, 64), tmp_path, tmp_path / "g")
    assert (tmp_path / "g" / "contact_sheet.png").exists()


def test_names_from_outside_cannot_break_the_page(tmp_path: Path) -> None:
    dataset = planted()
    dataset.table["patient_id"] = ["<script>|x"] * len(dataset)
    found = audit(dataset, progress=False)
    text = write_audit(found, dataset, reader(dataset.images, 64), tmp_path, tmp_path / "g").read_text()
    assert "<script>|x" not in text.replace("\\<script>\\|x", "")


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
