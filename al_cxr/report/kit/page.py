"""A page: text, tables and figures in one order, written as markdown and as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from matplotlib.figure import Figure

from al_cxr.core.outputs import must_be_free, write_files
from al_cxr.report.kit.document import Block, Facts, Listing, Picture, Tabulated
from al_cxr.report.kit.figures import add_stamp, png, source_of
from al_cxr.report.kit.html import render
from al_cxr.report.kit.tables import Table
from al_cxr.report.kit.text import escape

PAGE = ("README.md", "report.html")


class Page:
    """A document that grows, and is written as README.md and, with everything inside, as report.html.

    Its tables and figures also go into folders beside it, and README.md links them relatively. Nothing is written
    before the page is, so that an error on the way leaves no half of it.
    """

    def __init__(self, folder: Path, title: str, stamp: str = "", gallery: Path | None = None) -> None:
        """`title` is one line of markdown; `stamp` stands under every table and figure and says what they are of.

        Images of patients go into `gallery` alone, so that `folder` can be published; None: nobody was imaged.
        """
        self.folder = folder
        self.title = title
        self.stamp = stamp
        self.gallery = gallery or folder
        self.blocks: list[Block] = []
        self._files: dict[Path, dict[str, bytes]] = {folder: {}}

    def add(self, *parts: str) -> None:
        """Markdown, as it is."""
        self.blocks += [part.rstrip("\n") for part in parts if part]

    def facts(self, items: Mapping[str, str]) -> None:
        """Names and what they are, as plain text; nothing where there are none."""
        if items:
            self.blocks.append(Facts(dict(items)))

    def file(self, path: Path, data: bytes) -> None:
        """A file at `path` below the page's folder."""
        self._file(self.folder, path, data)

    def _file(self, folder: Path, path: Path, data: bytes) -> None:
        self._files.setdefault(folder, {})[path.as_posix()] = data

    def listing(self, caption: str, path: Path, text: str) -> None:
        """A text file at `path` below the page's folder, linked."""
        self.file(path, text.encode())
        self.blocks.append(Listing(caption, path, text))

    def table(self, table: Table, inline: bool = True, notes: bool = True) -> None:
        """Written in all formats, and shown here (inline) or linked."""
        self.table_files(table)
        self.blocks.append(Tabulated(table, self.stamp, inline, notes))

    def table_files(self, table: Table) -> None:
        """Written in all formats, and neither shown nor linked."""
        for name, text in table.files(self.stamp).items():
            self.file(Path("tables", name), text.encode())

    def figure(self, figure: Figure, name: str, caption: str, inline: bool = True, stamp: str | None = None) -> None:
        """Written as figures/NAME.png, and shown here (inline) or linked; `stamp` where it is not the page's."""
        self._draw(self.folder, figure, name, caption, inline, stamp)

    def radiographs(
        self, figure: Figure, name: str, caption: str, source: str, inline: bool = True, stamp: str | None = None
    ) -> None:
        """A figure that shows images, made from `source`: written into the gallery.

        Where that is not the page's folder, this page only says so, and a second report.html in the gallery shows it.
        """
        self._draw(self.gallery, figure, name, caption, inline, stamp, source)

    def earlier_radiographs(self, name: str, caption: str, source: str, inline: bool = True) -> None:
        """The same figure from an earlier time stays on the page if it was made from this very `source`."""
        path = self.gallery / "figures" / f"{name}.png"
        if path.exists() and source_of(path) == source:
            self.blocks.append(Picture(path, caption, inline, self.gallery))

    def _draw(
        self, folder: Path, figure: Figure, name: str, caption: str, inline: bool, stamp: str | None, source: str = ""
    ) -> None:
        path = Path("figures", f"{name}.png")
        add_stamp(figure, self.stamp if stamp is None else stamp)
        self._file(folder, path, png(figure, source))
        self.blocks.append(Picture(folder / path, caption, inline, folder))

    def write(self) -> Path:
        """Both forms; the path of README.md."""
        return self.write_as(*PAGE)

    def write_as(self, markdown: str, html: str) -> Path:
        """Both forms under these names; the path of the markdown."""
        text = "\n\n".join([f"# {self.title}", *map(self._markdown, self.blocks)])
        self.file(Path(markdown), f"{text}\n".encode())
        private = [block.folder for block in self.blocks if isinstance(block, Picture)]
        folders = list(dict.fromkeys([self.folder, *private]))
        for folder in folders:
            must_be_free(folder, [*self._files.get(folder, {}), html])
        for folder, files in self._files.items():
            write_files(folder, files)
        for folder in folders:  # last, because it holds the figures
            write_files(folder, {html: render(self.title, self.blocks, self.folder, folder).encode()})
        return self.folder / markdown

    def _markdown(self, block: Block) -> str:
        match block:
            case Facts(items):
                return "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in items.items())
            case Listing(caption, path):
                return f"[{escape(caption)}]({quote(path.as_posix())})"
            case Tabulated(table, stamp, inline, notes):
                link = f"[{table.title}]({quote(f'tables/{table.name}.md')})"
                return (table.markdown(stamp, notes=notes) if inline else link).rstrip("\n")
            case Picture() if block.folder != self.folder:
                return escape(block.elsewhere)
            case Picture(path, caption, inline):
                link = f"[{escape(caption)}]({quote(f'figures/{path.name}')})"
                return f"!{link}" if inline else link
        return block
