"""What the documentation shows: its pages, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(
    r"^(?P<said><!--.*?-->\n)?```(?: \{ \.)?(?P<language>\w+)(?P<title>[^\n]*)\n(?P<text>.*?)^```$", re.S | re.M
)
_SNIPPET = re.compile(r'^--8<-- "(?P<file>[^"]+)"$', re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    """Its path from the repository's root."""
    language: str
    title: str
    text: str
    not_run: str
    """Why it is shown and not run; empty where it is run."""


def blocks(*languages: str) -> list[Block]:
    """Every fenced block in these languages, page by page, files that a block takes in put in their place."""
    found = []
    for page in PAGES:
        for match in _BLOCK.finditer(page.read_text("utf-8")):
            if match["language"] in languages:
                text = _SNIPPET.sub(lambda snippet: (ROOT / "docs" / snippet["file"]).read_text("utf-8"), match["text"])
                said = re.search(r"not run: (.*?) *-->", match["said"] or "")
                name = page.relative_to(ROOT).as_posix()
                found.append(Block(name, match["language"], match["title"], text, said[1] if said else ""))
    return found


def shell_lines() -> list[tuple[str, str]]:
    """(page, command) of every line in a block for the shell, and of every command that fills a cell of a table."""
    lines = [
        (block.page, line.strip())
        for block in blocks("bash", "sh", "console")
        for line in block.text.replace("\\\n", " ").splitlines()
    ]
    for page in PAGES:
        cells = re.findall(r"(?<=\| )`([^`|]+)`(?= \|)", page.read_text("utf-8"))
        lines += [(page.relative_to(ROOT).as_posix(), cell) for cell in cells if re.match(r"(al-cxr|make) \S", cell)]
    return lines


def al_cxr_commands() -> list[tuple[str, str]]:
    """(page, command) of every command of al-cxr that a page shows, from `al-cxr` on."""
    command = re.compile(r"(?:^|\s)(?:\.venv/bin/)?(al-cxr \S.*)$")
    lines = [(page, re.sub(r"(^|\s+)#.*", "", line)) for page, line in shell_lines()]
    return [(page, found[1]) for page, line in lines if (found := command.search(line))]
