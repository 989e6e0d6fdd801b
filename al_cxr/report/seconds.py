"""Seconds apart from results: a table of both, as markdown or as CSV, becomes one of results and one of seconds."""

from __future__ import annotations

import csv
import io
import re

_TITLE = re.compile(r".+, s|seconds")
"""Of a markdown table's column that holds seconds."""
_COLUMN = re.compile(r"\w+_s(_sd|_seed_\d+)?|seconds(_sd)?")
"""Of a CSV."""
_KEYS = ("seed", "seeds", "round", "labels", "data")
"""Columns, beside the first, that say what a row is about."""


def grid_without_seconds(grid: str) -> str:
    """The rows of a markdown table without its columns of seconds."""
    rows = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in grid.splitlines()]
    kept = [i for i, title in enumerate(rows[0]) if not _TITLE.fullmatch(title.strip())]
    if len(kept) == len(rows[0]):
        return grid
    return "\n".join(f"|{'|'.join(row[i] for i in kept)}|" for row in rows)


def split_seconds(text: str) -> tuple[str, str]:
    """(the results, the seconds) of a CSV, each "" where there are none. Cells stay the text that they are."""
    rows = list(csv.reader(io.StringIO(text)))
    names = rows[0]
    seconds = [i for i, name in enumerate(names) if _COLUMN.fullmatch(name)]
    keys = [i for i, name in enumerate(names) if i == 0 or name in _KEYS]
    results = [i for i in range(len(names)) if i not in seconds]
    if not seconds:
        return text, ""
    if set(results) <= set(keys):
        return "", text
    return _csv(rows, results), _csv(rows, sorted({*keys, *seconds}))


def _csv(rows: list[list[str]], columns: list[int]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([row[i] for i in columns] for row in rows)
    return out.getvalue()
