"""Commands where there is no terminal of today: other encodings and backends, streams that are full or closed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = ["data", "show", "phantom:30", "--per-class", "1", "--out", "o"]
SHEET = Path("o", "phantom", "contact-sheet.png")
HOMELESS = """\
import pwd, sys
def nobody(uid): raise KeyError(uid)
pwd.getpwuid = nobody
from al_cxr.cli.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def al_cxr(here: Path, command: str, *, start: tuple[str, ...] = ("-m", "al_cxr"), **environment: str | None) -> str:
    """Standard output and error of a shell's command line, in which {} is `al-cxr`, and its exit code as last line."""
    variables = {**os.environ, **environment}
    shell = command.format(" ".join(f"'{word}'" for word in (sys.executable, *start)))
    done = subprocess.run(
        ["bash", "-c", f"{shell}\necho exit $?"],
        cwd=here,
        env={k: v for k, v in variables.items() if v is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout.decode(errors="replace")


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252", "MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"PYTHONIOENCODING": "ascii", "MPLBACKEND": "garbage"},
        {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "MPLBACKEND": "TkAgg", "DISPLAY": None},
    ],
)
def test_a_command_draws_and_tells_whatever_the_surroundings_set(
    tmp_path: Path, environment: dict[str, str | None]
) -> None:
    said = al_cxr(tmp_path, f"{{}} {' '.join(SHOW)}", **environment)
    assert said.endswith("exit 0\n") and "30 images" in said
    assert (tmp_path / SHEET).is_file()


def test_streams_that_are_closed_stop_nothing(tmp_path: Path) -> None:
    assert al_cxr(tmp_path, f"{{}} {' '.join(SHOW)} <&- >&- 2>&-") == "exit 0\n"
    assert (tmp_path / SHEET).read_bytes().startswith(b"\x89PNG"), "a stream's number was given to a file of ours"


def test_output_that_cannot_be_printed_is_an_error_of_one_line(tmp_path: Path) -> None:
    said = al_cxr(tmp_path, f"{{}} {' '.join(SHOW)} > /dev/full").splitlines()
    assert said[1:] == ["exit 1"] and said[0].startswith("al-cxr: error: the output cannot be printed: No space left")


def test_nobody_who_reads_is_no_error_that_is_told(tmp_path: Path) -> None:
    said = al_cxr(tmp_path, f"( {{}} {' '.join(SHOW)}; echo $? > code ) | true")
    assert said == "exit 0\n" and (tmp_path / "code").read_text() == "141\n"


def test_without_a_home_folder_the_cache_has_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "start.py").write_text(HOMELESS)
    (tmp_path / "a.yaml").write_text(
        "data: {sources: [{kind: phantom, count: 40}], image_size: 28}\nseeds: [0]\n"
        "arms: {a: {strategy: random, loss: cross_entropy}}\n"
    )
    nowhere = {"HOME": None, "AL_CXR_CACHE": None, "XDG_CACHE_HOME": None, "MPLCONFIGDIR": str(tmp_path)}
    said = al_cxr(tmp_path, "{} run a.yaml --plan", start=("start.py",), **nowhere)
    assert "al-cxr: error: there is no home folder" in said and "AL_CXR_CACHE" in said and said.endswith("exit 1\n")
    assert "Traceback" not in said
    nowhere["HOME"] = "/proc"  # where nobody may write
    said = al_cxr(tmp_path, "{} run a.yaml --plan", **nowhere)
    assert "the pixel cache cannot be used" in said and "AL_CXR_CACHE" in said and said.endswith("exit 2\n")
