"""Exports say of every label who gave it and how its image was chosen, can be read by others, and are taken back."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from reading import CLASSES, after, at, begun, found, image, readers, says, served, settings

from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.labelling.events import Event
from al_cxr.labelling.export import METADATA, TABLES, export_imagefolder, export_tables
from al_cxr.labelling.importing import imported, read_labels
from al_cxr.labelling.rows import answer_table, dropped_table, label_table
from al_cxr.labelling.state import State

HEAD = (42, "abc")


@pytest.fixture
def state() -> State:
    """Image 0: two readers agree. 1: they disagree and a third decides. 2: one reader, corrected. 3: unreadable.
    4: unsure. 5: two disagree. 6: skipped. 7: never asked. 8: labelled by chance of the audit, and repeated."""
    state = begun(9)
    told: list[tuple[int, str, str, str, str | None]] = [
        (0, "ann", "audit", "answered", "normal"),
        (0, "ben", "second", "answered", "normal"),
        (1, "ann", "audit", "answered", "normal"),
        (1, "ben", "second", "answered", "tuberculosis"),
        (1, "cem", "adjudication", "adjudicated", "tuberculosis"),
        (2, "ann", "acquisition", "answered", "normal"),
        (3, "ann", "acquisition", "unreadable", None),
        (4, "ann", "acquisition", "unsure", None),
        (5, "ann", "audit", "answered", "normal"),
        (5, "ben", "second", "answered", "tuberculosis"),
        (6, "ann", "acquisition", "skipped", None),
        (8, "ann", "audit", "answered", "normal"),
        (8, "ann", "repeat", "answered", "tuberculosis"),
    ]
    for n, (number, reader, stream, kind, label) in enumerate(told):
        after(state, served(number, reader, f"question-{n}", stream, n))
        after(state, says(state, f"question-{n}", kind, label, n + 0.5))
    after(state, says(state, "question-5", label="tuberculosis", seconds=60))
    comment = {"text": "=old\nscar"}
    after(
        state, Event(kind="commented", time=at(61), reader="ann", image=image(2), question="question-5", detail=comment)
    )
    return state


def test_every_label_says_who_gave_it_and_how_its_image_was_chosen(state: State) -> None:
    table = label_table(state).set_index("path")
    assert table["label"].to_dict() == {
        "0.png": "normal",
        "1.png": "tuberculosis",
        "2.png": "tuberculosis",
        "8.png": "normal",
    }
    assert table["readers"].to_dict() == {"0.png": "ann; ben", "1.png": "ann; ben", "2.png": "ann", "8.png": "ann"}
    assert table["votes"].tolist() == [2, 2, 1, 1] and table["agreeing"].tolist() == [2, 1, 1, 1]
    assert table["adjudicated"].tolist() == [0, 1, 0, 0] and table["q"].tolist() == [0.25] * 4
    assert table["stream"].tolist() == ["audit", "audit", "acquisition", "audit"]
    assert table.loc["2.png", "time"] == "2026-03-02T08:01:00Z" and table.loc["2.png", "seconds"] == 60
    assert table.loc["1.png", "seconds"] == 2.5 + 3.5 + 4.5


def test_every_answer_has_a_row_and_says_whether_it_counts(state: State) -> None:
    table = answer_table(state)
    assert len(table) == 13
    assert table.loc[table["counts"] == 0, "stream"].tolist() == ["adjudication", "acquisition", "repeat"]
    assert table.loc[5, ["answer", "label", "comment"]].tolist() == ["answered", "tuberculosis", "'=old scar"]
    assert dropped_table(state)[["path", "reason", "readers"]].to_numpy().tolist() == [["3.png", "unreadable", "ann"]]


def test_an_empty_project_has_empty_tables_with_all_columns(tmp_path: Path) -> None:
    export_tables(begun(3), HEAD, tmp_path / "out", "pilot")
    for name, (columns, _) in TABLES.items():
        table = pd.read_csv(tmp_path / "out" / name)
        assert len(table) == 0 and list(table) == [column.name for column in columns]


def test_the_datasheet_says_what_was_read_and_what_is_not_known(state: State, tmp_path: Path) -> None:
    files = export_tables(state, HEAD, tmp_path / "out", "pilot")
    assert [file.name for file in files] == ["labels.csv", "answers.csv", "dropped.csv", "README.md"]
    text = files[-1].read_text()
    for line in [
        "# Labels of pilot",
        "4 of 9 images have a label.",
        "| normal | 2 |",
        "| no label: unreadable | 1 |",
        "| no label: readers are unsure | 1 |",
        "| no label: readers disagree | 1 |",
        "| not read yet | 2 |",
        "| ann | 8 | 8.0 |",
        "Of the audit's images 3 were read by two or more; on 1 of these all agree.",
        "A third reader decided on 1 labels.",
        "up to event 42, whose hash is `abc`",
        "| agreeing | of these, those who gave this label |",
    ]:
        assert line in text, line


def test_an_export_is_written_anew_and_never_over_another_file(state: State, tmp_path: Path) -> None:
    export_tables(state, HEAD, tmp_path / "out", "pilot")
    after(state, served(7, "ann", "question-99"))
    after(state, says(state, "question-99", label="normal"))
    export_tables(state, HEAD, tmp_path / "out", "pilot")
    assert len(pd.read_csv(tmp_path / "out/labels.csv")) == 5
    (tmp_path / "out/labels.csv").write_text("mine")
    with pytest.raises(UserError, match=r"labels\.csv: is there already, and is not what al-cxr wrote"):
        export_tables(state, HEAD, tmp_path / "out", "pilot")
    assert (tmp_path / "out/labels.csv").read_text() == "mine"


def archive(folder: Path, state: State) -> Path:
    folder.mkdir()
    for name, known in state.images.items():
        (folder / str(known.detail["name"])).write_bytes(name.encode())
    return folder


def test_an_image_folder_has_the_files_by_class_and_says_nothing_of_their_names(state: State, tmp_path: Path) -> None:
    root = archive(tmp_path / "archive", state)
    out = tmp_path / "out"
    export_imagefolder(state, HEAD, out, "pilot", lambda name: root / str(state.images[name].detail["name"]))
    table = pd.read_csv(out / "metadata.csv", dtype=str)
    assert list(table) == [column.name for column in METADATA]
    for row in table.itertuples():
        assert (out / str(row.file_name)).read_bytes() == str(row.image_hash).encode()
        assert row.file_name == f"{row.label}/{row.image_hash}.png"
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "metadata.csv", "normal", "tuberculosis"]
    with pytest.raises(UserError, match="is there already; name a new folder"):
        export_imagefolder(state, HEAD, out, "pilot", lambda name: root / name)


def test_an_image_folder_that_cannot_be_finished_is_not_there(state: State, tmp_path: Path) -> None:
    root = archive(tmp_path / "archive", state)

    def file_of(name: str) -> Path:
        if name == image(8):
            raise UserError("8.png: is not in the archive any more")
        return root / str(state.images[name].detail["name"])

    with pytest.raises(UserError, match=r"8\.png: is not in the archive any more"):
        export_imagefolder(state, HEAD, tmp_path / "out", "pilot", file_of)
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match="cannot be written"):
        export_imagefolder(state, HEAD, tmp_path / "file/out", "pilot", lambda name: root / f"{int(name, 16)}.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive", "file"]
    odd = after(State(), settings(classes=["a/b", "c"]), *found(1), *readers(), served(0, "ann", "question-0"))
    after(odd, says(odd, "question-0", label="a/b"))
    with pytest.raises(UserError, match="class 'a/b': no folder can be called so"):
        export_imagefolder(odd, HEAD, tmp_path / "out", "pilot", lambda name: root / "0.png")


# ------------------------------------------------------------------------------------------------------------- import
def test_an_export_is_imported_into_another_project_once(state: State, tmp_path: Path) -> None:
    export_tables(state, HEAD, tmp_path / "out", "pilot")
    other = begun(9)
    labels = read_labels(tmp_path / "out/labels.csv", other)
    assert labels == state.labels()
    after(other, *imported(labels, other, "pilot", at(1)))
    assert other.labels() == state.labels()
    assert list(imported(labels, other, "pilot", at(2))) == [], "the same file again changes nothing"
    (change,) = imported({image(0): "tuberculosis"}, other, "pilot", at(3))
    assert after(other, change).labels()[image(0)] == "tuberculosis"
    assert set(label_table(other)["stream"]) == {"imported"}


def table_of(text: str, folder: Path) -> Path:
    file = folder / "labels.csv"
    file.write_text(text)
    return file


def test_a_table_of_ones_own_is_read_by_path(tmp_path: Path) -> None:
    file = table_of("Path;Label\n1.png;Normal\n2.png;\n3.png; TUBERCULOSIS\n", tmp_path)
    assert read_labels(file, begun(4)) == {image(1): "normal", image(3): "tuberculosis"}


def test_wrong_rows_are_named_and_nothing_is_taken(tmp_path: Path) -> None:
    text = "path,label\n1.png,normal\n9.png,normal\n2.png,pneumonia\n1.png,tuberculosis\n"
    with pytest.raises(UserError) as error:
        read_labels(table_of(text, tmp_path), begun(4))
    lines = str(error.value).splitlines()
    assert [line.partition("labels.csv, ")[2] for line in lines[:3]] == [
        "row 3: path '9.png' is not in the archive of this project",
        "row 4: label: no class 'pneumonia'; known: normal, tuberculosis",
        "row 5: path '1.png' is normal in another row and tuberculosis here",
    ]
    assert lines[3] == "nothing was taken; correct the file and import it again"
    with pytest.raises(UserError, match="needs a column label, and image_hash or path; it has path, finding"):
        read_labels(table_of("path,finding\n1.png,normal\n", tmp_path), begun(4))


def test_the_tables_are_plain_csv(state: State, tmp_path: Path) -> None:
    export_tables(state, HEAD, tmp_path / "out", "pilot")
    data = (tmp_path / "out/answers.csv").read_bytes()
    assert b"\r" not in data
    assert pd.read_csv(io.BytesIO(data))["label"].dropna().isin(CLASSES).all()
