"""The README is short, shows what the project is started with, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from shown import PAGES, ROOT, al_cxr_commands

README = ROOT / "README.md"


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.read_text("utf-8").split()) <= 1000


def test_the_readme_shows_the_two_commands_that_everything_starts_with() -> None:
    shown = [command for page, command in al_cxr_commands() if page == "README.md"]
    assert "al-cxr run experiments/tb_entropy.yaml" in shown and "al-cxr baseline --arch cnn" in shown


def test_the_readme_says_what_it_is_not() -> None:
    text = README.read_text("utf-8")
    assert "Not a medical device" in text and "synthetic" in text


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_inside_the_repository_leads_to_a_file_and_a_heading(page: Path) -> None:
    generated = {
        "docs/reference/cli.md",
        "docs/reference/yaml.md",
        "docs/reference/strategies.md",
        "docs/reference/models.md",
        "docs/reference/api.md",
    }
    for target, anchor in re.findall(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text("utf-8")):
        file = (page.parent / target).resolve() if target else page
        name = file.relative_to(ROOT).as_posix()
        assert file.is_file() or name in generated, f"{target} of {page}"
        assert not anchor or name in generated or anchor in anchors(file), f"{target}#{anchor} of {page}"


def test_no_page_shows_a_radiograph() -> None:
    kept = {".md", ".py", ".ipynb", ".css"}
    others = [path.name for path in (ROOT / "docs").rglob("*") if path.suffix and path.suffix.lower() not in kept]
    assert others == ["loop.svg"]
