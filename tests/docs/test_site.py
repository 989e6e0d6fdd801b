"""The documentation builds without a warning, has what it promises, and needs nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shown import ROOT

from al_cxr import models, strategies
from al_cxr.cli.parser import parser
from al_cxr.config import Settings
from al_cxr.config.labelling import Scoring


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text("utf-8"))


def test_every_page_of_the_navigation_is_there(site: Path) -> None:
    named = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text())
    assert len(named) > 20 and all((site / name).with_suffix(".html").is_file() for name in named)


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    fetched = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(?:https?:)?//|<link\b[^>]*\bhref=\"?(?:https?:)?//"
    )
    pages = list(site.rglob("*.html"))
    assert pages and [page.name for page in pages if fetched.search(page.read_text("utf-8"))] == []
    styles = list(site.rglob("*.css"))
    assert (
        styles
        and [s.name for s in styles if re.search(r"(@import|url\()\s*[\"']?(https?:)?//", s.read_text("utf-8"))] == []
    )


def test_the_reference_has_every_command_and_every_option(site: Path) -> None:
    text = text_of(site / "reference/cli.html")
    options = set(re.findall(r"--[a-z][a-z-]+", parser().format_help())) - {"--help", "--version"}
    assert options and all(
        option in text for option in [*options, "al-cxr data audit", "--patient-folders", "--prevalence"]
    )


def test_the_reference_has_every_key_of_an_experiment(site: Path) -> None:
    text = text_of(site / "reference/yaml.html")
    assert all(key in text for key in Settings.model_fields)
    assert f"{Scoring.model_fields['passes'].description}; ≥ 2" in text and "train.augment.scanner" in text


def test_the_reference_has_every_strategy_and_every_network(site: Path) -> None:
    chosen, built = text_of(site / "reference/strategies.html"), text_of(site / "reference/models.html")
    assert all(name in chosen for name in strategies.names()) and all(name in built for name in models.names())


def test_a_link_that_leaves_the_documentation_takes_its_file_along(site: Path) -> None:
    assert (site / "repository/experiments/tb_entropy.yaml").read_bytes() == (
        ROOT / "experiments/tb_entropy.yaml"
    ).read_bytes()
    assert (site / "repository/results/benchmarks/coverage.html").is_file()
    assert '"../repository/al_cxr/sampling/race.py"' in (site / "concepts/mc-dropout.html").read_text("utf-8")
