"""The page before several reports: one table of all of them, and where each one is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from al_cxr.comparison.compare import per_round
from al_cxr.comparison.finished import Finished
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.prose import notes
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape
from al_cxr.report.origin import LIMITS
from al_cxr.report.rows import ARM, GAIN_BASELINE, GAIN_RANDOM, LABELS


def write_index(folder: Path, reports: Mapping[Path, Finished]) -> Path:
    """index.md and index.html in `folder`, with the last round of every arm; `reports` are pages and what they are of.

    Returns the path of index.md.
    """
    synthetic = any(f.experiment.data.synthetic for f in reports.values())
    stamp = f"{len(reports)} experiments{' · some of synthetic images' if synthetic else ''}"
    page = Page(folder, "Experiments", stamp)
    page.add("\n".join(["## Warnings", "", *_warnings(reports)]), "## Results")
    page.table(_summary(reports))
    links = [f"- [{escape(_name(f))}]({_link(path, folder)})" for path, f in reports.items()]
    page.add("## Reports", "\n".join(links), LIMITS)
    return page.write_as("index.md", "index.html")


def _name(finished: Finished) -> str:
    """An experiment, and the label regime if it is of one."""
    return "/".join(filter(None, (finished.experiment.name, finished.experiment.regime)))


def _link(path: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def _warnings(reports: Mapping[Path, Finished]) -> list[str]:
    lines = []
    for finished in reports.values():
        name, data = escape(_name(finished)), finished.experiment.data
        if data.synthetic:
            lines.append(f"- {name}: the images are synthetic: no patient was imaged.")
        lines += [f"- {name}: {escape(warning)}" for warning in [*finished.gaps, *data.notes]]
    if len({f.experiment.data.fingerprint for f in reports.values()}) > 1:
        lines.append("- Rows of different data sets cannot be compared with one another.")
    return lines or ["- None was found."]


def _summary(reports: Mapping[Path, Finished]) -> Table:
    rows: list[dict[str, object]] = []
    for finished in reports.values():
        about = {"experiment": _name(finished), "data": finished.experiment.data.name}
        about |= {"target": finished.target}
        last = per_round(finished, finished.target).groupby("arm", sort=False).tail(1)
        rows += [about | row for row in last.to_dict("records")]
    shown = (
        Column("experiment", "experiment"),
        Column("data", "data"),
        ARM,
        Column("last round", "round", "count"),
        LABELS,
        Column("target", "target"),
        Column("target F1, %", "f1", "percent", "sd"),
        GAIN_BASELINE,
        GAIN_RANDOM,
        Column("seeds", "seeds", "count"),
    )
    return Table("experiments", "All arms", pd.DataFrame(rows), shown, notes("experiment", "index"))
