"""The registry: everything of one kind is found by itself, in this package and in those that others installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from al_cxr.core.errors import UserError
from al_cxr.core.registry import Registry

GROUP = "al_cxr_tests.things"
DEFINES = "from {shelf} import THINGS\n\n\n@THINGS.register('{name}')\ndef {name}(): ...\n"


def shelf(folder: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> Registry[object]:
    """A registry in a package of its own on the import path; each module of it has this text."""
    name = f"shelf_{folder.name}"
    (folder / name).mkdir()
    create = f"Registry('thing', {name!r}, {GROUP!r})"
    text = f"from al_cxr.core.registry import Registry\n\nTHINGS = {create}\n"
    (folder / name / "__init__.py").write_text(text)
    for module, body in modules.items():
        (folder / name / f"{module}.py").write_text(body.format(shelf=name))
    monkeypatch.syspath_prepend(folder)
    things: Registry[object] = __import__(name).THINGS
    return things


def installed(folder: Path, package: str, text: str) -> None:
    """Another package with one module, installed where a shelf lies, that adds to the group."""
    (folder / f"{package}.py").write_text(text.replace("{shelf}", f"shelf_{folder.name}"))
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nextra = {package}\n")


def define(name: str) -> str:
    return DEFINES.replace("{name}", name)


def test_a_new_module_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    things = shelf(tmp_path, monkeypatch, one=define("b"), two=define("a"))
    assert things.names() == ["a", "b"]
    assert list(things) == ["a", "b"] and "a" in things and "c" not in things
    assert things.get("a") is sys.modules[f"shelf_{tmp_path.name}.two"].a


def test_nothing_is_imported_before_something_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    things = shelf(tmp_path, monkeypatch, one=define("a"))
    assert f"shelf_{tmp_path.name}.one" not in sys.modules
    things.names()
    assert f"shelf_{tmp_path.name}.one" in sys.modules


def test_a_private_module_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    things = shelf(tmp_path, monkeypatch, one=define("a"), _heavy="raise ImportError('an extra is missing')\n")
    assert things.names() == ["a"]


def test_a_single_module_can_define_all_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lone_shelf.py").write_text(
        "from al_cxr.core.registry import Registry\n\nTHINGS = Registry('thing', 'lone_shelf')\n"
        "THINGS.add('a', 1, __name__)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert __import__("lone_shelf").THINGS.names() == ["a"]


def test_a_name_that_is_not_there_is_answered_with_the_nearest(tmp_path: Path) -> None:
    things: Registry[int] = Registry("thing")
    things.add("entropy", 1, "here")
    with pytest.raises(UserError, match=r"^arms\.a: no thing 'entrpy'; did you mean 'entropy'\?$"):
        things.get("entrpy", "arms.a: ")


def test_a_name_that_two_modules_take_is_an_error_that_names_both() -> None:
    things: Registry[int] = Registry("thing")
    things.add("entropy", 1, "package.first")
    with pytest.raises(ValueError, match=r"thing 'entropy' is defined in package\.first and again in package\.second"):
        things.add("entropy", 2, "package.second")
    with pytest.raises(ValueError, match=r"again in package\.first"):
        things.add("entropy", 2, "package.first")
    assert things.get("entropy") == 1


def test_only_functions_of_one_form_are_registered() -> None:
    rules: Registry[Callable[..., None]] = Registry("rule", arguments=["history"])

    @rules.register("good")
    def good(history: object, *, rounds: int = 3) -> None: ...

    with pytest.raises(ValueError, match="rule 'bad': the first parameters must be history"):
        rules.register("bad")(lambda rounds: None)
    assert rules.names() == ["good"] and rules.get("good") is good


def test_a_notebook_may_run_a_cell_again() -> None:
    things: Registry[int] = Registry("thing")
    things.add("mine", 1, "__main__")
    things.add("mine", 2, "__main__")
    assert things.get("mine") == 2


def test_an_installed_package_adds_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    things = shelf(tmp_path, monkeypatch, one=define("a"))
    installed(tmp_path, "extra_things", define("theirs"))
    assert things.names() == ["a", "theirs"]


def test_a_broken_package_is_named_each_time_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    things = shelf(tmp_path, monkeypatch, one=define("a"))
    installed(tmp_path, "broken_things", define("half") + "\n1 / 0\n")
    for _ in range(2):
        with pytest.raises(UserError) as error:
            things.get("a")
        assert str(error.value) == (
            "the installed package broken_things cannot add its thing 'extra' (broken_things): ZeroDivisionError: "
            "division by zero; repair or uninstall broken_things"
        )
    (tmp_path / "broken_things-1.0.dist-info" / "entry_points.txt").write_text("")
    assert things.names() == ["a"]


def test_a_package_that_takes_a_name_of_ours_is_an_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    things = shelf(tmp_path, monkeypatch, one=define("a"))
    installed(tmp_path, "greedy_things", define("a"))
    with pytest.raises(UserError) as error:
        things.names()
    for said in ("package greedy_things", f"shelf_{tmp_path.name}.one", "again in greedy_things"):
        assert said in str(error.value)


def test_help_imports_no_torch() -> None:
    code = (
        "import sys, contextlib, al_cxr.cli.__main__ as c\n"
        "with contextlib.suppress(SystemExit): c.main(['--help'])\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
