"""An archive may move, grow and lose files: an image is its content."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from labelling_projects import begun, prepared, truth, write_archive
from PIL import Image

from al_cxr.api.labelling import LabellingProject
from al_cxr.core.errors import UserError
from al_cxr.labelling.answers import Answer
from al_cxr.labelling.archive import Archive
from al_cxr.labelling.settings import ArchiveSettings


def test_images_join_leave_and_come_back_with_their_answers(tmp_path: Path) -> None:
    files = write_archive(tmp_path / "a", 8)
    project = begun(tmp_path, archive=tmp_path / "a")
    asked = project.ask(8, "ann")
    project.tell_all([Answer(one.question, truth(one)) for one in asked], "ann")
    labels = project.journal.state.labels()
    files[2].rename(tmp_path / "gone.png")
    write_archive(tmp_path / "a", 2, first=50)
    scan = project.scan()
    assert (scan.images, scan.joined, len(scan.gone), scan.back) == (9, 2, 1, 0)
    assert scan.gone[0].name == "002.png" and project.archive.present_N.tolist() == [True] * 2 + [False] + [True] * 7
    (tmp_path / "a/new").mkdir()
    (tmp_path / "gone.png").rename(tmp_path / "a/new/other name.png")
    scan = project.scan()
    assert (scan.images, scan.joined, len(scan.gone), scan.back) == (10, 0, 0, 1)
    assert project.archive.images[2].name == "new/other name.png"
    assert project.journal.state.labels() == labels and len(labels) == 8
    files[0].rename(tmp_path / "a/renamed.png")
    assert (project.scan().joined, project.archive.images[0].name) == (0, "renamed.png")


def test_an_archive_that_moved_is_the_same(tmp_path: Path) -> None:
    write_archive(tmp_path / "a", 5)
    project = begun(tmp_path, archive=tmp_path / "a")
    (asked,) = project.ask(1, "ann")
    project.close()
    shutil.move(tmp_path / "a", tmp_path / "b")
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        LabellingProject.open(tmp_path / "project", tmp_path / "nowhere")
    project = LabellingProject.open(tmp_path / "project", tmp_path / "b")
    scan = project.scan()
    assert (scan.images, scan.joined, len(scan.gone)) == (5, 0, 0)
    assert project.path(asked.question) == tmp_path / "b" / asked.name


def test_files_that_did_not_change_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_archive(tmp_path / "a", 5)
    project = begun(tmp_path, archive=tmp_path / "a")
    write_archive(tmp_path / "a", 1, first=9)
    read: list[str] = []
    whole = "al_cxr.labelling.places.Files.content_hash"
    monkeypatch.setattr(whole, lambda place, name: read.append(name) or "f" * 64)
    assert project.scan().joined == 1 and read == ["009.png"]


def test_copies_are_one_image_and_what_is_none_is_said(tmp_path: Path) -> None:
    files = write_archive(tmp_path / "a", 3)
    shutil.copy(files[0], tmp_path / "a/copy.png")
    (tmp_path / "a/notes.txt").write_text("x")
    scan = Archive(ArchiveSettings(source=str(tmp_path / "a"))).scan()
    assert (scan.images, scan.copies, scan.others) == (3, 1, 1)


def test_an_image_that_cannot_be_decoded_is_not_asked_for_once_that_is_known(tmp_path: Path) -> None:
    write_archive(tmp_path / "a", 5)
    (tmp_path / "a/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no image")
    project = prepared(begun(tmp_path, archive=tmp_path / "a"))
    (why,) = project.chooser.features.unreadable.values()
    assert "broken" not in why and why
    assert len(project.ask(9, "ann")) == 5


def test_another_content_under_the_same_name_is_refused(tmp_path: Path) -> None:
    files = write_archive(tmp_path / "a", 3)
    project = begun(tmp_path, archive=tmp_path / "a")
    (asked,) = project.ask(1, "ann")
    Image.new("L", (40, 40), 7).save(tmp_path / "a" / asked.name)
    with pytest.raises(UserError, match="has another content than when the archive was scanned"):
        project.read(asked.question, 32)
    assert len(files) == 3


def test_patients_come_from_a_csv_or_from_folders(tmp_path: Path) -> None:
    for name in ("p1", "p2"):
        write_archive(tmp_path / "a" / name, 2, first=10 * (name == "p2"))
    archive = Archive(ArchiveSettings(source=str(tmp_path / "a"), patient_folders=True))
    assert archive.scan().patients == 2
    table = tmp_path / "list.csv"
    table.write_text("path;patient_id\na/p1/000.png;x\na/p2/010.png;y\na/p2/011.png;y\n")
    scan = Archive(ArchiveSettings(source=str(table))).scan()
    assert (scan.images, scan.patients) == (3, 2)


def test_an_empty_archive_begins_no_project(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="no image in it"):
        begun(tmp_path, archive=tmp_path / "a")
    assert not (tmp_path / "project").exists()
