"""No command overwrites a file that it did not write, or that it reads."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from al_cxr.core.errors import UserError
from al_cxr.core.outputs import WRITTEN, must_be_free, must_be_ours, write_files
from al_cxr.report.kit import figures
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.origin import LIMITS


def page(folder: Path, value: int = 1) -> Page:
    made = Page(folder, "Title")
    made.add(LIMITS)
    made.table(Table("t", "T", pd.DataFrame({"a": [value]}), (Column("a", "a", "count"),)))
    made.listing("All settings", Path("settings.yaml"), "a: 1\n")
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_page_is_written_again_over_itself_and_lists_its_files(tmp_path: Path) -> None:
    page(tmp_path).write()
    page(tmp_path, 2).write()
    files = contents(tmp_path)
    lines = files.pop(WRITTEN).decode().splitlines()
    assert lines == [f"{hashlib.sha256(files[name]).hexdigest()}  {name}" for name in sorted(files)]
    assert b"| 2 |" in files["tables/t.md"] or b"2" in files["tables/t.csv"]


@pytest.mark.parametrize("name", ["README.md", "report.html", "tables/t.csv", "settings.yaml"])
def test_a_page_keeps_what_is_not_its_own_and_writes_nothing_then(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name}: is there already, and is not what al-cxr wrote; choose another"):
        page(tmp_path).write()
    assert contents(tmp_path) == {name: b"mine"}


def test_a_page_that_somebody_edited_is_kept_and_other_files_stay(tmp_path: Path) -> None:
    page(tmp_path).write()
    (tmp_path / "notes.txt").write_text("mine")
    page(tmp_path).write()
    with open(tmp_path / "README.md", "a") as f:
        f.write("my remark")
    before = contents(tmp_path)
    assert before["notes.txt"] == b"mine"
    with pytest.raises(UserError, match=r"README.md: is there already"):
        page(tmp_path, 2).write()
    assert contents(tmp_path) == before


def test_a_page_of_a_version_without_the_list_may_be_written_again(tmp_path: Path) -> None:
    page(tmp_path).write()
    (tmp_path / WRITTEN).unlink()
    page(tmp_path, 2).write()
    assert (tmp_path / WRITTEN).is_file()


def test_a_start_that_was_killed_between_two_files_is_no_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"a": b"1", "b": b"1"})
    with monkeypatch.context() as patch:
        real = os.replace

        def stop(draft: Path, path: Path) -> None:
            if path.name == "b":
                raise KeyboardInterrupt
            real(draft, path)

        patch.setattr(os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            write_files(tmp_path, {"a": b"2", "b": b"2"})
    assert (contents(tmp_path)["a"], contents(tmp_path)["b"]) == (b"2", b"1")
    must_be_free(tmp_path, ["a", "b"])


def test_an_input_is_not_overwritten_under_any_name(tmp_path: Path) -> None:
    read = tmp_path / "read"
    read.write_text("x")
    os.link(read, tmp_path / "hard")
    (tmp_path / "soft").symlink_to(read)
    (tmp_path / "below").mkdir()
    for name in ("read", "hard", "soft", "below/../read"):
        with pytest.raises(UserError, match="this command reads that file"):
            must_be_ours(tmp_path / name, lambda _: True, [tmp_path / "missing", read])
    with pytest.raises(UserError, match="is not a file"):
        must_be_ours(tmp_path / "below", lambda _: True)
    with pytest.raises(UserError, match="is not a file"):
        must_be_ours(Path(os.devnull), lambda _: True)
    must_be_ours(tmp_path / "new", lambda _: False, [read])


def test_a_picture_is_replaced_by_a_picture_of_ours_alone(tmp_path: Path) -> None:
    def drawn() -> figures.Figure:
        figure = figures.new_figure(2, 2)
        figure.subplots().imshow(np.zeros((4, 4)))
        return figure

    path = figures.save(drawn(), tmp_path / "a.png")
    figures.save(drawn(), path)
    path.write_bytes(figures.png(drawn(), "somebody"))
    with pytest.raises(UserError, match="is not what al-cxr wrote"):
        figures.save(drawn(), path)
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(UserError, match="is not what al-cxr wrote"):
        figures.save(drawn(), tmp_path / "b.png")
    assert (tmp_path / "b.png").read_text() == "no picture"
