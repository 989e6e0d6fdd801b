"""What mkdocs does beside rendering: it takes in the pages that are written from the code, and what lies beside docs/.

A page may link to a file of the repository outside docs/, such as an experiment or the page of a published result. The
site is complete in itself, so such a file comes along, below `repository/`, and so do the files that it links to.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import generated
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

TAKEN = "repository"
LINK = re.compile(r"(?<=\]\()(?!#|[a-z]+:)(?P<target>[^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that no person writes, and every file outside docs/ that a page links to."""
    for path, text in generated.pages().items():
        files.append(File.generated(config, path, content=text))
    root = Path(config.docs_dir).parent
    waiting = [file for file in files if file.src_uri.endswith(".md")]
    while waiting:
        file = waiting.pop()
        for target in LINK.findall(file.content_string):
            found = _linked(_place(file.src_uri), target)
            address = _address(found)
            if address in files.src_uris or not address.startswith(TAKEN) or not (root / found).is_file():
                continue
            content = (root / found).read_bytes()
            taken = File.generated(config, address, content=content)
            files.append(taken)
            if address.endswith(".md"):
                waiting.append(taken)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points links that leave docs/ to where the site has these files; the search leaves pages from outside out."""
    here = page.file.src_uri
    if here.startswith(TAKEN):
        page.meta["search"] = {"exclude": True}

    def inside(match: re.Match[str]) -> str:
        address = _address(_linked(_place(here), match["target"]))
        return os.path.relpath(address, Path(here).parent) if address in files.src_uris else match["target"]

    return LINK.sub(inside, markdown)


def _place(address: str) -> Path:
    """Where a file of the site lies in the repository."""
    path = Path(address)
    return path.relative_to(TAKEN) if path.parts[0] == TAKEN else Path("docs") / path


def _address(place: Path) -> str:
    """Where the site has a file of the repository."""
    return (place.relative_to("docs") if place.parts[0] == "docs" else TAKEN / place).as_posix()


def _linked(place: Path, target: str) -> Path:
    """The file of the repository that a link in the file at `place` means."""
    return Path(os.path.normpath(place.parent / target))
