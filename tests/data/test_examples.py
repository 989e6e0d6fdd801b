"""The examples in the docstrings of the rooms that everything stands on: they run, and what a user calls has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from types import ModuleType

import pytest

import al_cxr.config
import al_cxr.core
import al_cxr.data
from al_cxr.data.dataset import Dataset
from al_cxr.data.load import load_data
from al_cxr.data.sources.source import kinds


def modules() -> list[str]:
    """All modules of these rooms that have an example."""
    rooms: list[ModuleType] = [al_cxr.core, al_cxr.config, al_cxr.data]
    found = [module.name for room in rooms for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]
    return [name for name in found if ">>> " in inspect.getsource(importlib.import_module(name))]


@pytest.mark.parametrize("name", modules())
def test_examples_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted and not found.failed


@pytest.mark.parametrize("thing", [load_data, Dataset, *kinds().values()], ids=lambda thing: thing.__name__)
def test_what_a_user_calls_has_an_example(thing: object) -> None:
    assert re.search(r"^Examples\n-+\n>>> ", inspect.getdoc(thing) or "", re.MULTILINE)
