"""No page is written among the images that it is about, and no option of a contact sheet ends in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_cxr.cli.__main__ import main
from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_apart
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.sources.phantom import PhantomSource


@pytest.mark.parametrize("name", ["d", "d/pages", "x/../d/pages", "link/pages"])
def test_a_page_in_the_folder_of_images_is_refused_under_every_spelling(tmp_path: Path, name: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d")
    data = FolderSource(kind="folder", path=str(tmp_path / "d"))
    with pytest.raises(UserError, match=r"lies in the folder of images .*; choose another --out"):
        must_be_apart(tmp_path / name, data.image_folder())


def test_a_page_beside_the_images_and_one_of_a_phantom_are_let_pass(tmp_path: Path) -> None:
    must_be_apart(tmp_path / "d-pages", FolderSource(path=str(tmp_path / "d")).image_folder())
    must_be_apart(tmp_path, PhantomSource().image_folder())


@pytest.mark.parametrize("action", ["audit", "show"])
def test_data_commands_leave_the_folder_of_images_as_it_is(
    tmp_path: Path, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", action, str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert "lies in the folder of images" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_seed_below_zero_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "phantom:30", "--seed", "-1", "--out", str(tmp_path)]) == 2
    assert "-1: must be 0 or more" in capsys.readouterr().err
