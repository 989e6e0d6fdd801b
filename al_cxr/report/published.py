"""The published form of a page: what of it is worth keeping under version control, made from the page alone.

Kept are the text, the settings, the first figures that the text shows, in few colours, and a CSV of each table that it
shows. Seconds stand in files of their own, since they differ from machine to machine. What is only linked is not kept:
whoever has the run writes it again.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_free, replace_files
from al_cxr.report.kit.figures import in_few_colours
from al_cxr.report.kit.text import escape
from al_cxr.report.seconds import grid_without_seconds, split_seconds

PUBLISHED = "published"
"""Folder of the published pages, below that of all pages."""
FIGURES = 3
"""Of a page, the first that it shows."""
COLOURS = 32
"""Of a published figure."""

_LINK = re.compile(r"(!?)\[((?:\\.|[^\[\]\\])*)\]\(([^()\s]+)\)")
_HEADING = re.compile(r"(#+) ")


def publish(page: Path, to: Path) -> Path:
    """Write the published form of the page in a folder into another folder; the path of its README.md.

    Files that were published there before and are not any more are removed. UserError where the folder holds no page,
    and where a file of somebody else is in the way.
    """
    if page.resolve() == to.resolve():
        raise UserError(f"{page}: this is the published page itself; name its run, or the page that its run wrote")
    source = page / "README.md"
    if not source.is_file():
        raise UserError(f"{page}: there is no page (README.md) in it; `al-cxr report RUN` writes the page of a run")
    text = source.read_text(encoding="utf-8")
    files = published_files(page, text)
    must_be_free(to, files)
    replace_files(to, files)
    return to / "README.md"


def published_files(page: Path, text: str) -> dict[str, bytes]:
    """The files of the published form, by their paths below its folder, from a page's folder and its text."""
    kept, titles = _kept(page, text), {}
    blocks = text.rstrip("\n").split("\n\n")
    as_published: dict[str, str] = {}
    for table in sorted(page.glob("tables/*.md")):
        own = table.read_text(encoding="utf-8")
        grid, csv = _grid(own), table.with_suffix(".csv")
        if not csv.is_file():
            continue
        results, seconds = split_seconds(csv.read_text(encoding="utf-8"))
        if grid in blocks and results:
            as_published[grid] = grid_without_seconds(grid)
        elif grid not in blocks and (results or f"(tables/{table.name})" not in text):
            continue  # of what is only linked, a table of nothing but seconds is kept
        for folder, content in (("tables", results), ("times", seconds)):
            if content:
                kept[f"{folder}/{csv.name}"] = content.encode()
                titles[f"{folder}/{csv.name}"] = own.partition("\n")[0].lstrip("# ")
    left = [_without_links(as_published.get(block, block), kept) for block in blocks]
    body = _without_empty_sections([block for block in left if block])
    return {"README.md": "\n\n".join([*body, *_what_is_published(titles)]).encode() + b"\n", **kept}


def _kept(page: Path, text: str) -> dict[str, bytes]:
    """The figures and the files of settings that a page shows or links."""
    found: dict[str, bytes] = {}
    figures = 0
    for shown, _, target in _LINK.findall(text):
        path = _inside(page, target)
        if path is None or target in found:
            continue
        if shown and path.suffix == ".png" and figures < FIGURES:
            figures += 1
            found[target] = in_few_colours(path.read_bytes(), COLOURS)
        elif not shown and path.suffix in (".yaml", ".json"):
            found[target] = path.read_bytes()
    return found


def _inside(page: Path, target: str) -> Path | None:
    """The file that a link leads to, if it lies in the page's folder."""
    path = page / PurePosixPath(unquote(target))
    return path if path.is_file() and path.resolve().is_relative_to(page.resolve()) else None


def _grid(table: str) -> str:
    """The rows of a table that has a page of its own."""
    return "\n".join(line for line in table.splitlines() if line.startswith("|"))


def _without_links(block: str, kept: dict[str, bytes]) -> str:
    """A block without the links to what is not kept: a line that is such a link goes, inside a sentence its text stays.

    A line of code has no links.
    """
    lines = []
    for line in block.split("\n"):
        gone = [found for found in _LINK.finditer(line) if "://" not in found[3] and found[3] not in kept]
        if not gone or line.startswith("    "):
            lines.append(line)
        elif not line.rstrip().endswith(gone[-1][0]):
            lines.append(_LINK.sub(lambda found: found[0] if found[3] in kept or "://" in found[3] else found[2], line))
    return "\n".join(lines)


def _without_empty_sections(blocks: list[str]) -> list[str]:
    """Blocks without the headings below which nothing is left."""
    kept: list[str] = []
    for block in reversed(blocks):
        heading = _HEADING.match(block)
        if heading and "\n" not in block:
            below = _HEADING.match(kept[-1]) if kept else None
            if not kept or (below and len(below[1]) <= len(heading[1])):
                continue
        kept.append(block)
    return kept[::-1]


def _what_is_published(titles: dict[str, str]) -> list[str]:
    """What stands below a published page."""
    text = (
        f"The text of the page, its first {FIGURES} figures (reduced to {COLOURS} colours) and one CSV a table. "
        "Everything else, such as the tables and figures of single models and each prediction, is written again by the "
        "command above, or by `al-cxr report` from its run."
    )
    if any(name.startswith("times/") for name in titles):
        text += " Seconds of wall clock depend on the machine and stand in `times`."
    listed = [f"- [{name}]({name}): {escape(title)}" for name, title in sorted(titles.items())]
    return ["## What is published", text, *(["\n".join(listed)] if listed else [])]
