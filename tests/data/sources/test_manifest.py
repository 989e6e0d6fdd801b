"""A CSV of paths and labels: every row read right, or named as wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from source_files import GOOD, HEADER, complete, counts, picture, table

from al_cxr.core.errors import UserError
from al_cxr.data.dataset import SPLITS, Dataset
from al_cxr.data.quality import checks
from al_cxr.data.sources import cells
from al_cxr.data.sources.manifest import ManifestSource


def test_manifest(tmp_path: Path) -> None:
    dataset = complete(table(tmp_path, *GOOD, encoding="utf-8-sig"))
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
    dataset = complete(table(tmp_path, "", *rows, ",,,,,", "", header=HEADER.replace("label", " Label")))
    assert counts(dataset) == {split: [1, 1] for split in SPLITS} and dataset.images.name(0) == "00.png"
    picture(tmp_path / "images" / "é, ü.png")
    assert complete(table(tmp_path, '"images\\é, ü.png",a,train,,,', *GOOD)).images.name(0) == "images/é, ü.png"


def test_manifest_with_a_root_of_its_own(tmp_path: Path) -> None:
    table(tmp_path / "images", *GOOD)
    (tmp_path / "images" / "set.csv").rename(tmp_path / "set.csv")
    source = ManifestSource(kind="manifest", path=str(tmp_path / "set.csv"), root=str(tmp_path / "images"))
    assert len(complete(source)) == 6
    with pytest.raises(UserError, match=r"nowhere: no such folder \(the root of the manifest"):
        complete(source.model_copy(update={"root": str(tmp_path / "nowhere")}))


def test_manifest_without_splits_keeps_patients_together(tmp_path: Path) -> None:
    rows = [f"{i:02d}.png,{'ab'[i // 10]},p{i // 2}" for i in range(20)]
    dataset = complete(table(tmp_path, *rows, header="path,label,patient_id"))
    assert counts(dataset) == {"train": [6, 6], "val": [2, 2], "test": [2, 2]}
    assert checks.shared_patients(dataset) == {} and "by patient, stratified" in dataset.notes[0]
    turned = complete(table(tmp_path, *rows[::-1], header="path,label,patient_id"))
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
        complete(source)


def test_rows_are_counted_as_in_a_spreadsheet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"set\.csv: row 10: label is empty"):
        complete(table(tmp_path, *GOOD[:5], "", '05.png,b,test,"two\nlines",,', ",,,,,", "07.png,,test,,,"))


def test_missing_files_are_counted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 8: no file x\.png .*\(and 2 more of 9\)"):
        complete(table(tmp_path, *GOOD, "x.png,a,train,,,", "y.png,a,train,,,", "z.png,a,train,,,"))


def test_manifest_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*rows: str, header: str = HEADER) -> Dataset:
        return complete(table(tmp_path, *rows, header=header))

    with pytest.raises(UserError, match=r"gone\.csv: no such file"):
        complete(ManifestSource(kind="manifest", path=str(tmp_path / "gone.csv"), root=None))
    with pytest.raises(UserError, match="no column label; it has path, finding"):
        load("00.png,a", header="path,finding")
    with pytest.raises(UserError, match="two columns are called 'label'"):
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
        complete(source)
    monkeypatch.setattr(cells, "MAX_BYTES", 10)
    with pytest.raises(UserError, match="larger than"):
        complete(source)
