"""Labels, patients and paths that may not be what they seem: each is understood, warned of or refused with a remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from al_cxr.config import DataSettings
from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_first, load_for_evaluation
from al_cxr.data.sources.cells import read_cells
from al_cxr.data.sources.named import named_source
from al_cxr.data.spelling import patient_key, spell


def spelt(column: str, *cells: str) -> tuple[list[str], str]:
    columns, notes = spell({column: list(cells)}, lambda i: f"t.csv: row {i + 2}")
    return columns[column], "\n".join(notes)


@pytest.mark.parametrize(
    "label", ["pneumonia, effusion", "pneumonia/effusion", "pneumonia + effusion", "mass and nodule"]
)
def test_a_class_that_reads_like_several_findings_is_warned_of_though_none_stands_alone(label: str) -> None:
    labels, notes = spelt("label", label, "normal")
    assert labels == [label, "normal"] and f"the class {label!r} (1 images) may be several findings" in notes


@pytest.mark.parametrize("label", ["pneumonia\\effusion", "pneumonia effusion"])
def test_findings_put_side_by_side_are_refused(label: str) -> None:
    with pytest.raises(UserError, match=r"row 2: .* is several findings \(pneumonia, effusion\)"):
        spelt("label", label, "pneumonia", "effusion")


def test_a_list_of_one_label_is_that_label_and_an_empty_list_is_none() -> None:
    assert spelt("label", "['Effusion']", '["normal"]', "[mass]")[0] == ["effusion", "normal", "mass"]
    with pytest.raises(UserError, match=r"row 2: label is \[\]; write a class"):
        spelt("label", "[]", "normal")


@pytest.mark.parametrize(("a", "b"), [("true", "1"), ("no", "0"), ("tb", "tuberculosis"), ("normal", "no finding")])
def test_two_classes_that_may_mean_the_same_are_warned_of(a: str, b: str) -> None:
    labels, notes = spelt("label", a, b)
    assert labels == [a, b] and "may mean the same: if they are one, write it in one way" in notes
    assert "may mean" not in spelt("label", "normal", "tuberculosis", "1", "no")[1]


@pytest.mark.parametrize("label", ["uncertain", "Not sure", "-1", "unlabelled", "unknown"])
def test_a_label_that_says_that_nobody_knows_is_asked_about(label: str) -> None:
    assert "taken for a class: is it one?" in spelt("label", label, "normal")[1]


@pytest.mark.parametrize(
    "text", ["N/A", "n.a.", "#N/A", "#VALUE!", "??", "XXXX", "not available", "Patient unknown", "anon.", "ANONYMOUS^"]
)
def test_whatever_stands_for_an_unknown_patient_makes_no_patient(text: str) -> None:
    ids, notes = spelt("patient_id", text, "7", text)
    assert ids == ["", "7", ""] and "2 images are of unknown patients" in notes


def test_hyphens_between_letters_and_number_of_a_patient_change_nothing_but_those_between_numbers_do() -> None:
    assert {patient_key(text) for text in ("P-007", "P_7", "p 7", "P7")} == {"p7"}
    assert len({patient_key(text) for text in ("1-12", "11-2", "112", "site-1-2", "site-12")}) == 5


# --------------------------------------------------------------------------------------------------------- the table
@pytest.mark.parametrize(
    "text", ["sep=;\r\npath;label\r\na.png;x\r\n", "path|label\na.png|x\n", "SEP=|\npath|label\na.png|x\n"]
)
def test_tables_with_bars_or_the_line_that_excel_puts_first_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text, newline="")
    header, rows = read_cells(tmp_path / "t.csv")
    assert header == ["path", "label"] and [cells for _, cells in rows] == [["a.png", "x"]]
    assert rows[0][0] == (3 if text.lower().startswith("sep") else 2)


def load(folder: Path, *paths: str) -> Dataset:
    for k, name in enumerate(("a.png", "b.png")):
        Image.fromarray(np.full((8, 8), 40 * k, np.uint8)).save(folder / name)
    (folder / "t.csv").write_text("path,label\n" + "".join(f"{p},{'xy'[k % 2]}\n" for k, p in enumerate(paths)))
    return load_first(DataSettings(sources=[named_source(str(folder / "t.csv"))]))


@pytest.mark.parametrize("path", ["a", "A.PNG", "a.jpg"])
def test_a_path_that_differs_in_case_or_ending_alone_is_told_the_file_that_is_there(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match=r"row 2: no file .*; a.png is there: write names as they are on the disk"):
        load(tmp_path, path, "b.png")


@pytest.mark.parametrize("path", ["file:///data/a.png", "https://host/a.png", "s3://bucket/a.png"])
def test_an_address_is_no_path_and_that_is_said(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match=f"row 2: {path}: an address and no path; fetch the images first"):
        load(tmp_path, path, "b.png")


def test_a_path_may_begin_at_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="split"):  # two images have no three splits: the paths were found
        load(tmp_path, "~/a.png", "b.png")


def test_a_label_that_a_model_does_not_know_is_counted_and_the_class_that_is_meant_is_named(tmp_path: Path) -> None:
    load_error = r"is labelled 'tb' \(2 of 3 images are\), .* did you mean 'tuberculosis'\?; write a class of the model"
    for k in range(3):
        Image.fromarray(np.full((8, 8), k, np.uint8)).save(tmp_path / f"{k}.png")
    (tmp_path / "t.csv").write_text("path,label\n0.png,normal\n1.png,TB\n2.png,tb\n")
    with pytest.raises(UserError, match=load_error):
        load_for_evaluation(named_source(str(tmp_path / "t.csv")), ["normal", "tuberculosis"])
