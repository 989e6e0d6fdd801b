"""The container files, as far as they can be checked without an engine: linted, parsed, and naming what is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
DOCKER = REPOSITORY / "docker"
JOB = ["al-cxr", "run", "experiments/tb_entropy.yaml"]
MADE_BY_THE_USER = {"data", "runs"}  # git-ignored; compose.yaml says to make them

both = pytest.mark.parametrize("name", ["cpu", "cuda"])


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of a Dockerfile, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / f"{name}.Dockerfile").read_text(), flags=re.MULTILINE)
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)]


def arguments(name: str, instruction: str) -> list[str]:
    return [rest for word, rest in instructions(name) if word == instruction]


def compose() -> dict:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


@both
def test_hadolint_finds_nothing(name: str) -> None:
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts")) or shutil.which("hadolint")
    assert hadolint, "hadolint is missing; it is in the dev extra: pip install -e '.[dev]'"
    done = subprocess.run([hadolint, str(DOCKER / f"{name}.Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@both
def test_the_image_runs_the_experiment_and_not_as_root(name: str) -> None:
    (entrypoint,), (command,) = arguments(name, "ENTRYPOINT"), arguments(name, "CMD")
    assert json.loads(entrypoint) + json.loads(command) == JOB
    assert (REPOSITORY / JOB[-1]).is_file()
    assert instructions(name)[-4][0] == "USER" and arguments(name, "USER") == ["1000:1000"]
    assert any("--constraint constraints.txt ." in run for run in arguments(name, "RUN"))


@both
def test_what_is_copied_exists_and_is_not_ignored(name: str) -> None:
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"  # everything is out but what is named
    kept = {line[1:] for line in lines if line.startswith("!")}
    copied = {source for rest in arguments(name, "COPY") for source in rest.split()[:-1]}
    assert copied == kept
    assert [source for source in sorted(copied) if not (REPOSITORY / source).exists()] == []


@both
def test_the_service_builds_its_dockerfile_and_runs_the_experiment(name: str) -> None:
    service = compose()["services"][name]
    context = (DOCKER / service["build"]["context"]).resolve()
    assert context == REPOSITORY
    assert context / service["build"]["dockerfile"] == DOCKER / f"{name}.Dockerfile"
    declared = {argument.partition("=")[0] for argument in arguments(name, "ARG")}
    assert set(service["build"].get("args", {})) == declared
    assert [JOB[0], *service["command"]] == JOB
    assert service["user"] == "${AL_CXR_USER:-1000:1000}"


@both
def test_the_service_mounts_the_folders_where_the_image_has_them(name: str) -> None:
    (workdir,) = arguments(name, "WORKDIR")
    mounts = compose()["services"][name]["volumes"]
    for mount in mounts:
        source = (DOCKER / mount["source"]).resolve()
        assert source.parent == REPOSITORY
        assert mount["target"] == f"{workdir}/{source.name}"
        assert source.name in MADE_BY_THE_USER or source.is_dir()
    declared = {Path(path).name for path in json.loads(arguments(name, "VOLUME")[0])}
    assert declared == {"data", "runs", "results"}
    assert {Path(m["target"]).name for m in mounts} == declared | {"experiments"}
    writable = {Path(m["target"]).name for m in mounts if not m.get("read_only")}
    assert writable == {"runs", "results"}


def test_only_the_cuda_service_asks_for_a_gpu() -> None:
    services = compose()["services"]
    (device,) = services["cuda"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and device["capabilities"] == ["gpu"]
    assert "deploy" not in services["cpu"]
