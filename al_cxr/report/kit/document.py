"""What a page is made of, before it is markdown or HTML. A plain string is a block too: markdown as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from al_cxr.report.kit.tables import Table


@dataclass(frozen=True)
class Facts:
    """Names and what they are, as plain text."""

    items: Mapping[str, str]


@dataclass(frozen=True)
class Listing:
    """A text file beside the page; `path` is relative to it."""

    caption: str
    path: Path
    text: str


@dataclass(frozen=True)
class Tabulated:
    """A table, open (inline) or behind its title, with its notes or without."""

    table: Table
    stamp: str
    inline: bool
    notes: bool


@dataclass(frozen=True)
class Picture:
    """A figure, saved as the PNG `path`.

    `folder` is the folder of the page that may show it: that of the results, or a run's own.
    """

    path: Path
    caption: str
    inline: bool
    folder: Path

    @property
    def elsewhere(self) -> str:
        """What a page says that must not show it."""
        return (
            f"{self.caption}: figures/{self.path.name} in the run's own folder. Radiographs of patients stay there and "
            "are never part of the results."
        )


Block = str | Facts | Listing | Tabulated | Picture
