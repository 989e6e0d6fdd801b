"""What a kind of data source is: its settings, and how radiographs are read with them."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Self, TypeVar

from al_cxr.config.source import SOURCES, SourceSettings
from al_cxr.core.errors import UserError
from al_cxr.data.dataset import Dataset

S = TypeVar("S", bound="Source")

KIND = "what this kind of source is called; an experiment file has to say it"
"""Description of the field `kind` of every kind."""


class Source(SourceSettings):
    """A place that radiographs come from. A kind of source is a subclass of this with the decorator `@register`.

    Its fields are its settings in an experiment file, each with a description; the default of `kind` is its name.
    """

    usage: ClassVar[str]
    """How --data names a source of this kind, such as phantom[:COUNT]."""
    fetchable: ClassVar[bool] = False
    """Whether `fetch` can download it."""

    @classmethod
    @abstractmethod
    def from_text(cls, text: str) -> Self:
        """The source that `--data KIND:TEXT` names; `text` is "" for `--data KIND`.

        ValidationError for a setting out of its range, ValueError for a text that names nothing.
        """

    @classmethod
    def claims(cls, path: Path) -> bool:
        """Whether `--data PATH`, without a kind, means a source of this kind; a folder is the last resort."""
        return False

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is anything at the place that is named; what is there may still be broken."""

    @abstractmethod
    def read(self) -> Dataset:
        """The data set as it is: `split_N` is "" everywhere if it has no splits, and splits may be missing.

        Reads names, labels and sizes, and no pixel. UserError for what is not there or cannot be used.
        """

    @abstractmethod
    def describe(self) -> str:
        """The source in a few words, for messages."""

    def short_name(self) -> str:
        """What the folder of a run is called after."""
        return self.kind

    def image_folder(self) -> Path | None:
        """The folder of which every image is read, and in which nothing may be written; None where files are listed."""
        return None

    def warnings(self, image_size: int) -> tuple[str, ...]:
        """What is to be said when its images are used with a side of so many pixels."""
        return ()

    def fetch(self, folder: Path | None) -> str:
        """Downloads it into a folder (None: the usual one), and returns how --data names what was fetched."""
        raise UserError(f"{self.describe()}: nothing that can be downloaded")


def register(kind: type[S]) -> type[S]:
    """Decorator: makes a kind of source known under its `kind`."""
    SOURCES.add(kind.model_fields["kind"].default, kind, kind.__module__)
    return kind


def kinds() -> dict[str, type[Source]]:
    """Every kind of source by its name, sorted."""
    found = {name: SOURCES.get(name) for name in SOURCES.names()}
    return {name: kind for name, kind in found.items() if issubclass(kind, Source)}


def readable(settings: SourceSettings) -> Source:
    """A source among the settings of an experiment, as what it is: settings that can be read from."""
    if not isinstance(settings, Source):
        raise TypeError(f"{type(settings).__name__} holds the settings of a source and cannot read one")
    return settings
