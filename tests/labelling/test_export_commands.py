"""Labels leave a project and come into another one by commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from labelling_projects import begun, truth, write_archive

from al_cxr.cli.__main__ import main
from al_cxr.data.dataset import Dataset
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.sources.manifest import ManifestSource

Said = Callable[[], str]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """In a folder with the project `project` of which eight images were read: what was printed since the last call."""
    monkeypatch.chdir(tmp_path)
    write_archive(Path("archive"), 20)
    project = begun(tmp_path, archive=tmp_path / "archive")
    for asked in project.ask(8, "ann"):
        project.tell(asked.question, truth(asked), "ann", 4000)
    project.close()
    return lambda: "".join(capsys.readouterr())


def by_name(data: Dataset) -> dict[str, str]:
    return {data.images.name(i): data.classes[label] for i, label in enumerate(data.labels_N.tolist())}


def test_exported_labels_are_data_for_al_cxr(said: Said) -> None:
    assert main(["label", "export", "project"]) == 0
    assert "exported  8 labels into project-labels: labels.csv, answers.csv, dropped.csv, README.md" in said()
    table = pd.read_csv("project-labels/labels.csv")
    assert len(table) == 8 and (table["readers"] == "ann").all() and (table["seconds"] == 4).all()
    assert table["q"].between(0, 1, inclusive="right").all()
    data = ManifestSource(path="project-labels/labels.csv", root="archive").read()
    assert by_name(data) == dict(zip(table["path"], table["label"], strict=True))


def test_an_image_folder_is_data_for_al_cxr_and_is_not_overwritten(said: Said) -> None:
    assert main(["label", "export", "project", "--to", "imagefolder", "--out", "images"]) == 0
    assert "exported  8 labels into images: metadata.csv, README.md" in said()
    table = pd.read_csv("images/metadata.csv")
    data = FolderSource(path="images").read()
    assert by_name(data) == dict(zip(table["file_name"], table["label"], strict=True))
    assert main(["label", "export", "project", "--to", "imagefolder", "--out", "images"]) == 2
    assert "images: is there already; name a new folder, or delete it" in said()


def test_labels_are_imported_once_and_corrected(said: Said, tmp_path: Path) -> None:
    main(["label", "export", "project"])
    begun(tmp_path / "other", archive=tmp_path / "archive").close()
    said()
    assert main(["label", "import", "other/project", "project-labels/labels.csv"]) == 0
    assert "imported  8 new labels, under the name imported\nnote      nobody is asked" in said()
    assert main(["label", "import", "other/project", "project-labels/labels.csv"]) == 0
    assert said() == "imported  0 new labels · 8 that were known, under the name imported\n"
    table = pd.read_csv("project-labels/labels.csv")
    table.loc[0, "label"] = "normal" if table.loc[0, "label"] != "normal" else "pneumonia"
    table.to_csv("corrected.csv", index=False)
    assert main(["label", "import", "other/project", "corrected.csv"]) == 0
    assert "0 new labels · 1 changed · 7 that were known" in said()
    assert main(["label", "export", "other/project", "--out", "again"]) == 0
    again = pd.read_csv("again/labels.csv")
    assert dict(zip(again["path"], again["label"], strict=True)) == dict(
        zip(table["path"], table["label"], strict=True)
    )


def test_a_wrong_table_is_refused_whole(said: Said) -> None:
    Path("mine.csv").write_text("path,label\n000.png,normal\n999.png,normal\n")
    assert main(["label", "import", "project", "mine.csv"]) == 2
    assert "mine.csv, row 3: path '999.png' is not in the archive of this project\nnothing was taken" in said()
    assert main(["label", "import", "nowhere", "mine.csv"]) == 2 and main(["label", "export", "nowhere"]) == 2
    assert said().count("nowhere: no such folder") == 2
