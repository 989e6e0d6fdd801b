"""Folders of images: one a class, with or without splits, whatever else lies in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from source_files import KAGGLE, complete, counts, picture, tree

from al_cxr.core.errors import UserError
from al_cxr.data.dataset import SPLITS
from al_cxr.data.sources.folder import FolderSource


def test_folder_with_splits(tmp_path: Path) -> None:
    dataset = complete(tree(tmp_path / "chest", KAGGLE))
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
    dataset = complete(tree(tmp_path, layout))
    assert counts(dataset) == {split: [1, 1] for split in SPLITS}
    assert dataset.images.name(0).startswith(sorted(names)[0])


def test_hidden_files_are_skipped_and_other_files_counted(tmp_path: Path) -> None:
    source = tree(tmp_path, KAGGLE)
    for name in (".DS_Store", "._x.png", "notes.txt", "a.dcm", "b.dcm", "README"):
        (tmp_path / "train" / "Normal" / name).write_text("x")
    picture(tmp_path / "stray.png")
    tree(tmp_path, {"extra": 1, "__MACOSX/train": 1, "train/Normal/old": 1, ".git": 1})
    dataset = complete(source)
    assert len(dataset) == 18
    text = "\n".join(dataset.notes)
    assert (
        "left out, DICOM: named like a DICOM file, and is none: 2 of 20 images" in text
        and "2 files left out" in text
        and "1 .txt" in text
        and "1 without extension" in text
    )
    assert "1 images left out" in text and "beside the splits: extra" in text
    assert "in the class folder Normal the folder old: not searched" in text


def test_unsplit_folder_is_split_stratified_and_the_same_way_again(tmp_path: Path) -> None:
    source = tree(tmp_path, {"a": 40, "b": 20})
    dataset = complete(source, val_fraction=0.1, test_fraction=0.2)
    assert counts(dataset) == {"train": [28, 14], "val": [4, 2], "test": [8, 4]}
    assert (dataset.table["split"] == dataset.split_N).all()
    assert np.array_equal(dataset.split_N, complete(source).split_N)
    assert not np.array_equal(dataset.split_N, complete(source, split_seed=1).split_N)
    assert "drawn from its images by image (patients unknown)" in dataset.notes[0]


def test_a_missing_split_is_taken_from_train_alone(tmp_path: Path) -> None:
    dataset = complete(tree(tmp_path, {"train/a": 20, "train/b": 20, "test/a": 3, "test/b": 3}))
    assert counts(dataset) == {"train": [18, 18], "val": [2, 2], "test": [3, 3]}
    assert [name.startswith("test/") for name in dataset.table["image"]] == (dataset.split_N == "test").tolist()


def test_folder_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone: no such folder"):
        complete(FolderSource(kind="folder", path=str(tmp_path / "gone")))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: not a folder"):
        complete(FolderSource(kind="folder", path=str(tmp_path / "file")))
    with pytest.raises(UserError, match="no class folders"):
        complete(tree(tmp_path / "bare", {"": 3}))
    with pytest.raises(UserError, match=r"train.b: empty class, no image in this folder"):
        complete(tree(tmp_path / "empty", {"train/a": 1, "train/b": 0}))
    with pytest.raises(UserError, match=r"empty class.*the folder images.*--patient-folders"):
        complete(tree(tmp_path / "deep", {"a": 3, "b/images": 3}))
    with pytest.raises(UserError, match=r"only one class \(a\)"):
        complete(tree(tmp_path / "one", {"a": 5}))
    with pytest.raises(UserError, match="no image of class 'b' in the test split"):
        complete(tree(tmp_path / "without", {"train/a": 1, "train/b": 1, "val/a": 1, "val/b": 1, "test/a": 1}))
    with pytest.raises(UserError, match="no train split, only test"):
        complete(tree(tmp_path / "test-only", {"test/a": 1, "test/b": 1}))
    with pytest.raises(UserError, match="'val' and 'valid' both name the val split"):
        complete(tree(tmp_path / "both", {"train/a": 1, "val/a": 1, "valid/a": 1}))
    with pytest.raises(UserError, match=r"no image of class 'b' in the .* split.*too few patients"):
        complete(tree(tmp_path / "few", {"a": 9, "b": 1}))


def test_links_out_of_the_root_are_refused_and_inside_are_not(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    source = tree(tmp_path / "set", {"a": 9, "b": 9})
    (tmp_path / "set" / "a" / "inside.png").symlink_to(tmp_path / "set" / "b" / "b-00.png")
    assert len(complete(source)) == 19
    (tmp_path / "set" / "a" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(UserError, match=r"a/link\.png: a symbolic link to .*secret\.png, outside .*--follow-links"):
        complete(source)
    (tmp_path / "set" / "a" / "link.png").unlink()
    (tmp_path / "set" / "a" / "link.png").symlink_to(tmp_path / "nothing.png")
    with pytest.raises(UserError, match=r"link\.png: a symbolic link"):
        complete(source)
    (tmp_path / "set" / "a" / "link.png").unlink()
    tree(tmp_path / "outside", {"c": 9})
    (tmp_path / "set" / "c").symlink_to(tmp_path / "outside" / "c")
    with pytest.raises(UserError, match="outside the folder"):
        complete(source)
    (tmp_path / "alias").symlink_to(tmp_path / "outside")  # the root itself may be a link
    tree(tmp_path / "outside", {"d": 9})
    assert len(complete(FolderSource(kind="folder", path=str(tmp_path / "alias")))) == 18


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    source = tree(tmp_path, {"a": 3, "b": 3})
    os.mkfifo(tmp_path / "a" / "pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png: not a regular file"):
        complete(source)
