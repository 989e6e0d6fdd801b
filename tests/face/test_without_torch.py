"""Finished runs are compared and reported where torch is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fake_run import fake_run

BLOCKED = """if True:
    import sys
    class NoTorch:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ("torch", "torchvision"):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    sys.meta_path.insert(0, NoTorch())
    from al_cxr.cli.__main__ import main
    sys.exit(main(sys.argv[1:]))
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BLOCKED, *arguments], cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchless")
    fake_run(folder / "runs" / "fake", rounds=1, seeds=(0, 1))
    return folder


def test_what_needs_a_network_does_fail_here(here: Path) -> None:
    done = run(here, "predict", "model", "images")
    assert done.returncode != 0 and "No module named 'torch'" in done.stderr


def test_a_finished_run_is_compared_and_reported(here: Path) -> None:
    done = run(here, "compare", "runs/fake")
    assert done.returncode == 0, done.stderr
    assert "over the fully labelled baseline" in done.stdout
    assert (here / "results" / "fake" / "README.md").is_file()
    done = run(here, "report", "runs/fake", "--results", "again")
    assert done.returncode == 0, done.stderr
    assert (here / "again" / "fake" / "report.html").is_file()
