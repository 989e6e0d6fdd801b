"""Images that lie elsewhere, and tables as other programs write them: read if asked for, else a word why not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from al_cxr.bundles.inputs import find_inputs
from al_cxr.cli.__main__ import main
from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_data, load_for_evaluation
from al_cxr.data.quality.checks import shared_patients
from al_cxr.data.sources.named import named_source

CLASSES = ("normal", "tb")


def tree(root: Path, below: str = "", n: int = 6) -> list[str]:
    """`n` images a class, each in its class folder (or in a folder `below` it, in which {} is the image's number)."""
    names = []
    for k, label in enumerate(CLASSES):
        for i in range(n):
            name = Path(label, below.format(i), f"im{i}.png")
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), 20 * k + i, np.uint8)).save(root / name)
            names.append(name.as_posix())
    return names


def table(path: Path, names: list[str]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("path,label\n" + "".join(f"{n},{'tb' if '/tb/' in f'/{n}' else 'normal'}\n" for n in names))
    return str(path)


def load(data: str, root: Path | None = None, follow_links: bool = False, patient_folders: bool = False) -> Dataset:
    return load_data(data, root=root, follow_links=follow_links, patient_folders=patient_folders)


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
    with pytest.raises(UserError, match="--root: says nothing of folder"):
        load(str(tmp_path / "d"), tmp_path)
    with pytest.raises(UserError, match="--follow-links: says nothing of phantom"):
        load("phantom:60", follow_links=True)
    with pytest.raises(UserError, match="--patient-folders: says nothing of manifest"):
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


# --------------------------------------------------------------------------------------------------------------- tables
def rewritten(path: Path, separator: str = ",", encoding: str = "utf-8", header: str = "path,label") -> str:
    text = path.read_text().replace("path,label", header)
    path.write_bytes(text.replace(",", separator).encode(encoding))
    return str(path)


@pytest.mark.parametrize(
    ("separator", "encoding", "header"),
    [
        (";", "utf-8-sig", "path,label"),
        ("\t", "utf-16", "path,label"),
        (",", "utf-16", "Path,LABEL"),
        (",", "utf-8-sig", " Path , label\u200b "),
    ],
)
def test_tables_as_other_programs_write_them(tmp_path: Path, separator: str, encoding: str, header: str) -> None:
    names = tree(tmp_path)
    table(tmp_path / "a.csv", names)
    dataset = load(rewritten(tmp_path / "a.csv", separator, encoding, header))
    assert list(dataset.table["image"]) == names and dataset.classes == CLASSES
    assert find_inputs(tmp_path / "a.csv").names == names


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.xlsx", b"PK\x03\x04...", "a spreadsheet and no CSV; save it as CSV"),
        ("labels.csv", b"PK\x03\x04...", "a spreadsheet and no CSV; save it as CSV"),
        ("labels.xls", b"\xd0\xcf\x11\xe0...", "a spreadsheet and no CSV"),
        ("labels.ods", b"PK\x03\x04...", "a spreadsheet and no CSV"),
        ("labels.json", b'[{"path": "a"}]', "JSON and no CSV"),
        ("labels.parquet", b"PAR1", "a Parquet file and no CSV"),
        ("labels.csv", "path,label\n\u00e9.png,a\n".encode("cp1252"), "not UTF-8 text; save it as CSV"),
        ("labels.csv", "path,label\na.png,a\n".encode("utf-16-le"), "UTF-16 without its mark"),
        (
            "labels.csv",
            b"Image Index,Finding Labels\na.png,Mass\n",
            "rename 'image_index' to path; rename",
        ),
        ("set.zip", b"PK\x03\x04", "an archive and not a folder; unpack it"),
        ("pneumoniamnist.npz", b"PK\x03\x04", "medmnist:FLAG@FOLDER"),
    ],
)
def test_what_is_no_table_is_said_with_what_to_do(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(str(tmp_path / name))


@pytest.mark.parametrize(
    ("header", "message"),
    [("PatientID", "rename it to patient_id"), ("subset", "rename it to split"), ("Gender", "rename it to sex")],
)
def test_a_column_that_may_have_been_meant_and_is_not_used_is_said(tmp_path: Path, header: str, message: str) -> None:
    names = tree(tmp_path)
    data = table(tmp_path / "a.csv", names)
    Path(data).write_text(
        "\n".join(f"{line},{'x' if i else header}" for i, line in enumerate(Path(data).read_text().split()))
    )
    assert any(f"the column {header.lower()!r} is not used" in n and message in n for n in load(data).notes)


def test_patients_in_other_spellings_are_one_for_the_splits_made_here(tmp_path: Path) -> None:
    names = tree(tmp_path)
    ids = [("{:05d}", "{}")[i // 6].format(i % 6) for i in range(12)]
    (tmp_path / "a.csv").write_text(
        "path,label,patient_id\n" + "".join(f"{n},{n[:2]},{p}\n" for n, p in zip(names, ids, strict=True))
    )
    dataset = load(str(tmp_path / "a.csv"))
    assert not shared_patients(dataset) and set(dataset.table["patient_id"]) == set("012345")
    assert any("6 patients are written in more than one way" in note for note in dataset.notes)


def test_evaluation_reads_labels_in_the_spelling_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label\n" + "".join(f"{n},{i % 2}.0\n" for i, n in enumerate(tree(tmp_path))))
    dataset = load_for_evaluation(named_source(str(tmp_path / "a.csv")), ["1", "0"])
    assert dataset.classes == ("1", "0") and dataset.labels_N.tolist() == [1, 0] * 6
    assert any("the label '0.0' is called 0" in note for note in dataset.notes)


def test_the_page_of_an_audit_is_not_overwritten_by_that_of_another_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("a", "b"):
        tree(tmp_path / place / "images")

    def audit(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["al-cxr", "data", "audit", *words])
        return main(["data", "audit", *words])

    assert audit("a/images", "--out", "o") == 0 and audit("./a/images/", "--out", "o") == 0
    capsys.readouterr()
    assert audit("b/images", "--out", "o") == 2
    assert "holds the page of another data set (a/images), and is not overwritten" in capsys.readouterr().err
    assert audit("b/images", "--out", "other") == 0
