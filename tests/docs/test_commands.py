"""The commands that README, documentation and help show are ones that the program takes."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from shown import ROOT, Block, al_cxr_commands, blocks, shell_lines

from al_cxr.cli.parser import EXAMPLES, parser
from al_cxr.config.files import load, parse_override
from al_cxr.config.shipped import find

TUTORIAL = next(block.text for block in blocks("yaml") if "first.yaml" in block.title)


def help_examples() -> list[tuple[str, str]]:
    return [("al-cxr --help", line.split("  ")[1]) for line in EXAMPLES.splitlines() if line.startswith("  al-cxr")]


@pytest.mark.parametrize(("page", "command"), dict.fromkeys([*al_cxr_commands(), *help_examples()]))
def test_every_command_that_a_person_is_shown_parses_and_names_real_settings(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(command)[1:]
    if words == ["--version"]:
        return
    options = parser().parse_args(words)
    if "set" not in options or "experiment" not in options:
        return
    monkeypatch.chdir(ROOT)
    experiment = find(options.experiment)
    if experiment.name == "first.yaml":
        experiment = tmp_path / "first.yaml"
        experiment.write_text(TUTORIAL)
    settings = load(experiment, options.profile, map(parse_override, options.set))
    regimes = (getattr(options, "regime", None) or "all").split(",")
    assert regimes == ["all"] or set(regimes) <= settings.regimes.keys()


def commands_of(top: argparse.ArgumentParser) -> set[str]:
    return set(next(a for a in top._actions if isinstance(a, argparse._SubParsersAction)).choices)


def test_the_documentation_shows_every_command_and_the_readme_every_common_one() -> None:
    every = commands_of(parser())
    assert {command.split()[1] for _, command in al_cxr_commands()} - {"--version"} == every
    assert {command.split()[1] for page, command in al_cxr_commands() if page == "README.md"} == every


def test_make_has_every_target_that_is_shown() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    shown = {found[1] for _, line in shell_lines() if (found := re.match(r"make ([\w-]+)", line))}
    assert shown and shown <= targets


def test_every_script_and_extra_that_is_shown_is_there() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    extras = {
        e
        for _, line in shell_lines()
        for named in re.findall(r"pip install .*\[([\w,]+)\]", line)
        for e in named.split(",")
    }
    assert extras and extras <= known
    scripts = {found[1] for _, line in shell_lines() if (found := re.match(r"python (\S+\.py)", line))}
    assert scripts and all((ROOT / script).is_file() for script in scripts)


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.page)
def test_every_piece_of_an_experiment_that_is_shown_fits_into_one(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "piece.yaml"
    shutil.copy(ROOT / "experiments/tb_entropy.yaml", tmp_path)
    base = "" if "sources:" in block.text else "extends: tb_entropy.yaml\n"
    file.write_text(base + block.text)
    assert load(file, None, []).arms
