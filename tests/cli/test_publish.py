"""al-cxr publish, and a checkout that stays clean: what is tracked of the results, and their table."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
from fake_run import fake_run
from tiny import TINY, write_tiny

from al_cxr.cli.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def git(here: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *who, *arguments], cwd=here, check=True, capture_output=True, text=True).stdout


@pytest.mark.usefixtures("undrawn")
def test_a_run_leaves_the_checkout_clean_and_publishing_adds_the_published_page_alone(here: Path) -> None:
    shutil.copy(ROOT / ".gitignore", here)
    write_tiny(here, TINY.replace("seeds: [0, 1]", "seeds: [0]").replace("rounds: 2", "rounds: 1"))
    git(here, "init", "--quiet")
    git(here, "add", ".")
    git(here, "commit", "--quiet", "--message", "start")
    assert main(["run", "tiny.yaml"]) == 0
    assert main(["baseline", "tiny.yaml", "--arch", "cnn"]) == 0
    assert (here / "results/tiny/README.md").is_file()
    assert git(here, "status", "--porcelain") == ""
    assert main(["publish", "tiny"]) == 0
    changed = git(here, "status", "--porcelain", "--untracked-files=all").splitlines()
    assert {"?? results/README.md", "?? results/published/tiny/README.md"} <= set(changed)
    assert all(line.startswith(("?? results/README.md", "?? results/published/tiny/")) for line in changed)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("named", ["runs/fake", "results/fake", "fake"])
def test_a_page_is_named_by_its_run_its_folder_or_its_name(
    named: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fake_run(here / "runs/fake")
    assert main(["report", str(run)]) == 0
    assert main(["publish", named]) == 0
    assert "published results/published/fake/README.md" in capsys.readouterr().out
    index = (here / "results/README.md").read_text()
    difference = re.search(r"\| ([+−]?[\d.]+ \([^)]+\)) points of F1, (\S+), the highest of 2", index)
    assert difference is not None
    page = (here / "results/published/fake/README.md").read_text()
    assert re.search(rf"\| {re.escape(difference[2])} .*\| {re.escape(difference[1])} ", page)


@pytest.mark.parametrize("named", ["nothing", "../outside", "."])
def test_a_name_without_a_page_is_one_error(named: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here.parent / "outside").mkdir(exist_ok=True)
    (here / "results").mkdir()
    assert main(["publish", named]) == 2
    assert f"{named}: there is no page of it in results" in capsys.readouterr().err
    assert not list((here / "results").iterdir())


@pytest.mark.usefixtures("undrawn")
def test_a_table_of_pages_that_somebody_wrote_is_not_overwritten(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(fake_run(here / "runs/fake"))]) == 0
    (here / "results/README.md").write_text("mine\n")
    assert main(["publish", "fake"]) == 2
    assert "results/README.md: is there already" in capsys.readouterr().err
    assert (here / "results/README.md").read_text() == "mine\n"


def tracked() -> list[Path]:
    return [ROOT / line for line in git(ROOT, "ls-files", "results").splitlines()]


def test_what_is_tracked_of_the_results_is_small() -> None:
    assert sum(path.stat().st_size for path in tracked()) <= 5_000_000


def test_every_link_of_a_tracked_page_leads_somewhere() -> None:
    pages = [path for path in tracked() if path.name == "README.md"]
    assert len(pages) > 30
    for page in pages:
        links = re.findall(r"\]\(([^()\s]+)\)", page.read_text(encoding="utf-8"))
        dead = [link for link in links if "://" not in link and not (page.parent / unquote(link)).is_file()]
        assert not dead, page


def test_every_published_page_is_in_the_table() -> None:
    results = ROOT / "results"
    listed = re.findall(r"\]\((published/[^)]+)\)", (results / "README.md").read_text(encoding="utf-8"))
    pages = [path for path in tracked() if path.name == "README.md" and path.is_relative_to(results / "published")]
    assert sorted(listed) == sorted(page.relative_to(results).as_posix() for page in pages)
