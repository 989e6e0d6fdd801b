"""Data sets of Kaggle: fetched only when asked to, and never over something."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from source_files import KAGGLE, complete, tree

from al_cxr.core.errors import UserError
from al_cxr.data.sources import kaggle
from al_cxr.data.sources.folder import FolderSource


def pretend_kagglehub(monkeypatch: pytest.MonkeyPatch, download: Any) -> None:
    module = types.ModuleType("kagglehub")
    module.dataset_download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kagglehub", module)


def test_kaggle_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path / "cache", KAGGLE)
    asked: list[str] = []

    def download(slug: str) -> str:
        asked.append(slug)
        return str(tmp_path / "cache")

    pretend_kagglehub(monkeypatch, download)
    place = kaggle.fetch(kaggle.DEFAULT_SLUG, tmp_path / "data" / "chest-xray")
    assert asked == ["muhammadrehan00/chest-xray-dataset"] and place == tmp_path / "data" / "chest-xray"
    source = FolderSource(kind="folder", path=str(place))
    assert len(complete(source)) == 18
    assert [p.name for p in place.parent.iterdir()] == ["chest-xray"]
    with pytest.raises(UserError, match="is there already and is not overwritten"):
        kaggle.fetch(kaggle.DEFAULT_SLUG, place)
    assert len(complete(source)) == 18 and len(asked) == 1


def test_kaggle_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(slug: str) -> str:
        raise ConnectionError("no route to host")

    pretend_kagglehub(monkeypatch, download)
    with pytest.raises(UserError, match=r"a/b: download failed \(no route to host\); check the network"):
        kaggle.fetch("a/b", tmp_path / "x")
    with pytest.raises(UserError, match="names no Kaggle data set; give OWNER/NAME"):
        kaggle.fetch("../x", tmp_path / "x")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"pip install 'al-cxr\[kaggle\]'"):
        kaggle.fetch("a/b", tmp_path / "x")
    assert not (tmp_path / "x").exists()
