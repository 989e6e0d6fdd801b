"""Images that lie elsewhere: read if asked for, else a word why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from class_folders import CLASSES, load, table, tree

from al_cxr.bundles.inputs import find_inputs
from al_cxr.core.errors import UserError
from al_cxr.data.quality.checks import shared_patients


# --------------------------------------------------------------------------------------------------------------- paths
def test_absolute_paths_inside_the_csvs_folder_are_those_relative_to_it(tmp_path: Path) -> None:
    names = tree(tmp_path / "d")
    near = load(table(tmp_path / "d" / "near.csv", names))
    whole = load(table(tmp_path / "d" / "whole.csv", [str(tmp_path / "d" / n) for n in names]))
    assert list(whole.table["image"]) == names == list(near.table["image"]) and whole.images.key == near.images.key
    odd = [str(tmp_path / "d" / "x" / ".." / n) for n in names]
    assert list(load(table(tmp_path / "d" / "odd.csv", odd)).table["image"]) == names


def test_absolute_paths_may_call_the_folder_by_a_link_to_it(tmp_path: Path) -> None:
    names = tree(tmp_path / "real")
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    through = table(tmp_path / "real" / "a.csv", [str(tmp_path / "alias" / n) for n in names])
    assert list(load(through).table["image"]) == names
    straight = table(tmp_path / "real" / "b.csv", [str(tmp_path / "real" / n) for n in names])
    assert list(load(str(tmp_path / "alias" / "b.csv")).table["image"]) == names and straight


def test_paths_elsewhere_are_read_with_a_root_that_holds_them_all_and_no_other(tmp_path: Path) -> None:
    names = tree(tmp_path / "disk" / "images")
    for i, written in enumerate(
        ([str(tmp_path / "disk" / "images" / n) for n in names], [f"../images/{n}" for n in names])
    ):
        data = table(tmp_path / "disk" / "tables" / f"{i}.csv", written)
        with pytest.raises(UserError, match=r"row 2: .*outside the folder .*tables; name one .*--root FOLDER"):
            load(data)
        assert list(load(data, tmp_path / "disk" / "images").table["image"]) == names
        with pytest.raises(UserError, match="outside the folder"):
            load(data, tmp_path / "disk" / "images" / "tb")
        assert len(find_inputs(Path(data), tmp_path / "disk").names) == len(names)
        assert not find_inputs(Path(data)).names
    with pytest.raises(UserError, match="no such folder"):
        load(data, tmp_path / "none")


def test_paths_of_a_windows_machine_are_called_so(tmp_path: Path) -> None:
    for path in (r"C:\cxr\a.png", r"\\server\cxr\a.png", "D:/cxr/a.png"):
        with pytest.raises(UserError, match=r"row 2: .*a path of a Windows machine"):
            load(table(tmp_path / "w.csv", [path]))


def test_options_that_say_nothing_of_the_data_are_refused(tmp_path: Path) -> None:
    tree(tmp_path / "d")
    with pytest.raises(UserError, match="--root: does not apply to folder"):
        load(str(tmp_path / "d"), tmp_path)
    with pytest.raises(UserError, match="--follow-links: does not apply to phantom"):
        load("phantom:60", follow_links=True)
    with pytest.raises(UserError, match="--patient-folders: does not apply to manifest"):
        load(table(tmp_path / "d" / "a.csv", []), patient_folders=True)


# --------------------------------------------------------------------------------------------------------------- links
def test_links_that_lead_out_are_read_where_that_is_asked_for(tmp_path: Path) -> None:
    names = tree(tmp_path / "store" / "objects")
    data = tmp_path / "d"
    for name in names:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).symlink_to(tmp_path / "store" / "objects" / name)
    csv = table(data / "a.csv", names)
    for given in (str(data), csv):
        with pytest.raises(UserError, match=r"a symbolic link to .*objects.*outside the folder .*--follow-links"):
            load(given)
        assert len(load(given, follow_links=True)) == len(names)
    assert len(find_inputs(data, follow_links=True).names) == len(names) and not find_inputs(data).names
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(UserError, match=r"a symbolic link to .*, which is not there; fetch the images first"):
        load(csv, follow_links=True)


def test_folders_that_are_links_are_followed_once(tmp_path: Path) -> None:
    names = tree(tmp_path / "store")
    (tmp_path / "d").mkdir()
    for label in CLASSES:
        (tmp_path / "d" / label).symlink_to(tmp_path / "store" / label)
    (tmp_path / "store" / "tb" / "loop").symlink_to(tmp_path / "store")
    assert len(find_inputs(tmp_path / "d", follow_links=True).names) == len(names)
    assert len(load(str(tmp_path / "d"), follow_links=True)) == len(names)
    with pytest.raises(UserError, match="folders deep; does a symbolic link lead back"):
        load(str(tmp_path / "d"), follow_links=True, patient_folders=True)


# ------------------------------------------------------------------------------------------------------------- patients
@pytest.mark.parametrize("below", ["p{}", "p{}/study1/frontal"])
def test_folders_of_patients_are_read_where_that_is_asked_for(tmp_path: Path, below: str) -> None:
    names = tree(tmp_path / "d", below)
    with pytest.raises(UserError, match=r"no image in this folder .*folders p0, p1, p2 and 3 more.*--patient-folders"):
        load(str(tmp_path / "d"))
    dataset = load(str(tmp_path / "d"), patient_folders=True)
    assert sorted(dataset.table["image"]) == sorted(names) and set(dataset.table["patient_id"]) == {
        f"p{i}" for i in range(6)
    }
    assert not shared_patients(dataset)  # p0 is normal in one image and has tb in another: one patient, one split


def test_folders_beside_images_are_said_and_hold_patients_where_that_is_asked_for(tmp_path: Path) -> None:
    tree(tmp_path)
    tree(tmp_path, "p{}")
    plain = load(str(tmp_path))
    assert len(plain) == 12 and sum("not searched; where they are patients" in note for note in plain.notes) == 2
    asked = load(str(tmp_path), patient_folders=True)
    assert len(asked) == 24 and not any("not searched" in note for note in asked.notes)
    assert list(asked.table["patient_id"]).count("") == 12


def test_class_folders_in_two_spellings_are_one_class_and_that_is_said(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "tb").rename(tmp_path / "TB ")
    shutil.copytree(tmp_path / "TB ", tmp_path / "tb")
    dataset = load(str(tmp_path))
    assert dataset.classes == ("normal", "tb") and len(dataset) == 18
    assert any("labels written in different ways are one class, tb: 'TB ' 6, 'tb' 6" in note for note in dataset.notes)
