"""The container files, as far as they can be checked without an engine: linted, parsed, and naming what is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
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


EXTRA = re.compile(r"""['"](?:al-cxr|\.)\[([\w,]+)\]['"]""")


@both
def test_the_image_has_every_extra_that_a_person_is_told_to_install(name: str) -> None:
    known = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (install,) = (run for run in arguments(name, "RUN") if run.startswith("pip install --constraint constraints.txt "))
    (installed,) = (set(named.split(",")) for named in EXTRA.findall(install))
    assert installed <= known.keys()
    # what the README, an error or the help says to install; `dev` and `bench` are for people with the repository
    texts = [REPOSITORY / "README.md", *(REPOSITORY / "al_cxr").rglob("*.py")]
    told = {extra for path in texts for named in EXTRA.findall(path.read_text()) for extra in named.split(",")}
    assert told >= {"ray", "search", "pretrained", "kaggle"}
    assert told == installed == known.keys() - {"dev", "bench"}
    pinned = {canonical(line.split("==")[0]) for line in (REPOSITORY / "constraints.txt").read_text().splitlines()}
    wanted = {canonical(re.split(r"[=<>\[]", wish)[0]) for extra in installed for wish in known[extra]}
    assert wanted <= pinned, "an extra's version is not that of the published results"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).strip().lower()


@both
def test_the_image_gets_all_of_the_package(name: str) -> None:
    copied = {source for rest in arguments(name, "COPY") for source in rest.split()[:-1]}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert {project["project"]["readme"], *project["project"]["license-files"]} <= copied
    # files that are no modules come along only where package-data names them
    data = project["tool"]["setuptools"]["package-data"]
    roots = {REPOSITORY / package.replace(".", "/"): files for package, files in data.items()}
    named = {found for root, files in roots.items() for file in files for found in root.glob(file)}
    walked = os.walk(REPOSITORY / "al_cxr", followlinks=True)  # experiments is a link
    files = {Path(folder, name) for folder, _, found in walked for name in found}
    others = {path for path in files if path.suffix not in (".py", ".pyc")}
    assert named == others
    packages = {p.parent for p in (REPOSITORY / "al_cxr").rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in packages), "a folder that setuptools leaves out"


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
