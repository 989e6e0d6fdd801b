"""Data sets of Kaggle: fetched only when asked to, and never over something."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from source_files import KAGGLE, complete, tree

from al_cxr.cli.__main__ import main
from al_cxr.core.errors import UserError
from al_cxr.data.load import load_data
from al_cxr.data.sources import kaggle
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.sources.kaggle import KaggleSource
from al_cxr.data.sources.named import named_source


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


def test_as_a_source_it_is_fetched_once_and_only_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path / "cache", KAGGLE)
    asked: list[str] = []

    def download(slug: str) -> str:
        asked.append(slug)
        return str(tmp_path / "cache")

    pretend_kagglehub(monkeypatch, download)
    place = tmp_path / "place"
    source = KaggleSource(slug="a/b", path=str(place))
    with pytest.raises(UserError, match="no data found: looked for Kaggle data set a/b in"):
        load_data(source)
    asking = source.model_copy(update={"download": True})
    assert len(load_data(asking)) == len(load_data(asking)) == len(load_data(source)) == 18
    assert asked == ["a/b"] and source.image_folder() == place


def test_sets_of_other_names_lie_in_other_folders() -> None:
    folders = [str(named_source(text).image_folder()) for text in ("kaggle", "kaggle:a/b", "kaggle:a/b@c/d")]
    assert folders == ["data/chest-xray", "data/b", "c/d"]
    with pytest.raises(UserError, match=r"data source 'kaggle:b': slug: must be OWNER/NAME"):
        named_source("kaggle:b")


def test_the_command_says_how_to_use_what_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path / "cache", KAGGLE)
    pretend_kagglehub(monkeypatch, lambda slug: str(tmp_path / "cache"))
    assert main(["data", "fetch", "kaggle:a/b", "--out", str(tmp_path / "new")]) == 0
    assert f"al-cxr data audit {tmp_path / 'new'}" in capsys.readouterr().out
    assert len(load_data(str(tmp_path / "new"))) == 18
    assert main(["data", "fetch", "kaggle:a/b", "--size", "28", "--out", str(tmp_path / "newer")]) == 2
    assert "--size: does not apply to Kaggle data set a/b" in capsys.readouterr().err
    assert not (tmp_path / "newer").exists()
