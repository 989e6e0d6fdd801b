"""A table that a reader, a spreadsheet and a program can each use: one object, written as markdown, CSV and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from al_cxr.report.kit.numbers import MISSING, Kind, bounds, interval, number, spread, up_to
from al_cxr.report.kit.text import escape

Form = Literal["value", "sd", "interval", "bounds", "seeds"]


@dataclass(frozen=True)
class Column:
    """A column of the markdown: which column of the frame, in which unit (one kind, or one a row), printed how.

    value       82.5
    sd          82.5 ± 1.4                       and VALUE_sd
    interval    82.5 (77.1 to 86.8)              and VALUE_low, VALUE_high
    bounds      at least 1.35 (1.10 or more)     of VALUE_least, VALUE_most, VALUE_low, VALUE_high
    seeds       +0.4 −0.2 +1.1                   of every VALUE_seed_S

    The frame itself stays numeric. `budget` names its column that an infinite value is beyond, and `note` one with
    words that follow the number.
    """

    title: str
    value: str
    kind: Kind | tuple[Kind, ...] = "text"
    form: Form = "value"
    budget: str = ""
    note: str = ""

    @property
    def is_text(self) -> bool:
        """Whether it is read from the left."""
        return self.kind == "text" or bool(self.note)

    def cells(self, frame: pd.DataFrame) -> list[str]:
        """What is printed in each row, as markdown."""
        kinds = [self.kind] * len(frame) if isinstance(self.kind, str) else self.kind
        rows = frame.to_dict("records")
        if self.form == "sd":
            return self._with_spread(rows, kinds)
        return [escape(self._cell(row, kind)) for row, kind in zip(rows, kinds, strict=True)]

    def _cell(self, row: Mapping[str, Any], kind: Kind) -> str:
        match self.form:
            case "interval":
                return interval(row, self.value, kind, self.budget)
            case "bounds":
                return bounds(row, self.value, kind)
            case "seeds":
                each = [number(row[name], kind) for name in row if name.startswith(f"{self.value}_seed_")]
                return " ".join(each) if any(text != MISSING for text in each) else ""
        value = up_to(row, self.value, kind, self.budget)
        return f"{value}{row[self.note]}" if self.note and value != MISSING else value

    def _with_spread(self, rows: Sequence[Mapping[str, Any]], kinds: Sequence[Kind]) -> list[str]:
        values = [escape(up_to(row, self.value, kind)) for row, kind in zip(rows, kinds, strict=True)]
        spreads = [spread(row, self.value, kind) for row, kind in zip(rows, kinds, strict=True)]
        # A row without seeds is no model's (always one answer): it has no spread, known or unknown.
        bare = [number(row.get("seeds", 1), "count") == MISSING for row in rows]
        width = max((len(s) for value, s in zip(values, spreads, strict=True) if value != MISSING), default=0)
        return [
            value if alone or value == MISSING else f"{value} ± {s.rjust(width)}"
            for value, s, alone in zip(values, spreads, bare, strict=True)
        ]


@dataclass(frozen=True)
class Table:
    """`frame` holds raw numbers (shares in 0..1, seconds) and goes whole into CSV and JSON; `columns` are what the
    markdown shows of it, in that order. Title and notes are markdown. What the numbers are of is said by a stamp."""

    name: str
    title: str
    frame: pd.DataFrame
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()

    def grid(self) -> str:
        """The bare markdown table, aligned so that it reads well as plain text."""
        titles = [escape(c.title) for c in self.columns]
        cells = [c.cells(self.frame) for c in self.columns]
        left = [c.is_text for c in self.columns]
        widths = [max(3, len(t), *map(len, column)) for t, column in zip(titles, cells, strict=True)]

        def line(values: Sequence[str]) -> str:
            padded = [v.ljust(w) if a else v.rjust(w) for v, w, a in zip(values, widths, left, strict=True)]
            return f"| {' | '.join(padded)} |"

        rule = ["-" * w if a else "-" * (w - 1) + ":" for w, a in zip(widths, left, strict=True)]
        return "\n".join([line(titles), line(rule), *map(line, zip(*cells, strict=True))])

    def markdown(self, stamp: str, level: int = 3, notes: bool = True) -> str:
        """Title, table, notes (where they were not said just before) and stamp."""
        below = "\n".join(f"- {note}" for note in self.notes) if notes else ""
        parts = [f"{'#' * level} {self.title}", self.grid(), below, f"*{escape(stamp)}*"]
        return "\n\n".join(part for part in parts if part) + "\n"

    def files(self, stamp: str) -> dict[str, str]:
        """NAME.md, .csv and .json; the CSV repeats the stamp in each row, in the column `data`."""
        rows = [{key: _plain(value) for key, value in row.items()} for row in self.frame.to_dict("records")]
        document = {"title": self.title, "data": stamp, "notes": list(self.notes), "rows": rows}
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        csv = self.frame.assign(data=stamp).to_csv(index=False, float_format="%.6g", lineterminator="\n")
        return {f"{self.name}.md": self.markdown(stamp, 1), f"{self.name}.csv": csv, f"{self.name}.json": text}


def _plain(value: Any) -> Any:
    """A cell as JSON knows it: numpy scalars as Python's, NaN as null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
