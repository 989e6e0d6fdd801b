"""The tutorial is followed word for word: its file, its commands, and what it says one will see."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from shown import al_cxr_commands, blocks
from small_run import write_images
from tiny import do_not_draw

from al_cxr.cli.__main__ import main

SMALLER = {
    "count: 400": "count: 120",
    "steps: 300": "steps: 4",
    "rounds: 2": "rounds: 1",
    "seeds: [0, 1]": "seeds: [0]",
}
"""What a test takes less of than a reader does; nothing else differs."""


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader who typed every command of the tutorial, in its order."""
    folder = tmp_path_factory.mktemp("tutorial")
    (file,) = (block for block in blocks("yaml") if block.page == "docs/tutorial.md")
    small = file.text
    for written, instead in SMALLER.items():
        assert written in small
        small = small.replace(written, instead)
    (folder / "first.yaml").write_text(small)
    shown = [command for page, command in al_cxr_commands() if page == "docs/tutorial.md"]
    commands = [c.replace("phantom:400", "phantom:60").replace("rounds=3", "rounds=2") for c in shown]
    assert len(commands) >= 6
    with pytest.MonkeyPatch.context() as patch:
        do_not_draw(patch)
        patch.chdir(folder)
        for command in commands:
            patch.setattr("sys.argv", shlex.split(command))
            assert main(shlex.split(command)[1:]) == 0, command
    return folder


def test_the_page_begins_with_the_warnings_that_the_tutorial_announces(followed: Path) -> None:
    page = (followed / "results/first/README.md").read_text("utf-8")
    assert page.index("## Warnings") < page.index("## In short") < page.index("### Summary")
    assert "synthetic" in page.split("## In short")[0]
    assert (followed / "results/first/report.html").is_file()


def test_the_summary_has_the_columns_that_the_tutorial_explains(followed: Path) -> None:
    page = (followed / "results/first/README.md").read_text("utf-8")
    head = next(line for line in page.split("### Summary")[1].splitlines() if line.startswith("|"))
    columns = (
        "labels",
        "tuberculosis F1",
        "F1 along the curve",
        "over random along the curve",
    )
    assert all(column in head for column in columns)
    assert "predict the source" in page and "always tuberculosis" in page


@pytest.mark.usefixtures("undrawn")
def test_the_same_from_python_gives_the_same_table(followed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (followed / "results/first/tables/summary.csv").read_bytes()
    monkeypatch.chdir(followed)
    (block,) = (block for block in blocks("python") if block.page == "docs/tutorial.md")
    names: dict[str, Any] = {}
    exec(block.text, names)
    assert (followed / "results/first/tables/summary.csv").read_bytes() == before
    assert names["result"].page.resolve() == followed / "results/first/README.md"


def test_a_model_of_the_tutorial_answers_from_python_as_the_how_to_shows(
    followed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(followed)
    assert main(["bundle", "runs/first/baseline", "models/tb"]) == 0
    write_images(followed / "new", 2)
    images = sorted((followed / "new").rglob("*.png"))
    for image, name in zip(images, ("one.png", "two.png"), strict=True):
        image.rename(followed / name)
    (block,) = (block for block in blocks("python") if block.page == "docs/howto/use-a-model.md")
    names: dict[str, Any] = {}
    exec(block.text, names)
    answers = names["answers"]
    assert isinstance(answers, pd.DataFrame) and len(answers) == 2
    assert {"predicted", "entropy", "mutual_information", "decided_by", "abstain", "note", "unlike"} <= set(answers)


def test_everything_that_the_tutorial_says_is_written_is_there(followed: Path) -> None:
    assert (followed / "results/first-longer/README.md").is_file()
    assert (followed / "results/baseline-first/README.md").is_file()
    assert list((followed / "runs/data").rglob("README.md"))
