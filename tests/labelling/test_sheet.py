"""Questions and answers as files, and the commands that write and take them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from labelling_projects import CLASSES, write_archive

from al_cxr.api.labelling import LabellingProject
from al_cxr.cli.__main__ import main

TINY = ["network.arch=backbone", "network.options.name=test_resnet", "network.image_size=32", "machine.threads=1"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AL_CXR_CACHE", str(tmp_path / "cache"))


def start(*more: str) -> list[str]:
    options = [part for text in TINY for part in ("--set", text)]
    return ["label", "start", "a", "p", "--classes", ",".join(CLASSES), *options, *more]


def rows_of(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as f:
        return list(csv.DictReader(f))


def fill(file: Path, words: list[str], out: Path = Path("answers.csv")) -> Path:
    """The file of questions with labels."""
    rows = rows_of(file)
    with open(out, "w", newline="") as f:
        table = csv.DictWriter(f, rows[0])
        table.writeheader()
        table.writerows(row | {"label": word} for row, word in zip(rows, words, strict=True))
    return out


def test_an_archive_is_read_by_file_without_a_word_of_why(capsys: pytest.CaptureFixture[str]) -> None:
    write_archive(Path("a"), 20)
    assert main(start()) == 0
    said = capsys.readouterr().out
    assert "archive   " in said and "20 images, patients unknown" in said and "no model learns from them" in said
    assert main(["label", "ask", "p", "-n", "8", "--reader", "ann"]) == 0
    rows = rows_of(Path("next.csv"))
    assert len(rows) == 8 and list(rows[0]) == ["question", "file", "label", "comment"]
    assert all(Path(row["file"]).is_file() and not row["label"] and not row["comment"] for row in rows)
    before = Path("next.csv").read_bytes()
    assert main(["label", "ask", "p", "-n", "8", "--reader", "ann"]) == 0
    assert Path("next.csv").read_bytes() == before, "open questions come again"
    fill(Path("next.csv"), ["normal", "Tuberculosis", "unsure", "skip", "unreadable", "not frontal", "", "pneumonia"])
    capsys.readouterr()
    assert main(["label", "tell", "p", "answers.csv", "--reader", "ann"]) == 0
    assert "7 new answers of ann · 1 rows without a label stay open" in capsys.readouterr().out
    assert main(["label", "tell", "p", "answers.csv", "--reader", "ann"]) == 0
    assert "0 new answers of ann · 7 that were known" in capsys.readouterr().out
    state = LabellingProject.open("p").journal.state
    assert sorted(state.labels().values()) == ["normal", "pneumonia", "tuberculosis"]
    assert sorted(state.dropped().values()) == ["not_frontal_chest", "unreadable"]
    assert main(["label", "undo", "p", "--reader", "ann"]) == 0
    assert main(["label", "scan", "p"]) == 0 and main(["label", "verify", "p"]) == 0
    assert "complete and unchanged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("label", "tubercolosis"), "answers.csv, row 3: no class 'tubercolosis'; did you mean 'tuberculosis'?"),
        (("question", "0123456789abcdef"), "answers.csv, row 3: no question 0123456789abcdef was asked"),
        (("question", "FIRST"), "is answered twice, 'normal' and 'pneumonia'"),
        (("seconds", "-3"), "answers.csv, row 3: -3 seconds for one image cannot be"),
    ],
)
def test_a_wrong_row_is_named_and_nothing_of_the_file_is_taken(
    edit: tuple[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_archive(Path("a"), 6)
    assert main(start("--questions-only")) == 0 and main(["label", "ask", "p", "-n", "2"]) == 0
    rows = rows_of(Path("next.csv"))
    labelled = [rows[0] | {"label": "normal", "seconds": "1.5"}, rows[1] | {"label": "pneumonia", "seconds": "2"}]
    labelled[1][edit[0]] = rows[0]["question"] if edit[1] == "FIRST" else edit[1]
    with open("answers.csv", "w", newline="") as f:
        table = csv.DictWriter(f, labelled[0])
        table.writeheader()
        table.writerows(labelled)
    capsys.readouterr()
    assert main(["label", "tell", "p", "answers.csv"]) == 2
    assert says in capsys.readouterr().err
    assert not LabellingProject.open("p").journal.state.labels()


def test_another_readers_file_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_archive(Path("a"), 6)
    assert main(start("--questions-only")) == 0 and main(["label", "ask", "p", "-n", "2", "--reader", "ann"]) == 0
    fill(Path("next.csv"), ["normal", "normal"])
    assert main(["label", "tell", "p", "answers.csv", "--reader", "bob"]) == 2
    assert "was asked of ann, not of bob" in capsys.readouterr().err


def test_a_file_with_labels_is_never_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    write_archive(Path("a"), 6)
    assert main(start("--questions-only")) == 0 and main(["label", "ask", "p", "-n", "2"]) == 0
    fill(Path("next.csv"), ["normal", ""], Path("filled.csv"))
    held = Path("filled.csv").read_bytes()
    assert main(["label", "ask", "p", "-n", "4", "--out", "filled.csv"]) == 2
    assert "filled.csv: holds 1 labels; `al-cxr label tell` takes them" in capsys.readouterr().err
    assert Path("filled.csv").read_bytes() == held


def test_images_are_copied_under_names_that_say_nothing() -> None:
    write_archive(Path("a/tuberculosis"), 5)
    assert main(start("--questions-only")) == 0
    assert main(["label", "ask", "p", "-n", "3", "--copies", "out"]) == 0
    rows = rows_of(Path("next.csv"))
    for row in rows:
        assert row["file"] == f"out/{row['question']}.png" and Path(row["file"]).is_file()
    assert "tuberculosis" not in Path("next.csv").read_text()


def test_an_archive_of_one_patient_is_said_to_be_too_small(capsys: pytest.CaptureFixture[str]) -> None:
    write_archive(Path("a"), 1)
    assert main(start("--questions-only")) == 0
    said = capsys.readouterr().out
    assert "warning   there is nothing to " in said and "an archive of more patients is needed" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["label", "ask", "nowhere"], "nowhere: no such folder; `al-cxr label start ARCHIVE nowhere --classes A,B`"),
        (["label", "start", "a", "q", "--classes", "normal"], "--classes normal: name two or more with commas"),
        (["label", "start", "b", "q", "--classes", "x,y"], "b: no such file or folder"),
        (["label", "start", "a", "q", "--classes", "x,y", "--target", "z"], "target 'z' is no class"),
        (["label", "start", "a", "q", "--classes", "x,y", "--goal", "recall=1"], "goal.figure: must be one of"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_archive(Path("a"), 3)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error and not Path("q").exists()
