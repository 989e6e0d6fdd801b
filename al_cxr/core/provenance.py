"""What a published number has to say about itself: the command, the commit, the versions."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import al_cxr

PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "pandas", "modAL-python", "medmnist", "safetensors")


def command(arguments: list[str] | None = None) -> str:
    r"""The command line as a person would type it again; bytes that are no text stand in it as \xNN."""
    words = sys.argv[1:] if arguments is None else arguments
    return shlex.join(["al-cxr", *(_readable(word) for word in words)])


def _readable(word: str) -> str:
    return word.encode(errors="surrogateescape").decode(errors="backslashreplace")


def commit() -> str:
    """Git commit of the code that runs, with "-dirty" where tracked source files differ; "unknown" without git."""
    root = Path(al_cxr.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "unknown"
    try:
        head = _git(root, "rev-parse", "HEAD").strip()
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "al_cxr", "experiments")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head[:12]}-dirty" if changed.strip() else head[:12]


def versions() -> dict[str, str]:
    """Versions of this package, Python, the platform and the libraries that decide the numbers."""
    found = {
        "al-cxr": al_cxr.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True, timeout=20)
    return done.stdout.decode(errors="replace")
