"""A page as one HTML file that needs nothing else: no network, no file beside it, no script but its own.

Everything from outside (names of classes and files, notes, settings) is text: jinja2 escapes it, markdown-it knows no
raw HTML, and the page's own Content-Security-Policy runs the one script and the one style it was written with.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from jinja2 import Environment, StrictUndefined, Template
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from PIL import Image

from al_cxr.report.kit.document import Block, Facts, Listing, Picture, Tabulated
from al_cxr.report.kit.figures import DPI
from al_cxr.report.kit.numbers import MISSING
from al_cxr.report.kit.prose import TEMPLATES

MARKDOWN = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable("table")


@dataclass
class Section:
    """What stands below one heading of the second level; `below` are the headings of the third, for the contents."""

    id: str
    heading: Markup
    parts: list[Markup] = field(default_factory=list)
    below: list[tuple[str, Markup]] = field(default_factory=list)


def render(title: str, blocks: Sequence[Block], folder: Path, shown_in: Path) -> str:
    """The page with this title (markdown, one line) as the text of a HTML file.

    `folder` is where relative images of markdown are found; they are embedded if they lie inside it. Pictures of
    another folder than `shown_in` or `folder` are told and not shown.
    """
    style, script = (TEMPLATES.joinpath(name).read_text("utf-8") for name in ("style.css", "script.js"))
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    writer = _Writer(folder, shown_in)
    for block in blocks:
        writer.add(block)
    page = _template("page.html").render(
        title=inline(title),
        plain_title=inline(title).striptags(),
        sections=writer.sections,
        style=Markup(style),
        script=Markup(script),
        policy=policy,
    )
    return page + "\n"


def inline(markdown: str) -> Markup:
    """One line of markdown as HTML."""
    return Markup(MARKDOWN.renderInline(markdown))


def _template(name: str) -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATES.joinpath(name).read_text("utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _pixels(path: Path) -> str:
    """A saved figure as WebP without loss: the same pixels in fewer bytes."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(buffer, format="webp", lossless=True, quality=20, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _size(path: Path) -> tuple[int, int]:
    """Width and height at which a figure is shown, in CSS pixels: letters as large as they were drawn."""
    with Image.open(path) as image:
        return round(96 / DPI * image.width), round(96 / DPI * image.height)


def _unbroken(heading: str) -> str:
    """A short word stays with its neighbour when a heading is broken into lines: "accuracy, %", "+ normal"."""
    return re.sub(r"(?<=^\S) | (?=\S{1,2}$)", "\u00a0", heading)


def _numbers(cells: Sequence[str]) -> bool:
    """Whether a column is one of numbers, printed with whatever follows them: 69.4 ± 1.0, +0.3 (−2.1 to +3.1), 0.56."""
    filled = [cell for cell in cells if cell not in ("", MISSING)]
    return bool(filled) and all(re.match(r"(&[lg]t;\s*)?[+−-]?\d[\d,.]*(?=[\s,;]|$)", cell) for cell in filled)


class _Writer:
    """Sections that grow block by block; the macros of blocks.html say what each block looks like."""

    def __init__(self, folder: Path, shown_in: Path) -> None:
        self.macros = _template("blocks.html").module
        self.folder, self.shown_in = folder, shown_in
        self.sections = [Section("start", Markup(""))]
        self.ids = {"start", "content"}

    def add(self, block: Block) -> None:
        match block:
            case str():
                self._markdown(block)
            case Facts():
                self._part("facts", block.items)
            case Listing():
                self._part("listing", block.caption, block.path.as_posix(), block.text)
            case Tabulated():
                self._table(block)
            case Picture():
                self._picture(block)

    def _part(self, macro: str, *arguments: object) -> None:
        self.sections[-1].parts.append(getattr(self.macros, macro)(*arguments))

    def _id(self, heading: Markup) -> str:
        """A heading's name in the address, each once."""
        slug = re.sub(r"[^a-z0-9]+", "-", heading.striptags().lower()).strip("-") or "section"
        found, n = slug, 2
        while found in self.ids:
            found, n = f"{slug}-{n}", n + 1
        self.ids.add(found)
        return found

    def _markdown(self, text: str) -> None:
        """Markdown in one or more pieces: each heading of the second level begins a section."""
        tokens = MARKDOWN.parse(text)
        begin = 0
        for i, token in enumerate(tokens):
            if token.type == "inline":
                self._local(token)
            if token.type != "heading_open" or token.level:
                continue
            heading = inline(tokens[i + 1].content)
            name = self._id(heading)
            if token.tag == "h2":
                self._tokens(tokens[begin:i])
                self.sections.append(Section(name, heading))
                begin = i + 3
            else:
                token.attrSet("id", name)
                self.sections[-1].below.append((name, heading))
        self._tokens(tokens[begin:])

    def _tokens(self, tokens: list[Token]) -> None:
        if tokens:
            html = Markup(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {}))
            # A table may be wider than the screen; then it moves and not the page.
            opened = html.replace("<table>", Markup('<div class="scroll" tabindex="0"><table>'))
            self.sections[-1].parts.append(opened.replace("</table>", Markup("</table></div>")))

    def _local(self, token: Token) -> None:
        """Images of the page's folder are embedded. Links to other pages are links to their HTML; links to files
        become text, because what they hold is on this page and the files are not where it will be read."""
        kept: list[Token] = []
        dropped = 0
        for child in token.children or []:
            if child.type == "image":
                path = (self.folder / unquote(str(child.attrs["src"]))).resolve()
                if path.suffix == ".png" and path.is_relative_to(self.folder.resolve()) and path.is_file():
                    child.attrSet("src", _pixels(path))
                else:
                    child = Token("text", "", 0, content=child.content)
            elif child.type == "link_open":
                target = str(child.attrs["href"])
                if target.rpartition("/")[2] == "README.md":
                    child.attrSet("href", target.removesuffix("README.md") + "report.html")
                elif not re.match(r"https?:|#", target):
                    dropped += 1
                    continue
            elif child.type == "link_close" and dropped:
                dropped -= 1  # links do not nest, so this one closes the one that was dropped
                continue
            kept.append(child)
        token.children = kept

    def _table(self, block: Tabulated) -> None:
        table, title = block.table, inline(block.table.title)
        name = self._id(title)
        if block.inline:
            self.sections[-1].below.append((name, title))
        cells = [[inline(cell) for cell in column.cells(table.frame)] for column in table.columns]
        columns = [
            (inline(_unbroken(column.title)), column.value, _numbers(values))
            for column, values in zip(table.columns, cells, strict=True)
        ]
        notes = [inline(note) for note in table.notes] if block.notes else []
        rows = list(zip(*cells, strict=True))
        self._part("table", name, title, columns, rows, notes, block.stamp, block.inline)

    def _picture(self, picture: Picture) -> None:
        if picture.folder not in (self.folder, self.shown_in):
            self._part("hidden", picture.elsewhere)
            return
        self._part("picture", _pixels(picture.path), *_size(picture.path), picture.caption, picture.inline)
