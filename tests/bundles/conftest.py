"""Bundles of one small trained experiment, and images to ask them about."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_run import small_run, write_images

from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.bundling import assemble
from al_cxr.bundles.folder import write_bundle


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def fit(run: Path) -> Path:
    return sorted((run / "fits").iterdir())[0]


@pytest.fixture(scope="session")
def assembled(fit: Path) -> Bundle:
    return assemble([fit])


@pytest.fixture
def saved(assembled: Bundle, tmp_path: Path) -> Path:
    return write_bundle(assembled, tmp_path / "bundle")


@pytest.fixture(scope="session")
def single(assembled: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(assembled, tmp_path_factory.mktemp("bundles") / "single")


@pytest.fixture(scope="session")
def ensemble(run: Path) -> Bundle:
    return assemble([run / "baseline"])


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"), 40)
