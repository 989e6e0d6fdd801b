"""What stands beside the code for those who work on it or cite it says what is so."""

from __future__ import annotations

import re
import tomllib

import yaml
from shown import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def name_of(wish: str) -> str:
    return re.split(r"[=<>\[]", wish)[0]


def test_the_documentation_says_why_each_dependency_is_there() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    wishes = [*PROJECT["project"]["dependencies"], *(wish for wishes in extras for wish in wishes)]
    page = (ROOT / "docs/reference/dependencies.md").read_text("utf-8")
    assert [name for name in map(name_of, wishes) if name != "al-cxr" and name not in page] == []


def test_contributing_names_the_rooms_in_the_order_of_their_imports() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"^\| `(\w+)/` \|", text, re.M)
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    place = {room: place for place, layer in enumerate(reversed(layers)) for room in layer.split(" | ")}
    assert set(named) == place.keys()
    assert [place[room] for room in named] == sorted(place[room] for room in named)


def test_the_citation_and_the_changelog_know_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    version = PROJECT["project"]["version"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys() and citation["version"] == version
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## [Unreleased]" in changes and f"## [{version}]" in changes


def test_the_hooks_before_a_commit_run_the_linters_of_make() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert local["repo"] == "local" and {hook["id"] for hook in local["hooks"]} == {"ruff", "ruff-format", "mypy"}


def test_an_issue_asks_for_no_radiograph() -> None:
    forms = {
        path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")
    }
    assert forms.keys() == {"bug", "idea", "config"}
    assert all({"name", "description", "body"} <= form.keys() for name, form in forms.items() if name != "config")
    assert "attach no radiograph" in str(forms["bug"])
