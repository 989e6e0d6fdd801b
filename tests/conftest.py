"""Fixtures: real radiographs where they are, and small synthetic data everywhere."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from real_data import shared
from tiny import do_not_draw

from al_cxr.experiment import sweep


@pytest.fixture(scope="session")
def cxr_root() -> Path:
    return shared("data", "cxr")


@pytest.fixture(scope="session")
def medmnist_root() -> Path:
    return shared("data", "medmnist")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """On a busy machine two threads that wait for each other are many times slower than one."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _subnormal_numbers() -> None:
    """A runtime that a test activated flushes them to zero in the whole process; hypothesis wants to draw them."""
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True, scope="session")
def _quick_estimates() -> Iterator[None]:
    """How long a run will take is measured in two steps; a person's terminal is worth two seconds of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "measure_speeds", functools.partial(sweep.measure_speeds, seconds=0.0))
        yield


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that asks nothing of figures: drawing takes longer than a tiny experiment."""
    do_not_draw(monkeypatch)


@pytest.fixture(scope="module")
def undrawn_module() -> Iterator[None]:
    """The same from here to the end of a file, its module-wide fixtures included."""
    with pytest.MonkeyPatch.context() as patch:
        do_not_draw(patch)
        yield
