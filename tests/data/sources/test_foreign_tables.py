"""Tables as other programs write them: read if their meaning is plain, else a word why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from class_folders import CLASSES, load, table, tree

from al_cxr.bundles.inputs import find_inputs
from al_cxr.cli.__main__ import main
from al_cxr.core.errors import UserError
from al_cxr.data.load import load_for_evaluation
from al_cxr.data.quality.checks import shared_patients
from al_cxr.data.sources.named import named_source


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
        ("labels.xlsx", b"PK\x03\x04...", "a spreadsheet, not a CSV; save it as CSV"),
        ("labels.csv", b"PK\x03\x04...", "a spreadsheet, not a CSV; save it as CSV"),
        ("labels.xls", b"\xd0\xcf\x11\xe0...", "a spreadsheet, not a CSV"),
        ("labels.ods", b"PK\x03\x04...", "a spreadsheet, not a CSV"),
        ("labels.json", b'[{"path": "a"}]', "JSON, not a CSV"),
        ("labels.parquet", b"PAR1", "a Parquet file, not a CSV"),
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
