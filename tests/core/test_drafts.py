"""Files appear whole or not at all; where they cannot be written, one line says which and what to do."""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from al_cxr.core import drafts
from al_cxr.core.drafts import sweep, write_atomically
from al_cxr.core.errors import CannotWrite

CODE = Path(drafts.__file__).parents[1]

WRITERS = {
    "core/drafts.py": "the writer itself",
    "core/streams.py": "standard streams",
    "bundles/adapt.py": "a temporary folder",
    "bundles/folder.py": "a whole folder, put in its place when it is finished",
    "bundles/stream.py": "grows by chunks, from which a later start goes on",
    "data/dicom/child.py": "a pipe to the process that asked",
    "data/dicom/identity.py": "a secret that nobody else may read, not even for a moment",
    "data/shared_folder.py": "a folder that several processes make at once",
    "data/sources/kaggle.py": "a whole folder",
    "data/sources/medmnist.py": "another package writes the file",
    "data/store_draft.py": "a cache of more than fits into memory",
    "labelling/export.py": "a whole folder, put in its place when it is finished",
    "labelling/log.py": "a database that grows by one answer at a time",
    "labelling/simulate.py": "a temporary folder",
    "training/feature_file.py": "a cache of more than fits into memory",
}
NAMES = {"write_text", "write_bytes", "mkstemp", "mkdtemp", "TemporaryDirectory", "NamedTemporaryFile", "tofile"}
NAMES |= {"fdopen", "save_file", "rename", "symlink_to", "copy2", "copyfile", "copytree", "savez", "open_memmap"}
NAMES |= {"connect"}  # of a database


def _writes(call: ast.Call) -> bool:
    """Whether a call writes a file or a folder beside `write_atomically`."""
    f = call.func
    name = f.attr if isinstance(f, ast.Attribute) else f.id if isinstance(f, ast.Name) else ""
    of_os = isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) and f.value.id == "os"
    if name == "open" and not of_os:
        modes = [a.value for a in (*call.args, *(k.value for k in call.keywords)) if isinstance(a, ast.Constant)]
        return any(isinstance(mode, str) and set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes)
    return name in NAMES or (of_os and name in ("open", "replace")) or (name == "to_csv" and bool(call.args))


def test_only_a_few_modules_write_other_than_by_write_atomically() -> None:
    found = {
        path.relative_to(CODE).as_posix()
        for path in CODE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and _writes(node)
    }
    assert found == set(WRITERS), "use al_cxr.core.drafts.write_atomically, or say here why not"


def test_a_file_is_replaced_whole_and_no_draft_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two" and list(path.parent.iterdir()) == [path]
    longest = tmp_path / ("é" * 127)  # 254 bytes, of 255 that a name may have
    write_atomically(longest, b"x")
    assert longest.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("file/p.csv", "a part of this path is a file|a file is where a folder should be"),
        ("folder", "a folder has this name"),
        ("n" * 300, "choose a shorter name"),
    ],
)
def test_what_cannot_be_written_says_why_and_leaves_nothing(tmp_path: Path, place: str, says: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(CannotWrite, match=f"{place[:200]}.*: cannot be written: .*({says})"):
        write_atomically(tmp_path / place, b"x")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_file_limit_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(CannotWrite, match="File too large; raise the limit on the size of a file"):
            write_atomically(tmp_path / "p", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "p").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match="/p: cannot be written: No space left on device; free some space there"):
        write_atomically(tmp_path / "p", b"x")
    assert not list(tmp_path.iterdir())


def test_drafts_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    killed = "import os, sys; os.fsync = lambda f: os.kill(os.getpid(), 9); from pathlib import Path\n"
    killed += "from al_cxr.core.drafts import write_atomically; write_atomically(Path(sys.argv[1]), b'x')"
    place = tmp_path / "arms" / "round-1.json"
    assert subprocess.run([sys.executable, "-c", killed, str(place)]).returncode == -9
    (left,) = place.parent.iterdir()
    assert left.name.endswith(".tmp")
    living = left.with_name(left.name.replace(f"-{left.name.split('-')[-2]}-", f"-{os.getpid()}-"))
    other = left.with_name(left.name.replace(drafts._HOST, "elsewhere"))
    old = other.with_name(f".old{other.name}")
    foreign = left.with_name(".notes.tmp")
    for path in (living, other, old, foreign):
        path.write_bytes(b"x")
    for path in (old, foreign):
        os.utime(path, (0, 0))
    sweep(tmp_path)
    assert left.exists(), "only the folder itself was asked for"
    sweep(tmp_path, below=True)
    assert set(place.parent.iterdir()) == {living, other, foreign}
