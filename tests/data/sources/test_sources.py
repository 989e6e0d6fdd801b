"""Every data source: what it loads, and for every mistake in it an error that says what, where and what to do."""

from __future__ import annotations

import os
import sys
import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from al_cxr.config import DataSettings, FolderSource, ManifestSource, MedmnistSource, Source
from al_cxr.core import enough
from al_cxr.core.errors import UserError
from al_cxr.data import splits
from al_cxr.data.dataset import SPLITS, Dataset
from al_cxr.data.quality import checks
from al_cxr.data.sources import cells, folder, kaggle, manifest, medmnist
from al_cxr.data.sources import registry as sources
from al_cxr.data.store import PixelStore


def picture(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), value % 256).save(path)


def settings(*given: Source, **options: Any) -> DataSettings:
    return DataSettings(sources=list(given), **options)


def counts(dataset: Dataset) -> dict[str, list[int]]:
    return {split: list(by_class.values()) for split, by_class in splits.class_counts(dataset).items()}


# -------------------------------------------------------------------------------------------------------------- folder
def tree(root: Path, layout: dict[str, int]) -> FolderSource:
    """Folders relative to the root, and how many images go into each."""
    for where, n in layout.items():
        (root / where).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            picture(root / where / f"{where.replace('/', '-')}-{i:02d}.png", i)
    return FolderSource(kind="folder", path=str(root))


def of_folder(source: FolderSource, **options: Any) -> Dataset:
    return folder.load(source, settings(source, **options))


KAGGLE = {
    f"{split}/{label}": 2 for split in ("train", "val", "test") for label in ("Normal", "Pneumonia", "TUBERCULOSIS")
}


def test_folder_with_splits(tmp_path: Path) -> None:
    dataset = of_folder(tree(tmp_path / "chest", KAGGLE))
    assert dataset.name == "chest" and dataset.classes == ("normal", "pneumonia", "tuberculosis")
    assert counts(dataset) == {split: [2, 2, 2] for split in SPLITS}
    assert list(dataset.table.columns) == ["image", "label", "split", "patient_id", "source"]
    for i in range(len(dataset)):
        split, label, _ = dataset.images.name(i).split("/")
        assert (dataset.split_N[i], dataset.classes[dataset.labels_N[i]]) == (split, label.lower())
        assert dataset.table["image"][i] == dataset.images.name(i)
    assert dataset.labels_N.dtype == np.int64 and dataset.notes == ()
    assert dataset.images.read(1, 8)[0].max() in (0, 1)


@pytest.mark.parametrize("names", [("TRAINING", "Valid", "Testing"), ("Train", "validation", "TEST")])
def test_split_folders_by_other_names_and_nested_in_one_folder(tmp_path: Path, names: Sequence[str]) -> None:
    layout = {f"archive/chest_xray/{split}/{label}": 1 for split in names for label in ("a", "b")}
    dataset = of_folder(tree(tmp_path, layout))
    assert counts(dataset) == {split: [1, 1] for split in SPLITS}
    assert dataset.images.name(0).startswith(sorted(names)[0])


def test_hidden_files_are_skipped_and_other_files_counted(tmp_path: Path) -> None:
    source = tree(tmp_path, KAGGLE)
    for name in (".DS_Store", "._x.png", "notes.txt", "a.dcm", "b.dcm", "README"):
        (tmp_path / "train" / "Normal" / name).write_text("x")
    picture(tmp_path / "stray.png")
    tree(tmp_path, {"extra": 1, "__MACOSX/train": 1, "train/Normal/old": 1, ".git": 1})
    dataset = of_folder(source)
    assert len(dataset) == 18
    text = "\n".join(dataset.notes)
    assert (
        "2 DICOM files were skipped" in text
        and "2 files left out" in text
        and "1 .txt" in text
        and "1 without extension" in text
    )
    assert "1 images left out" in text and "beside the splits: extra" in text
    assert "in the class folder Normal the folder old: not searched" in text


def test_unsplit_folder_is_split_stratified_and_the_same_way_again(tmp_path: Path) -> None:
    source = tree(tmp_path, {"a": 40, "b": 20})
    dataset = of_folder(source, val_fraction=0.1, test_fraction=0.2)
    assert counts(dataset) == {"train": [28, 14], "val": [4, 2], "test": [8, 4]}
    assert (dataset.table["split"] == dataset.split_N).all()
    assert np.array_equal(dataset.split_N, of_folder(source).split_N)
    assert not np.array_equal(dataset.split_N, of_folder(source, split_seed=1).split_N)
    assert "drawn from its images by image (patients unknown)" in dataset.notes[0]


def test_a_missing_split_is_taken_from_train_alone(tmp_path: Path) -> None:
    dataset = of_folder(tree(tmp_path, {"train/a": 20, "train/b": 20, "test/a": 3, "test/b": 3}))
    assert counts(dataset) == {"train": [18, 18], "val": [2, 2], "test": [3, 3]}
    assert [name.startswith("test/") for name in dataset.table["image"]] == (dataset.split_N == "test").tolist()


def test_folder_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone: no such folder"):
        of_folder(FolderSource(kind="folder", path=str(tmp_path / "gone")))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: not a folder"):
        of_folder(FolderSource(kind="folder", path=str(tmp_path / "file")))
    with pytest.raises(UserError, match="no class folders"):
        of_folder(tree(tmp_path / "bare", {"": 3}))
    with pytest.raises(UserError, match=r"train.b: empty class, no image in this folder"):
        of_folder(tree(tmp_path / "empty", {"train/a": 1, "train/b": 0}))
    with pytest.raises(UserError, match=r"empty class.*the folder images.*--patient-folders"):
        of_folder(tree(tmp_path / "deep", {"a": 3, "b/images": 3}))
    with pytest.raises(UserError, match=r"only one class \(a\)"):
        of_folder(tree(tmp_path / "one", {"a": 5}))
    with pytest.raises(UserError, match="no image of class 'b' in the test split"):
        of_folder(tree(tmp_path / "without", {"train/a": 1, "train/b": 1, "val/a": 1, "val/b": 1, "test/a": 1}))
    with pytest.raises(UserError, match="no train split, only test"):
        of_folder(tree(tmp_path / "test-only", {"test/a": 1, "test/b": 1}))
    with pytest.raises(UserError, match="'val' and 'valid' both name the val split"):
        of_folder(tree(tmp_path / "both", {"train/a": 1, "val/a": 1, "valid/a": 1}))
    with pytest.raises(UserError, match=r"no image of class 'b' in the .* split.*too few patients"):
        of_folder(tree(tmp_path / "few", {"a": 9, "b": 1}))


def test_links_out_of_the_root_are_refused_and_inside_are_not(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    source = tree(tmp_path / "set", {"a": 9, "b": 9})
    (tmp_path / "set" / "a" / "inside.png").symlink_to(tmp_path / "set" / "b" / "b-00.png")
    assert len(of_folder(source)) == 19
    (tmp_path / "set" / "a" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(UserError, match=r"a/link\.png: a symbolic link to .*secret\.png, outside .*--follow-links"):
        of_folder(source)
    (tmp_path / "set" / "a" / "link.png").unlink()
    (tmp_path / "set" / "a" / "link.png").symlink_to(tmp_path / "nothing.png")
    with pytest.raises(UserError, match=r"link\.png: a symbolic link"):
        of_folder(source)
    (tmp_path / "set" / "a" / "link.png").unlink()
    tree(tmp_path / "outside", {"c": 9})
    (tmp_path / "set" / "c").symlink_to(tmp_path / "outside" / "c")
    with pytest.raises(UserError, match="outside the folder"):
        of_folder(source)
    (tmp_path / "alias").symlink_to(tmp_path / "outside")  # the root itself may be a link
    tree(tmp_path / "outside", {"d": 9})
    assert len(of_folder(FolderSource(kind="folder", path=str(tmp_path / "alias")))) == 18


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    source = tree(tmp_path, {"a": 3, "b": 3})
    os.mkfifo(tmp_path / "a" / "pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png: not a regular file"):
        of_folder(source)


# ------------------------------------------------------------------------------------------------------------ manifest
HEADER = "path,label,split,patient_id,source,age"


def table(root: Path, *rows: str, header: str = HEADER, encoding: str = "utf-8") -> ManifestSource:
    """A manifest of these rows, and the images 00.png .. 19.png."""
    for i in range(20):
        picture(root / f"{i:02d}.png", i)
    (root / "set.csv").write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
    return ManifestSource(kind="manifest", path=str(root / "set.csv"), root=None)


def of_manifest(source: ManifestSource, **options: Any) -> Dataset:
    return manifest.load(source, settings(source, **options))


GOOD = [
    "00.png,a,train,p0,x,50",
    "01.png,b,train,p1,x,",
    "02.png,a,val,p2,x,7",
    "03.png,b,val,p3,x,8",
    "04.png,a,test,p4,y,9",
    "05.png,b,test,p5,y,NA",
]


def test_manifest(tmp_path: Path) -> None:
    dataset = of_manifest(table(tmp_path, *GOOD, encoding="utf-8-sig"))
    assert dataset.name == "set" and dataset.classes == ("a", "b") and dataset.notes == ()
    assert dataset.labels_N.tolist() == [0, 1, 0, 1, 0, 1]
    assert dataset.split_N.tolist() == ["train", "train", "val", "val", "test", "test"]
    assert list(dataset.table.columns) == ["image", "label", "split", "patient_id", "source", "age"]
    assert dataset.table["age"].tolist() == ["50", "", "7", "8", "9", ""]
    assert dataset.table["source"].tolist() == ["x", "x", "x", "x", "y", "y"]
    assert [dataset.images.name(i) for i in range(6)] == [f"0{i}.png" for i in range(6)]
    assert dataset.images.read(5, 8)[0].max() == 5


def test_manifest_is_forgiving_where_the_meaning_is_plain(tmp_path: Path) -> None:
    rows = [
        row.replace(",val,", ", Validation ,").replace(",a,", ",A ,").replace(",test,", ",TESTING,") for row in GOOD
    ]
    rows[0] = "./sub/../" + rows[0]
    dataset = of_manifest(table(tmp_path, "", *rows, ",,,,,", "", header=HEADER.replace("label", " Label")))
    assert counts(dataset) == {split: [1, 1] for split in SPLITS} and dataset.images.name(0) == "00.png"
    picture(tmp_path / "images" / "é, ü.png")
    assert of_manifest(table(tmp_path, '"images\\é, ü.png",a,train,,,', *GOOD)).images.name(0) == "images/é, ü.png"


def test_manifest_with_a_root_of_its_own(tmp_path: Path) -> None:
    table(tmp_path / "images", *GOOD)
    (tmp_path / "images" / "set.csv").rename(tmp_path / "set.csv")
    source = ManifestSource(kind="manifest", path=str(tmp_path / "set.csv"), root=str(tmp_path / "images"))
    assert len(of_manifest(source)) == 6
    with pytest.raises(UserError, match=r"nowhere: no such folder \(the root of the manifest"):
        of_manifest(source.model_copy(update={"root": str(tmp_path / "nowhere")}))


def test_manifest_without_splits_keeps_patients_together(tmp_path: Path) -> None:
    rows = [f"{i:02d}.png,{'ab'[i // 10]},p{i // 2}" for i in range(20)]
    dataset = of_manifest(table(tmp_path, *rows, header="path,label,patient_id"))
    assert counts(dataset) == {"train": [6, 6], "val": [2, 2], "test": [2, 2]}
    assert checks.shared_patients(dataset) == {} and "by patient, stratified" in dataset.notes[0]
    turned = of_manifest(table(tmp_path, *rows[::-1], header="path,label,patient_id"))
    assert turned.split_N.tolist() == dataset.split_N.tolist()[::-1]


BAD_ROWS = {
    "07.png,,train,,,": r"row 8: label is empty",
    ",a,train,,,": r"row 8: path is empty",
    "07.png,NaN,train,,,": r"row 8: label is NaN",
    "nan,a,train,,,": r"row 8: path is nan",
    "07.png,a,holdout,,,": r"row 8: unknown split 'holdout'; known: train, training, val",
    "07.png,a,tset,,,": r"row 8: unknown split 'tset'; did you mean 'test'",
    "07.png,a,,,,": r"row 8: split is empty",
    "02.png,a,train,,,": r"row 8: 02\.png: the same path as in row 4",
    "x/../02.png,a,train,,,": r"row 8: 02\.png: the same path as in row 4",
    "99.png,a,train,,,": r"row 8: no file 99\.png in .*paths are taken from the folder of the CSV.*--root",
    "07.png/x.png,a,train,,,": r"row 8: no file 07\.png/x\.png",
    "../07.png,a,train,,,": r"row 8: \.\./07\.png: outside the folder .*--root FOLDER",
    "a/../../07.png,a,train,,,": r"row 8: .*outside the folder",
    "..\\07.png,a,train,,,": r"row 8: .*outside the folder",
    "/etc/passwd,a,train,,,": r"row 8: /etc/passwd: outside the folder",
    "C:\\x.png,a,train,,,": r"row 8: .*a path of a Windows machine",
    "folder,a,train,,,": r"row 8: folder: not a regular file",
    "out.png,a,train,,,": r"row 8: out\.png: a symbolic link to .*, outside the folder",
    "away/07.png,a,train,,,": r"row 8: away/07\.png: a symbolic link to .*, outside the folder",
    '"a\tb.png",a,train,,,': r"row 8: 'a\\tb\.png': control characters",
    f"{'x' * 300}.png,a,train,,,": r"row 8: x+\.png: cannot be read \(File name too long\)",
    "07.png,a,train": r"row 8: 3 cells, but the header has 6",
    "07.png,a,train,,,,,": r"row 8: 8 cells, but the header has 6",
    '"07.png,a,train,,,': r"not a CSV",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_bad_row_is_named(tmp_path: Path, row: str) -> None:
    root = tmp_path / "root"
    source = table(root, *GOOD, row)
    picture(tmp_path / "07.png")
    (root / "folder").mkdir()
    (root / "out.png").symlink_to(tmp_path / "07.png")
    (root / "away").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"set\.csv: " + BAD_ROWS[row]):
        of_manifest(source)


def test_rows_are_counted_as_in_a_spreadsheet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"set\.csv: row 10: label is empty"):
        of_manifest(table(tmp_path, *GOOD[:5], "", '05.png,b,test,"two\nlines",,', ",,,,,", "07.png,,test,,,"))


def test_missing_files_are_counted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 8: no file x\.png .*\(and 2 more of 9\)"):
        of_manifest(table(tmp_path, *GOOD, "x.png,a,train,,,", "y.png,a,train,,,", "z.png,a,train,,,"))


def test_manifest_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*rows: str, header: str = HEADER) -> Dataset:
        return of_manifest(table(tmp_path, *rows, header=header))

    with pytest.raises(UserError, match=r"gone\.csv: no such file"):
        of_manifest(ManifestSource(kind="manifest", path=str(tmp_path / "gone.csv"), root=None))
    with pytest.raises(UserError, match="no column label; it has path, finding"):
        load("00.png,a", header="path,finding")
    with pytest.raises(UserError, match="column 'label' stands there twice"):
        load("00.png,a,a", header="path,label,Label")
    with pytest.raises(UserError, match="column 'image', a name that is taken"):
        load("00.png,a,a", header="path,label,image")
    with pytest.raises(UserError, match="column without a name"):
        load("00.png,a,a", header="path,label,")
    with pytest.raises(UserError, match="a header and no rows"):
        load()
    with pytest.raises(UserError, match="empty; the first row names the columns"):
        load(header="")
    with pytest.raises(UserError, match=r"only one class \(a\)"):
        load("00.png,a", "01.png,a", header="path,label")
    with pytest.raises(UserError, match="no image of class 'b' in the val split"):
        load(*GOOD[:3], *GOOD[4:])
    with pytest.raises(UserError, match="no image of class 'a' in the train split"):
        load(*GOOD[1:])
    with pytest.raises(UserError, match="no train split, only test"):
        load(*GOOD[4:])
    table(tmp_path)
    (tmp_path / "set.csv").write_bytes(b"path,label\n\xff\xfe.png,a\n")
    source = ManifestSource(kind="manifest", path=str(tmp_path / "set.csv"), root=None)
    with pytest.raises(UserError, match="not UTF-8"):
        of_manifest(source)
    monkeypatch.setattr(cells, "MAX_BYTES", 10)
    with pytest.raises(UserError, match="larger than"):
        of_manifest(source)


# -------------------------------------------------------------------------------------------------------------- splits
@hypothesis_settings(deadline=None, max_examples=60)
@given(
    patients=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=60),
    val=st.floats(0.01, 0.49),
    test=st.floats(0.01, 0.49),
    seed=st.integers(0, 3),
)
def test_split_is_patient_disjoint_stratified_and_free_of_order(
    patients: list[tuple[int, int]], val: float, test: float, seed: int
) -> None:
    labels_N = np.array([label for label, n in patients for _ in range(n)])
    patients_N = [f"p{i}" for i, (_, n) in enumerate(patients) for _ in range(n)]
    fractions = {"test": test, "val": val}
    split_N = splits.assign(labels_N, patients_N, fractions, seed)
    of: dict[str, set[str]] = {}
    for patient, split in zip(patients_N, split_N.tolist(), strict=True):
        of.setdefault(patient, set()).add(split)
    assert all(len(s) == 1 for s in of.values())
    for label in range(3):
        members = [f"p{i}" for i, (c, _) in enumerate(patients) if c == label]
        got = Counter(next(iter(of[p])) for p in members)
        for split, fraction in fractions.items():
            assert abs(got[split] - fraction * len(members)) <= 1.5
        assert len(members) < 3 or all(got[split] for split in SPLITS)
    order = np.random.default_rng(0).permutation(len(labels_N))
    again = splits.assign(labels_N[order], [patients_N[i] for i in order], fractions, seed)
    assert np.array_equal(again, split_N[order])


def test_a_patient_of_two_classes_counts_for_the_rarer() -> None:
    labels_N = np.array([0] * 30 + [1] * 3 + [0] * 3)
    patients_N = [f"p{i}" for i in range(30)] + ["x", "y", "z", "x", "y", "z"]
    split_N = splits.assign(labels_N, patients_N, {"test": 0.1, "val": 0.1}, 0)
    assert sorted(split_N[30:33]) == ["test", "train", "val"] and (split_N[30:33] == split_N[33:]).all()


# ------------------------------------------------------------------------------------------------------------ medmnist
def archive(root: Path, name: str = "pneumoniamnist", pixels: int = 28, **changes: Any) -> MedmnistSource:
    """A small .npz in MedMNIST's format, with arrays replaced or (None) left out."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, n in zip(SPLITS, (6, 4, 2), strict=True):
        arrays[f"{split}_images"] = rng.integers(0, 256, (n, pixels, pixels), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(n, dtype=np.uint8) % 2)[:, None]
    arrays = {key: value for key, value in (arrays | changes).items() if value is not None}
    root.mkdir(exist_ok=True)
    np.savez_compressed(root / f"{name}{'' if pixels == 28 else f'_{pixels}'}.npz", **arrays)
    return MedmnistSource.model_validate({"kind": "medmnist", "flag": name, "pixels": pixels, "root": str(root)})


def of_medmnist(source: MedmnistSource, **options: Any) -> Dataset:
    return medmnist.load(source, settings(source, **options))


def test_medmnist(tmp_path: Path) -> None:
    source = archive(tmp_path, pixels=64)
    dataset = of_medmnist(source)
    assert dataset.name == "pneumoniamnist-64" and dataset.classes == ("normal", "pneumonia")
    assert counts(dataset) == {"train": [3, 3], "val": [2, 2], "test": [1, 1]}
    assert "CC BY 4.0" in dataset.attribution and dataset.notes == ()
    stored = np.load(tmp_path / "pneumoniamnist_64.npz")
    pixels, digest, *_ = dataset.images.read(7, 64)
    assert np.array_equal(pixels, stored["val_images"][1]) and len(digest) == 64
    assert dataset.images.name(7) == "val-00001" == dataset.table["image"][7]
    assert dataset.images.read(7, 28)[0].shape == (28, 28)
    assert len(PixelStore.open(dataset.images, 28, tmp_path / "cache", progress=False)) == 12


def test_medmnist_in_colour_becomes_grey_and_small_is_noted(tmp_path: Path) -> None:
    changes: dict[str, Any] = {f"{split}_images": np.full((9, 28, 28, 3), [255, 0, 0], np.uint8) for split in SPLITS}
    changes |= {f"{split}_labels": np.arange(9, dtype=np.uint8)[:, None] % 9 for split in SPLITS}
    dataset = of_medmnist(archive(tmp_path, "pathmnist", **changes))
    assert len(dataset.classes) == 9 and dataset.classes[0] == "adipose"
    assert set(dataset.images.read(0, 28)[0].flat) == {76}  # 0.299 of 255
    assert dataset.notes == ("stored at 28 px and enlarged to 64 px",)


def test_medmnist_mistakes(tmp_path: Path) -> None:
    def source(flag: str, pixels: int = 64) -> MedmnistSource:
        return MedmnistSource.model_validate(
            {"kind": "medmnist", "flag": flag, "pixels": pixels, "root": str(tmp_path / "none")}
        )

    with pytest.raises(UserError, match=r"pneumoniamnist_64\.npz: no such file; fetch https.*or set download: true"):
        of_medmnist(source("pneumoniamnist"))
    with pytest.raises(UserError, match="chestmnist is multi-label"):
        of_medmnist(source("chestmnist"))
    with pytest.raises(UserError, match="organmnist3d is 3-D"):
        of_medmnist(source("organmnist3d"))
    with pytest.raises(UserError, match="did you mean 'pneumoniamnist'"):
        of_medmnist(source("pneumonia_mnist"))
    with pytest.raises(UserError, match="known: pathmnist"):
        of_medmnist(source("?"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_images": None}, "has no val_images and val_labels"),
        ({"val_images": np.zeros((4, 30, 30), np.uint8)}, r"val_images has shape \(4, 30, 30\)"),
        ({"val_images": np.zeros((0, 28, 28), np.uint8), "val_labels": np.zeros((0, 1), np.uint8)}, "shape"),
        ({"val_labels": np.zeros((3, 1), np.uint8)}, r"val_labels has shape \(3, 1\), expected \(4, 1\)"),
        ({"val_labels": np.zeros((4, 14), np.uint8)}, "one label an image"),
        ({"val_labels": np.full((4, 1), 2, np.uint8)}, "does not fit"),
        ({"val_labels": np.zeros((4, 1))}, "float64.*not an array of bytes"),
        ({"val_labels": np.array([[len]] * 4, dtype=object)}, "object.*not an array of bytes"),
        ({"val_labels": np.zeros((4, 1), np.uint8)}, "no image of class 'pneumonia' in the val split"),
    ],
)
def test_a_broken_medmnist_file(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        of_medmnist(archive(tmp_path, **changes))


def test_a_damaged_medmnist_file(tmp_path: Path) -> None:
    source = archive(tmp_path)
    path = tmp_path / "pneumoniamnist.npz"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"pneumoniamnist\.npz: not a whole \.npz file.*fetch it again"):
        of_medmnist(source)
    path.write_bytes(data[:2000] + bytes(100) + data[2100:])
    dataset = of_medmnist(source)
    with pytest.raises(UserError, match="train_images is damaged"):
        PixelStore.open(dataset.images, 28, tmp_path / "cache", progress=False)


def test_medmnist_is_fetched_only_when_asked_and_never_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = archive(tmp_path / "there")
    published = (tmp_path / "there" / "pneumoniamnist.npz").read_bytes()
    fetched: list[str] = []

    def download(self: Any) -> None:
        fetched.append(self.root)
        Path(self.root, "pneumoniamnist.npz").write_bytes(published)

    import medmnist as package

    monkeypatch.setattr(package.PneumoniaMNIST, "download", download)
    asked = there.model_copy(update={"download": True})
    assert len(of_medmnist(asked)) == 12 and not fetched
    new = asked.model_copy(update={"root": str(tmp_path / "new")})
    assert len(of_medmnist(new)) == 12 and len(fetched) == 1
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["pneumoniamnist.npz"]

    def fail(self: Any) -> None:
        raise RuntimeError("Automatic download failed!")

    monkeypatch.setattr(package.PneumoniaMNIST, "download", fail)
    with pytest.raises(UserError, match=r"pneumoniamnist\.npz: Automatic download failed"):
        of_medmnist(asked.model_copy(update={"root": str(tmp_path / "newer")}))
    assert list((tmp_path / "newer").iterdir()) == []


# -------------------------------------------------------------------------------------------------------------- kaggle
def pretend_kagglehub(monkeypatch: pytest.MonkeyPatch, download: Any) -> None:
    module = types.ModuleType("kagglehub")
    module.dataset_download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kagglehub", module)


def test_kaggle_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path / "cache", KAGGLE)
    asked: list[str] = []

    def download(slug: str) -> str:
        asked.append(slug)
        return str(tmp_path / "cache")

    pretend_kagglehub(monkeypatch, download)
    place = kaggle.fetch(kaggle.DEFAULT_SLUG, tmp_path / "data" / "chest-xray")
    assert asked == ["muhammadrehan00/chest-xray-dataset"] and place == tmp_path / "data" / "chest-xray"
    source = FolderSource(kind="folder", path=str(place))
    assert len(of_folder(source)) == 18
    assert [p.name for p in place.parent.iterdir()] == ["chest-xray"]
    with pytest.raises(UserError, match="is there already and is not overwritten"):
        kaggle.fetch(kaggle.DEFAULT_SLUG, place)
    assert len(of_folder(source)) == 18 and len(asked) == 1


def test_kaggle_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(slug: str) -> str:
        raise ConnectionError("no route to host")

    pretend_kagglehub(monkeypatch, download)
    with pytest.raises(UserError, match=r"a/b: download failed \(no route to host\); check the network"):
        kaggle.fetch("a/b", tmp_path / "x")
    with pytest.raises(UserError, match="names no Kaggle data set; give OWNER/NAME"):
        kaggle.fetch("../x", tmp_path / "x")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"pip install 'al-cxr\[kaggle\]'"):
        kaggle.fetch("a/b", tmp_path / "x")
    assert not (tmp_path / "x").exists()


# ------------------------------------------------------------------------------------------------------------- sources
def test_the_first_source_that_is_there(tmp_path: Path) -> None:
    absent: list[Source] = [
        FolderSource(kind="folder", path=str(tmp_path / "nowhere")),
        ManifestSource(kind="manifest", path=str(tmp_path / "nothing.csv"), root=None),
        MedmnistSource.model_validate({"kind": "medmnist", "root": str(tmp_path / "empty")}),
    ]
    good = table(tmp_path / "set", *GOOD)
    assert sources.load(settings(*absent, good)).name == "set"
    assert sources.load(settings(*absent, good, tree(tmp_path / "f", KAGGLE))).name == "set"
    with pytest.raises(UserError) as caught:
        sources.load(settings(*absent))
    text = str(caught.value)
    assert "none of the data sources is there" in text
    assert "nowhere" in text and "nothing.csv" in text and "pneumoniamnist at 64 px" in text


def test_a_broken_source_is_not_passed_over(tmp_path: Path) -> None:
    good = table(tmp_path / "set", *GOOD)
    with pytest.raises(UserError, match="no class folders"):
        sources.load(settings(tree(tmp_path / "bare", {"": 1}), good))
    with pytest.raises(UserError, match="row 3: label is empty"):
        sources.load(settings(table(tmp_path / "bad", GOOD[0], "01.png,,train,,,"), good))
    with pytest.raises(UserError, match="not a folder"):
        sources.load(settings(FolderSource(kind="folder", path=good.path), good))
    with pytest.raises(UserError, match="no MedMNIST set"):
        sources.load(settings(MedmnistSource.model_validate({"kind": "medmnist", "flag": "nomnist"}), good))


def test_phantom_is_a_source() -> None:
    source = sources.parse("phantom:60")
    dataset = sources.load(settings(source))
    assert dataset.synthetic and len(dataset) == 60 and "tuberculosis" in dataset.classes
    assert sources.load_for_evaluation(source, dataset.classes).synthetic


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("phantom", {"kind": "phantom", "count": 2000}),
        ("phantom:300", {"kind": "phantom", "count": 300}),
        ("medmnist:breastmnist", {"kind": "medmnist", "flag": "breastmnist", "pixels": 64, "root": None}),
        ("medmnist:octmnist@/a/b@c", {"kind": "medmnist", "flag": "octmnist", "root": "/a/b@c"}),
        ("medmnist:octmnist-28@x", {"kind": "medmnist", "flag": "octmnist", "pixels": 28, "root": "x"}),
        ("x/y.CSV", {"kind": "manifest", "path": "x/y.CSV", "root": None}),
        ("data/chest-xray", {"kind": "folder", "path": "data/chest-xray"}),
        ("./phantom", {"kind": "folder", "path": "./phantom"}),
    ],
)
def test_parse(text: str, expected: dict[str, Any]) -> None:
    parsed = sources.parse(text).model_dump()
    assert {key: parsed[key] for key in expected} == expected


@pytest.mark.parametrize("text", ["", "phantom:3", "phantom:x", "medmnist:", "medmnist", "medmnist:octmnist-33"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(UserError, match="--data"):
        sources.parse(text)


def test_evaluation_uses_the_test_split_or_everything(tmp_path: Path) -> None:
    source = table(tmp_path, *GOOD)
    dataset = sources.load_for_evaluation(source, ["b", "c", "a"])
    assert dataset.classes == ("b", "c", "a") and dataset.labels_N.tolist() == [2, 0]
    assert dataset.table["image"].tolist() == ["04.png", "05.png"] == [dataset.images.name(i) for i in range(2)]
    assert dataset.images.read(1, 8)[0].max() == 5 and dataset.images.key != manifest.read(source).images.key
    assert "only the test split: 2 of 6 images" in dataset.notes
    for rows, header in (([f"{i:02d}.png,a" for i in range(3)], "path,label"), ([GOOD[0], GOOD[1], GOOD[3]], HEADER)):
        dataset = sources.load_for_evaluation(table(tmp_path, *rows, header=header), ["a", "b"])
        assert len(dataset) == 3 and set(dataset.split_N) == {"test"} == set(dataset.table["split"])
    assert len(sources.load_for_evaluation(table(tmp_path, *GOOD[4:]), ["a", "b"])) == 2
    assert len(sources.load_for_evaluation(tree(tmp_path / "f", {"a": 4}), ["b", "a"])) == 4
    assert len(sources.load_for_evaluation(archive(tmp_path / "m"), ["pneumonia", "normal"])) == 2


def test_evaluation_refuses_a_label_the_model_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"05\.png is labelled 'b', which the model does not know; known: a, c"):
        sources.load_for_evaluation(table(tmp_path, *GOOD), ["a", "c"])
    ok = table(tmp_path, GOOD[1].replace(",b,", ",other,"), GOOD[4])  # in a split that is not used
    assert len(sources.load_for_evaluation(ok, ["a"])) == 1


# -------------------------------------------------------------------------------------------------------------- checks
def test_warnings(tmp_path: Path) -> None:
    rows = [f"{i:02d}.png,{'a' if i < 9 else 'b'},train,p{i},{'x' if i < 6 else 'y'}" for i in range(12)]
    rows += [f"{i:02d}.png,{'ab'[i % 2]},{'val' if i < 16 else 'test'},p{i % 4},y" for i in range(12, 20)]
    notes = sources.load(settings(table(tmp_path, *rows, header="path,label,split,patient_id,source"))).notes
    assert notes == (
        "4 patients are in both train and val: what val measures there is memory",
        "4 patients are in both train and test: what test measures there is memory",
        "4 patients are in both val and test: what test measures there is memory",
        "class imbalance in train: 9 a, 3 b (3.0 to 1)",
        "source shortcut: every image from x is a",
        "source shortcut: every image of b with a known source comes from y",
        *enough.of_split("val", {"a": 2, "b": 2}),
        *enough.of_split("test", {"a": 2, "b": 2}),
    )
    few = sources.load(settings(tree(tmp_path / "f", KAGGLE))).notes
    assert len(few) == 2 and all(note.startswith(enough.PREFIX) for note in few)


# ------------------------------------------------------------------------------------------------------ the real thing
@pytest.mark.parametrize(
    ("name", "classes", "expected", "rarest"),
    [
        ("cxr3", ("normal", "pneumonia", "tuberculosis"), (1571, 423, 867), [185, 50, 101]),
        ("pneumonia", ("normal", "pneumonia"), (4708, 524, 624), None),
        ("shenzhen", ("normal", "tuberculosis"), (364, 99, 199), None),
    ],
)
def test_real_manifests(
    cxr_root: Path, name: str, classes: tuple[str, ...], expected: tuple[int, ...], rarest: list[int] | None
) -> None:
    dataset = sources.load(settings(ManifestSource(kind="manifest", path=str(cxr_root / f"{name}.csv"), root=None)))
    assert dataset.name == name and dataset.classes == classes and not dataset.synthetic
    assert tuple(len(dataset.indices(split)) for split in SPLITS) == expected
    if rarest is not None:
        assert [counts(dataset)[split][-1] for split in SPLITS] == rarest
    shared = checks.shared_patients(dataset)
    assert shared == ({("train", "val"): 317} if name == "pneumonia" else {})
    shortcut = [n for n in dataset.notes if n.startswith("source shortcut")]
    assert shortcut == (
        ["source shortcut: every image of tuberculosis with a known source comes from shenzhen"]
        if name == "cxr3"
        else []
    )


@pytest.mark.parametrize("pixels", [28, 64])
def test_real_medmnist(medmnist_root: Path, pixels: int) -> None:
    dataset = sources.load(settings(sources.parse(f"medmnist:pneumoniamnist-{pixels}@{medmnist_root}")))
    assert dataset.name == f"pneumoniamnist-{pixels}" and dataset.classes == ("normal", "pneumonia")
    assert tuple(len(dataset.indices(split)) for split in SPLITS) == (4708, 524, 624)
    assert counts(dataset)["test"] == [234, 390]
    import medmnist as package

    theirs = package.PneumoniaMNIST(split="val", size=pixels, root=str(medmnist_root), download=False)
    assert np.array_equal(dataset.images.read(4708 + 5, pixels)[0], theirs.imgs[5])
    assert dataset.labels_N[4708 + 5] == theirs.labels[5, 0]


def test_real_radiographs_into_a_store(cxr_root: Path, tmp_path: Path) -> None:
    dataset = sources.load(settings(ManifestSource(kind="manifest", path=str(cxr_root / "shenzhen.csv"), root=None)))
    opened = PixelStore.open(dataset.images, 28, tmp_path, progress=False)
    for i in (0, 300, 661):
        assert np.array_equal(opened.pixels[i], dataset.images.read(i, 28)[0])
    assert 80 < opened.pixels.mean() < 180 and len(set(opened.digests)) == 662
