"""A table that a reader, a spreadsheet and a program can each use: one object, written as markdown, CSV and JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from al_cxr.core.records import DataCard

Kind = Literal["text", "count", "percent", "points", "area", "seconds"]
MISSING = "—"


def stamp(data: DataCard, seeds: Sequence[int], unfinished: bool = False) -> str:
    """What stands under every table and figure: data set, size of the test set, seeds, and whether it is all there."""
    name = f"{data.name} (synthetic: no patient was imaged)" if data.synthetic else data.name
    n = sum(data.counts["test"].values())
    counted = f"{len(seeds)} seed{'s' * (len(seeds) != 1)} ({', '.join(map(str, seeds))})"
    return f"{name} · test set {n:,} images · {counted}" + " · UNFINISHED" * unfinished


def escape(text: str) -> str:
    """Text from outside as one line of markdown that can neither open a cell, a tag nor a link."""
    return re.sub(r"([\\|`*<\[\]])", r"\\\1", " ".join(str(text).split()))


def file_name(text: str) -> str:
    """Text as a part of a file name: no separators, no spaces."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", text)


def number(value: Any, kind: Kind) -> str:
    """One value as it is printed; shares (0..1) become percentages with one decimal, differences signed points."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if kind == "text":
        return escape(value)
    if kind == "count":
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
    if kind == "area":
        return f"{value:.3f}"
    if kind == "seconds":
        return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
    rounded = round(100 * value, 1) + 0.0  # + 0.0 turns -0.0 into 0.0
    return (f"{rounded:+.1f}" if kind == "points" and rounded else f"{rounded:.1f}").replace("-", "−")


def spread(sd: Any, kind: Kind) -> str:
    """A standard deviation in the unit of its value; one seed has none."""
    return number(sd, "percent" if kind == "points" else kind)


@dataclass(frozen=True)
class Column:
    """A column of the markdown: which column of the frame, printed how (one kind, or one a row), with which spread."""

    title: str
    value: str
    kind: Kind | tuple[Kind, ...] = "text"
    sd: str | None = None

    def cells(self, frame: pd.DataFrame) -> list[str]:
        kinds = (self.kind,) * len(frame) if isinstance(self.kind, str) else self.kind
        cells = [number(v, k) for v, k in zip(frame[self.value], kinds, strict=True)]
        if self.sd is None:
            return cells
        spreads = [spread(v, k) for v, k in zip(frame[self.sd], kinds, strict=True)]
        # A row without seeds is no model's (always one answer): it has no spread, known or unknown.
        bare = frame["seeds"].isna() if "seeds" in frame else [False] * len(frame)
        width = max((len(s) for c, s in zip(cells, spreads, strict=True) if c != MISSING), default=0)
        return [
            c if b or c == MISSING else f"{c} ± {s.rjust(width)}" for c, s, b in zip(cells, spreads, bare, strict=True)
        ]


@dataclass(frozen=True)
class Table:
    """`frame` holds raw numbers (shares in 0..1, seconds) and goes whole into CSV and JSON; `columns` are what the
    markdown shows of it, in that order."""

    name: str
    title: str
    frame: pd.DataFrame
    columns: tuple[Column, ...]
    stamp: str
    notes: tuple[str, ...] = ()

    def grid(self) -> str:
        """The bare markdown table, aligned so that it reads well as plain text."""
        titles = [escape(c.title) for c in self.columns]
        cells = [c.cells(self.frame) for c in self.columns]
        left = [c.kind == "text" for c in self.columns]
        widths = [max(3, len(t), *map(len, column)) for t, column in zip(titles, cells, strict=True)]

        def line(values: Sequence[str]) -> str:
            padded = [v.ljust(w) if a else v.rjust(w) for v, w, a in zip(values, widths, left, strict=True)]
            return f"| {' | '.join(padded)} |"

        rule = ["-" * w if a else "-" * (w - 1) + ":" for w, a in zip(widths, left, strict=True)]
        return "\n".join([line(titles), line(rule), *map(line, zip(*cells, strict=True))])

    def markdown(self, level: int = 3, notes: bool = True) -> str:
        """Title, table, notes (where they were not said just before) and stamp."""
        below = "\n".join(f"- {note}" for note in self.notes) if notes else ""
        parts = [f"{'#' * level} {self.title}", self.grid(), below, f"*{escape(self.stamp)}*"]
        return "\n\n".join(part for part in parts if part) + "\n"

    def files(self) -> dict[str, str]:
        """NAME.md, .csv and .json; the CSV repeats the stamp in each row, in the column `data`."""
        rows = [{k: _plain(v) for k, v in row.items()} for row in self.frame.to_dict("records")]
        document = {"title": self.title, "data": self.stamp, "notes": list(self.notes), "rows": rows}
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        csv = self.frame.assign(data=self.stamp).to_csv(index=False, float_format="%.6g", lineterminator="\n")
        return {f"{self.name}.md": self.markdown(1), f"{self.name}.csv": csv, f"{self.name}.json": text}


def _plain(value: Any) -> Any:
    """A cell as JSON knows it: numpy scalars as Python's, NaN as null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
