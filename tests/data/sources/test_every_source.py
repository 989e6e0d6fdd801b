"""What every kind of data source keeps to: those of this package, and one in a file of its own."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_cxr.config import DataSettings, Settings
from al_cxr.config.files import load, validate
from al_cxr.config.source import SOURCES
from al_cxr.config.written import text_keys
from al_cxr.core.errors import UserError
from al_cxr.data.load import load_data, load_first
from al_cxr.data.sources.named import named_source
from al_cxr.data.sources.source import Source, kinds, readable

MISSING = "nowhere/nothing"


def example(kind: type[Source], root: Path) -> Source:
    """A source of a kind at a place where there is nothing, if the kind has places."""
    places = {name: str(root / MISSING) for name in ("path", "root") if name in kind.model_fields}
    return kind.model_validate(places)


@pytest.fixture(params=sorted(kinds()))
def kind(request: pytest.FixtureRequest) -> type[Source]:
    return kinds()[request.param]


def test_the_settings_of_a_source_come_back_from_json_as_they_were(kind: type[Source], tmp_path: Path) -> None:
    source = example(kind, tmp_path)
    settings = DataSettings(sources=[source])
    assert DataSettings.model_validate_json(settings.model_dump_json()) == settings
    recorded = settings.model_dump(mode="json")["sources"][0]
    assert recorded == source.model_dump(mode="json") and next(iter(recorded)) == "kind"
    assert type(DataSettings.model_validate({"sources": [recorded]}).sources[0]) is kind


def test_every_setting_of_a_source_is_described(kind: type[Source]) -> None:
    for name, field in kind.model_fields.items():
        assert len(field.description or "") > 10, f"{kind.__name__}.{name} has no description"
    assert kind.__doc__ and kind.usage


def test_a_source_that_is_not_there_is_said_to_be_so(kind: type[Source], tmp_path: Path) -> None:
    source = example(kind, tmp_path)
    if not {"path", "root"} & kind.model_fields.keys():
        assert source.exists()
        return
    assert not source.exists()
    with pytest.raises(UserError, match="nothing"):
        source.read()
    with pytest.raises(UserError, match="no data found: looked for"):
        load_data(source)
    assert not any(tmp_path.iterdir()), "looking for it has made something"


def test_a_source_is_described_in_a_line(kind: type[Source], tmp_path: Path) -> None:
    source = example(kind, tmp_path)
    for said in (source.describe(), source.short_name()):
        assert said.strip() == said != "" and "\n" not in said
    assert os.sep not in source.short_name()


def test_a_source_is_named_by_its_kind_with_data(kind: type[Source]) -> None:
    name = kind.model_fields["kind"].default
    assert SOURCES.get(name) is kind
    try:
        assert type(named_source(name)) is kind
    except UserError as error:
        assert str(error).startswith(f"data source {name!r}: ") and kind.usage in str(error)


def test_an_unknown_key_of_a_source_is_answered_with_the_nearest_of_its_kind(kind: type[Source]) -> None:
    name = kind.model_fields["kind"].default
    key = list(kind.model_fields)[1]
    with pytest.raises(UserError, match=rf"data\.sources\.0\.{key}s: unknown key; did you mean '{key}'\?"):
        validate({"data": {"sources": [{"kind": name, f"{key}s": 1}]}}, "here")


def test_what_cannot_be_fetched_says_so(kind: type[Source], tmp_path: Path) -> None:
    if not kind.fetchable:
        with pytest.raises(UserError, match="nothing that can be downloaded"):
            example(kind, tmp_path).fetch(tmp_path)


def test_settings_that_cannot_be_read_from_are_a_mistake_of_the_program() -> None:
    from al_cxr.config import SourceSettings

    with pytest.raises(TypeError, match="cannot read"):
        readable(SourceSettings(kind="phantom"))


def test_a_misspelt_kind_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data source 'phantm:90': no kind of data source 'phantm'; did you mean 'pha"):
        named_source("phantm:90")
    (tmp_path / "phantm:90").mkdir()
    assert named_source(str(tmp_path / "phantm:90")).kind == "folder"
    assert named_source(Path("phantom")).kind == "folder", "a Path is never a kind"
    with pytest.raises(
        UserError, match=r"kind: must be one of .*phantom\b.* \(got 'phantm'\); did you mean 'phantom'\?"
    ):
        validate({"data": {"sources": [{"kind": "phantm"}]}}, "here")
    for odd in (None, 3, ["phantom"]):
        with pytest.raises(UserError, match=r"data\.sources\.0: kind: must be one of"):
            validate({"data": {"sources": [{"kind": odd}]}}, "here")


NEW = '''
from pathlib import Path
from typing import Literal

from pydantic import Field

from al_cxr.data.dataset import Dataset
from al_cxr.data.sources.phantom import PhantomSource
from al_cxr.data.sources.source import KIND, Source, register


@register
class ScannerSource(Source):
    """Straight from a scanner."""

    usage = "scanner:IMAGES"

    kind: Literal["scanner"] = Field("scanner", description=KIND)
    images: int = Field(60, ge=30, description="how many images are taken")
    bucky: str = Field("wall", description="where the patient stands")

    @classmethod
    def from_text(cls, text: str) -> "ScannerSource":
        return cls.model_validate({"images": text} if text else {})

    @classmethod
    def claims(cls, path: Path) -> bool:
        return path.suffix == ".scan"

    def exists(self) -> bool:
        return True

    def read(self) -> Dataset:
        return PhantomSource(count=self.images).read()

    def describe(self) -> str:
        return f"scanner with {self.images} images"
'''


@pytest.fixture
def new_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file with another kind of source, as a package that is installed besides this one would have it."""
    (tmp_path / "scanner_source.py").write_text(NEW)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = dict(SOURCES._things)
    text_keys.cache_clear()
    importlib.import_module("scanner_source")
    yield
    SOURCES._things.clear()
    SOURCES._things.update(before)
    SOURCES._homes.pop("scanner")
    text_keys.cache_clear()
    sys.modules.pop("scanner_source")


@pytest.mark.usefixtures("new_kind")
def test_one_file_is_enough_for_a_new_kind(tmp_path: Path) -> None:
    assert len(load_data("scanner:50")) == 50 and len(load_data("scanner")) == 60
    experiment = tmp_path / "x.yaml"
    experiment.write_text("data: {sources: [{kind: scanner, images: 40, bucky: 1}]}\n")
    settings = load(experiment)
    assert len(load_first(settings.data)) == 40
    assert settings.record()["data"]["sources"] == [{"kind": "scanner", "images": 40, "bucky": "1"}]
    assert Settings.model_validate(settings.record()) == settings
    with pytest.raises(UserError, match="data source 'scanner:3': images: must be 30 or more"):
        load_data("scanner:3")
    with pytest.raises(
        UserError, match=r"x\.yaml, line 1: data\.sources\.0\.imags: unknown key; did you mean 'images'"
    ):
        experiment.write_text("data: {sources: [{kind: scanner, imags: 40}]}\n")
        load(experiment)
    with pytest.raises(UserError, match=r"data source 'a\.scan': images: must be a whole number"):
        named_source("a.scan")
    with pytest.raises(UserError, match=r"--root: does not apply to scanner with 50 images; leave it out"):
        load_data("scanner:50", root=tmp_path)
    with pytest.raises(UserError, match=r"load_data: val_fraction: must be below 0.5"):
        load_data("scanner:50", val_fraction=0.5)
