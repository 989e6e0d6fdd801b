"""The page around tables and figures: warnings first, then where the numbers come from, then the numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_free, write_files
from al_cxr.core.records import DataCard, ExperimentRecord
from al_cxr.report.kit.document import Block, Facts, Listing, Picture, Tabulated
from al_cxr.report.kit.figures import Figure, png
from al_cxr.report.kit.html import render
from al_cxr.report.kit.tables import Table, escape

PAGE = ("README.md", "report.html")


class Page:
    """A document that grows, and is written as README.md and, with everything inside, as report.html.

    Its tables and figures also go into folders beside it, and README.md links them relatively. Nothing is written
    before the page is, so that an error on the way leaves no half of it.
    """

    def __init__(self, folder: Path, title: str) -> None:
        """`title` is one line of markdown."""
        self.folder = folder
        self.title = title
        self.blocks: list[Block] = []
        self._files: dict[Path, dict[str, bytes]] = {folder: {}}

    def add(self, *parts: str) -> None:
        """Markdown, as it is."""
        self.blocks += [part.rstrip("\n") for part in parts if part]

    def facts(self, items: Mapping[str, str]) -> None:
        """Names and what they are, as plain text; nothing where there are none."""
        if items:
            self.blocks.append(Facts(dict(items)))

    def file(self, path: Path, data: bytes, folder: Path | None = None) -> None:
        """A file at `path` below the page's folder, or below the one that it must stay in."""
        self._files.setdefault(folder or self.folder, {})[path.as_posix()] = data

    def listing(self, caption: str, path: Path, text: str) -> None:
        """A text file at `path` below the page's folder, linked."""
        self.file(path, text.encode())
        self.blocks.append(Listing(caption, path, text))

    def table(self, table: Table, inline: bool = True, notes: bool = True) -> None:
        """Written in all formats, and shown here (inline) or linked."""
        self.table_files(table)
        self.blocks.append(Tabulated(table, inline, notes))

    def table_files(self, table: Table) -> None:
        """Written in all formats, and neither shown nor linked."""
        for name, text in table.files().items():
            self.file(Path("tables", name), text.encode())

    def figure(
        self,
        figure: Figure | None,
        name: str,
        caption: str,
        inline: bool = True,
        source: str = "",
        folder: Path | None = None,
    ) -> None:
        """Written (None: it is there already), and shown here (inline) or linked.

        A figure with images of patients names the `folder` it must stay in: it is written there, this page only says
        so, and a second report.html in that folder shows it.
        """
        folder, path = folder or self.folder, Path("figures", f"{name}.png")
        if figure is not None:
            self.file(path, png(figure, source), folder)
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
            case Tabulated(table, inline, notes):
                link = f"[{table.title}]({quote(f'tables/{table.name}.md')})"
                return (table.markdown(notes=notes) if inline else link).rstrip("\n")
            case Picture() if block.folder != self.folder:
                return escape(block.elsewhere)
            case Picture(path, caption, inline):
                link = f"[{escape(caption)}]({quote(f'figures/{path.name}')})"
                return f"!{link}" if inline else link
        return block


def warnings(data: DataCard, commit: str, seeds: int, gaps: Sequence[str], more: Sequence[str] = ()) -> str:
    """What a reader must know before any number."""
    found = []
    if data.synthetic:
        found.append("The images are synthetic: no patient was imaged. Nothing here says anything about radiographs.")
    if gaps:
        found.append("Unfinished: the tables are made of what is complete; rows marked † lack seeds.")
        found += [f"Missing: {gap}" for gap in gaps]
    if seeds == 1:
        found.append("One seed: there is no spread, and no difference can be told from chance.")
    if "unknown" in commit or "-dirty" in commit:
        found.append(f"The code's commit is {commit}: these numbers cannot be traced to one version of the code.")
    found += [*more, *data.notes]
    lines = [f"- {escape(warning)}" for warning in found] or ["- None was found."]
    return "\n".join(["## Warnings", "", *lines])


def machine(run_dir: Path) -> dict[str, Any]:
    """Device, precision and threads that a run was computed with, and what failed, as it noted them; empty where it did
    not."""
    path = run_dir / "machine.json"
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        raise UserError(
            f"{path}: this is not JSON, or only a part of it; delete the file, and start the same command again"
        ) from None
    keys = ("device", "precision", "score_precision", "threads", "score_batch", "channels_last", "note")
    return {key: found[key] for key in keys if found.get(key) not in (None, "")}


def add_provenance(page: Page, record: ExperimentRecord, seeds: Sequence[int], machine: dict[str, Any]) -> None:
    """Command, commit, seeds, data set and its fingerprint, versions; and for programs `add_listings`."""
    add_origin(page, record, seeds, machine)
    add_listings(page, record, seeds, machine)


def add_origin(page: Page, record: ExperimentRecord, seeds: Sequence[int], machine: dict[str, Any]) -> None:
    """Command, commit, seeds, data set and its fingerprint, versions."""
    data = record.data
    counts = "; ".join(
        f"{split} {sum(by.values()):,} ({', '.join(f'{name} {n:,}' for name, n in by.items())})"
        for split, by in data.counts.items()
    )
    page.add("## Where the numbers come from", "    " + " ".join(record.command.split()))
    page.facts(
        {
            "commit": record.commit,
            "seeds": ", ".join(map(str, seeds)),
            "data set": data.name + " (synthetic: no patient was imaged)" * data.synthetic,
            "fingerprint": data.fingerprint,
            "images": f"{counts}; {data.image_size} × {data.image_size} pixels",
            "attribution": data.attribution or "none given",
            "computed with": ", ".join(f"{k} {v}" for k, v in machine.items()) or "not noted",
            "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
        }
    )


def add_listings(
    page: Page, record: ExperimentRecord, seeds: Sequence[int], machine: dict[str, Any], folder: Path = Path()
) -> None:
    """For programs settings.yaml and environment.json, in `folder` below the page's."""
    data = record.data
    settings = yaml.safe_dump(record.settings, sort_keys=False, allow_unicode=True)
    page.listing("All settings", folder / "settings.yaml", settings)
    environment = {
        "name": record.name,
        "command": record.command,
        "commit": record.commit,
        "seeds": list(seeds),
        "data": data.model_dump(mode="json"),
        "machine": machine,
        "versions": record.versions,
    }
    text = json.dumps(environment, indent=1, ensure_ascii=False) + "\n"
    page.listing("The environment", folder / "environment.json", text)


LIMITS = "Research only: not a medical device. Percentages have one decimal, differences are in percentage points."
