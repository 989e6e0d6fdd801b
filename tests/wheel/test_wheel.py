"""The wheel, as a person installs it: in a fresh environment, used in an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUICK = ("--data", "phantom:90", "--set", "seeds=[0]", "--set", "train.steps=10", "--set", "train.validations=2")


def run(*command: str | Path, here: Path) -> str:
    """What a command prints, in a folder and without this test's own way to the package."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that nothing is left in the repository."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("al_cxr", "experiments"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, here=source)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and the packages that it needs from the running one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        programs / "python",
        "install",
        "--no-deps",
        "--quiet",
        wheel,
        here=folder,
    )
    found = run(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", here=folder)
    Path(found.strip(), "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


@pytest.fixture
def empty(tmp_path: Path, installed: Path) -> Path:
    """An empty folder in which `import al_cxr` is the wheel's."""
    where = run(installed / "python", "-c", "import al_cxr; print(al_cxr.__file__)", here=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    return tmp_path


def test_an_experiment_runs_by_its_name_in_an_empty_folder(empty: Path, installed: Path) -> None:
    said = run(installed / "al-cxr", "run", "tb_entropy", *QUICK, "--set", "budget.rounds=1", here=empty)
    (file,) = [line.split()[1] for line in said.splitlines() if line.startswith("file ")]
    assert Path(file).is_relative_to(installed.parent)
    page = empty / "results/tb_entropy-phantom/README.md"
    assert "al-cxr run tb_entropy --data phantom:90" in page.read_text()


def test_a_fully_labelled_model_needs_no_file_at_all(empty: Path, installed: Path) -> None:
    run(installed / "al-cxr", "baseline", "--arch", "cnn", *QUICK, here=empty)
    assert "## cnn" in (empty / "results/baseline-tb_entropy-phantom/README.md").read_text()


def test_the_file_that_init_copies_is_the_one_that_is_used_from_then_on(empty: Path, installed: Path) -> None:
    run(installed / "al-cxr", "init", "shenzhen_features", here=empty)
    assert sorted(path.name for path in empty.iterdir()) == ["shenzhen_features.yaml", "tb_entropy.yaml"]
    own = (empty / "tb_entropy.yaml").read_text()
    (empty / "tb_entropy.yaml").write_text(own.replace("image_size: 32 ", "image_size: 28 "))
    said = run(installed / "al-cxr", "run", "tb_entropy", "--plan", *QUICK, here=empty)
    assert "file      tb_entropy.yaml" in said and "at 28 × 28 pixels" in said
