"""The table of all published pages: what was asked, on which data, and what came out, read from what is published."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import yaml

from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_ours
from al_cxr.report.kit.numbers import MISSING, interval, number, spread
from al_cxr.report.kit.text import escape
from al_cxr.report.origin import LIMITS
from al_cxr.report.published import PUBLISHED

TITLE = "# Results"
INTRODUCTION = (
    "Every page was written by the command that stands on it, and its published part by `al-cxr publish`, which writes "
    "this table too. Numbers are read from the published tables. Parentheses are 95 % intervals; ± is the standard "
    "deviation over seeds. Of several arms or models the one with the highest figure is named, so chance alone lifts "
    "it a little; the page says what else there was. Experiments compare the area under F1 against labels."
)


@dataclass(frozen=True)
class Row:
    """A published page in one line."""

    asked: str
    data: str
    found: str


def write_published_index(results: Path) -> Path:
    """README.md in the folder of all pages, with a row for each published one; its path.

    UserError where another README.md is in the way.
    """
    path = results / "README.md"
    must_be_ours(path, lambda found: found.read_text(encoding="utf-8", errors="replace").startswith(f"{TITLE}\n"))
    lines = ["| page | what was asked | data | what came out |", "| --- | --- | --- | --- |"]
    for page in sorted((results / PUBLISHED).rglob("README.md")):
        name = page.parent.relative_to(results / PUBLISHED).as_posix()
        row = summary(page.parent)
        link = f"[{escape(name)}]({quote(page.relative_to(results).as_posix())})"
        data = re.sub(r" \([\d, ]+\)", "", row.data)  # without which seeds they are
        lines.append(f"| {link} | {escape(row.asked)} | {escape(data)} | {escape(row.found)} |")
    parts = [TITLE, INTRODUCTION, LIMITS, "\n".join(lines)]
    if benchmarks := [f"- {_link(file, results)}" for file in sorted(results.glob("benchmarks/*.md"))]:
        parts += ["## Benchmarks", "\n".join(benchmarks)]
    write_atomically(path, ("\n\n".join(parts) + "\n").encode())
    return path


def summary(page: Path) -> Row:
    """What a published page is about, and its headline."""
    title = (page / "README.md").read_text(encoding="utf-8").partition("\n")[0]
    if ": active learning on " in title:
        return _experiment(page)
    frame = _table(page, "models")
    tried = frame[frame["seeds"].notna()]
    if tried.empty:
        return Row(MISSING, MISSING, MISSING)
    best = tried.loc[tried["roc_auc"].idxmax()].to_dict()
    models = f"do {len(tried)} models" if len(tried) > 1 else f"does {best['model']}"
    if title.startswith("# Tested on "):
        asked = f"How well {models} tell the classes of these images apart?"
    elif "cross-validation" in title:
        asked = f"How well {models} tell the classes apart when each image is tested on once?"
    else:
        asked = f"How well {models} tell the classes apart, trained on all labels?"
    value = interval(best, "roc_auc", "area")
    if value == number(best["roc_auc"], "area"):
        value = f"{value} ± {spread(best, 'roc_auc', 'area')}"
    return Row(asked, str(best["data"]), f"ROC-AUC {value}" + _highest(str(best["model"]), len(tried)))


def _experiment(page: Path) -> Row:
    """The arm that differs most from random along the budget curve."""
    settings = yaml.safe_load((page / "settings.yaml").read_text(encoding="utf-8"))
    target, arms = settings["data"]["target"], settings["arms"]
    strategies = list(dict.fromkeys(arm["strategy"] for arm in arms.values() if arm["strategy"] != "random"))
    named = f"one of {len(strategies)} strategies" if len(strategies) > 2 else " or ".join(strategies)
    seed = settings["budget"]["seed"]
    first = f"{100 * seed:g} % of the images" if seed <= 1 else f"{seed:g} images"
    asked = f"Does {named} find {target} better than random sampling, once {first} are labelled?"
    frame = _table(page, "against-random")
    tried = frame[frame["difference"].notna()]
    if tried.empty:
        return Row(asked, str(frame["data"].iloc[0]) if len(frame) else MISSING, MISSING)
    best = tried.loc[tried["difference"].idxmax()].to_dict()
    value = interval(best, "difference", "points")
    return Row(asked, str(best["data"]), f"{value} points of F1" + _highest(str(best["arm"]), len(tried)))


def _highest(name: str, count: int) -> str:
    return f", {name}" + (f", the highest of {count}" if count > 1 else "")


def _table(page: Path, name: str) -> pd.DataFrame:
    path = page / "tables" / f"{name}.csv"
    if not path.is_file():
        raise UserError(f"{page}: tables/{name}.csv is missing; publish the page again")
    return pd.read_csv(path)


def _link(file: Path, results: Path) -> str:
    title = file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    return f"[{escape(title)}]({quote(file.relative_to(results).as_posix())}) ({file.stem})"
