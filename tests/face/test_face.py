"""`import al_cxr`: a few names, documented, with examples that run; and torch only where a network is needed."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import al_cxr

ROOT = Path(__file__).parents[2]
NAMES = [
    "Experiment",
    "LabellingProject",
    "Pool",
    "UserError",
    "features",
    "load_data",
    "open_bundle",
    "score_pool",
    "select",
    "strategies",
]
CALLED = [name for name in NAMES if name != "strategies"]


def in_new_process(code: str, folder: Path) -> str:
    """What a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_names_are_those_that_are_agreed_on() -> None:
    assert sorted(al_cxr.__all__) == sorted(NAMES)
    assert set(NAMES) <= set(dir(al_cxr))
    assert al_cxr.strategies.select is al_cxr.select and "bald" in al_cxr.strategies.names()
    with pytest.raises(AttributeError, match="no attribute 'experiments'"):
        _ = al_cxr.experiments  # type: ignore[attr-defined]


def test_type_checkers_see_each_name_where_it_is_found() -> None:
    imported = {}
    for node in ast.walk(ast.parse(inspect.getsource(al_cxr))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("al_cxr."):
            imported |= {name.name: node.module for name in node.names}
    assert imported == al_cxr._HOMES


@pytest.mark.parametrize("name", CALLED)
def test_every_name_has_an_example_that_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    thing = getattr(al_cxr, name)
    assert re.search(r"Examples\n-+\n", inspect.getdoc(thing) or ""), f"{name} has no Examples"
    finder, runner = doctest.DocTestFinder(recurse=True), doctest.DocTestRunner()
    module: Any = sys.modules[thing.__module__]
    examples = [test for test in finder.find(thing, name, module=module) if test.examples]
    assert examples
    for test in examples:
        runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("name", [n for n in CALLED if n != "UserError"])
def test_every_parameter_and_error_is_documented(name: str) -> None:
    thing = getattr(al_cxr, name)
    functions = [(name, thing)]
    if inspect.isclass(thing):
        public = [f for n, f in inspect.getmembers(thing, callable) if not n.startswith("_")]
        functions = [(f.__qualname__, f) for f in public if f.__module__.startswith("al_cxr")]
    for called, function in functions:
        text = inspect.getdoc(function) or ""
        assert text, f"{called} has no docstring"
        parameters = [p for p in inspect.signature(function).parameters if p != "self"]
        assert not parameters or "Parameters\n-" in text, f"{called} does not say what its parameters are"
        for parameter in parameters:
            assert re.search(rf"^[*]*(\w+, )*{parameter}\b", text, re.M), f"{called}: {parameter}"


def test_neither_the_import_nor_the_help_waits_for_torch(tmp_path: Path) -> None:
    code = "import sys, al_cxr; al_cxr.strategies.names(); al_cxr.Pool(3, [0, 1]); print('torch' in sys.modules)"
    assert in_new_process(code, tmp_path) == "False\n"
    code = """if True:
        import sys
        from al_cxr.cli.__main__ import main
        try:
            main(["--help"])
        except SystemExit:
            print(sorted({"torch", "numpy", "pandas", "matplotlib", "pydantic"} & set(sys.modules)))
    """
    assert in_new_process(code, tmp_path).endswith("[]\n")
