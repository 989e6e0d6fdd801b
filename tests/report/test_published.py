"""What is kept of a page: links that lead somewhere, the same numbers, seconds apart, nothing of anybody else lost."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from al_cxr.core.errors import UserError
from al_cxr.report.kit.figures import new_figure
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.published import COLOURS, FIGURES, publish
from al_cxr.report.seconds import grid_without_seconds, split_seconds

FRAME = pd.DataFrame({"arm": ["a", "b"], "f1": [0.8123456789, 0.7], "train_s": [12.5, 13.25]})
COLUMNS = (Column("arm", "arm"), Column("F1, %", "f1", "percent"), Column("training, s", "train_s", "seconds"))


def made(folder: Path, figures: int = FIGURES + 1) -> Page:
    page = Page(folder, "A page", "phantom")
    page.add("## Results")
    page.table(Table("shown", "Shown", FRAME, COLUMNS))
    page.table(Table("cost", "Cost", FRAME[["arm", "train_s"]], (COLUMNS[0], COLUMNS[2])))
    page.table(Table("took", "Took", FRAME[["arm", "train_s"]], (COLUMNS[0], COLUMNS[2])), inline=False)
    page.table(Table("linked", "Linked", FRAME[:1], COLUMNS), inline=False)
    page.listing("All settings", Path("models/a/settings.yaml"), "a: 1\n")
    page.add("## Single models")
    page.file(Path("predictions/a.csv"), b"name\n")
    page.add("Every prediction of a: [predictions/a.csv](predictions/a.csv)")
    page.add("## Figures")
    for i in range(figures):
        figure = new_figure(2, 1)
        figure.subplots().imshow([[0, i + 1], [2, 3]])
        page.figure(figure, f"figure-{i}", f"Figure {i}")
    page.add("See [the cost](tables/cost.md), or [elsewhere](https://example.org/x.md).")
    return page


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return made(tmp_path / "page").write().parent


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_published_page_keeps_what_it_shows_and_every_link_leads_somewhere(page: Path, tmp_path: Path) -> None:
    text = publish(page, tmp_path / "out").read_text()
    shown = {f"figures/figure-{i}.png" for i in range(FIGURES)}
    tables = {"tables/shown.csv", "times/shown.csv", "times/cost.csv", "times/took.csv"}
    kept = {"README.md", "written.sha256", "models/a/settings.yaml", *shown, *tables}
    assert files(tmp_path / "out") == kept
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert set(links) == kept - {"README.md", "written.sha256"}
    assert "See the cost, or [elsewhere](https://example.org/x.md)." in text
    assert "Linked" not in text and "Every prediction of a" not in text
    assert "## Single models" not in text and "## Figures" in text


def test_numbers_stay_and_seconds_stand_in_files_of_their_own(page: Path, tmp_path: Path) -> None:
    text = publish(page, tmp_path / "out").read_text()
    before = pd.read_csv(page / "tables/shown.csv", dtype=str)
    assert pd.read_csv(tmp_path / "out/tables/shown.csv", dtype=str).equals(before.drop(columns="train_s"))
    assert pd.read_csv(tmp_path / "out/times/shown.csv", dtype=str).equals(before[["arm", "train_s", "data"]])
    assert (tmp_path / "out/times/cost.csv").read_bytes() == (page / "tables/cost.csv").read_bytes()
    assert re.search(r"\| arm \| F1, % \|", text) and "81.2" in text
    assert re.search(r"\| arm \| training, s \|", text)  # a table of seconds alone stays one


def test_figures_keep_their_pixels_in_few_colours(page: Path, tmp_path: Path) -> None:
    publish(page, tmp_path / "out")
    for path in (tmp_path / "out/figures").iterdir():
        with Image.open(path) as few, Image.open(page / "figures" / path.name) as whole:
            assert few.size == whole.size
            assert len(few.convert("RGB").getcolors(COLOURS) or []) > 2


def test_publishing_again_removes_what_the_page_does_not_show_any_more(page: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(page, out)
    (out / "notes.txt").write_text("mine")
    made(page, figures=1).write()
    publish(page, out)
    assert [path.name for path in (out / "figures").iterdir()] == ["figure-0.png"]
    assert (out / "notes.txt").read_text() == "mine"


def test_what_somebody_changed_is_not_overwritten(page: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(page, out)
    (out / "tables/shown.csv").write_text("mine\n")
    with pytest.raises(UserError, match=r"shown\.csv: is there already, and is not what al-cxr wrote"):
        publish(page, out)
    assert (out / "tables/shown.csv").read_text() == "mine\n"


def test_a_list_of_files_elsewhere_removes_none_of_them(page: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other.txt"
    publish(page, out)
    other.write_text("")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with open(out / "written.sha256", "a") as listed:
        listed.write(f"{empty}  ../other.txt\n")
    publish(page, out)
    assert other.exists()


def test_a_link_out_of_the_page_is_not_followed(page: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("secret")
    with open(page / "README.md", "a") as text:
        text.write("\n[S](../secret.yaml)\n")
    publish(page, tmp_path / "out")
    assert "secret" not in (tmp_path / "out/README.md").read_text()
    assert not any("secret" in name for name in files(tmp_path / "out"))


def test_a_folder_without_a_page_and_the_published_page_itself_are_errors(page: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no page"):
        publish(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="this is the published page itself"):
        publish(page, page)


def test_a_table_without_seconds_is_left_as_it_is() -> None:
    grid = "| a | b |\n| - | -: |\n| x \\| y | 1 |"
    assert grid_without_seconds(grid) == grid
    assert split_seconds("a,b\nx,1\n") == ("a,b\nx,1\n", "")


def test_a_cell_with_a_bar_keeps_its_column() -> None:
    grid = "| a | training, s | b |\n| - | -: | -: |\n| x \\| y | 2 | 1 |"
    assert grid_without_seconds(grid) == "| a | b |\n| - | -: |\n| x \\| y | 1 |"
    results, seconds = split_seconds('a,train_s,b\n"x, y",2,1\n')
    assert list(csv.reader(io.StringIO(results))) == [["a", "b"], ["x, y", "1"]]
    assert list(csv.reader(io.StringIO(seconds))) == [["a", "train_s"], ["x, y", "2"]]
