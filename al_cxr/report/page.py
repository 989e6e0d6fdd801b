"""The page around tables and figures: warnings first, then where the numbers come from, then the numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from al_cxr.errors import UserError
from al_cxr.records import DataCard, ExperimentRecord, write_atomically
from al_cxr.report.figures import Figure, save
from al_cxr.report.tables import Table, escape


class Page:
    """A README.md that grows; its tables and figures go into folders beside it and are linked relatively."""

    def __init__(self, folder: Path, title: str) -> None:
        self.folder = folder
        self.parts = [f"# {title}"]

    def add(self, *parts: str) -> None:
        self.parts += [part.rstrip("\n") for part in parts if part]

    def table(self, table: Table, inline: bool = True, notes: bool = True) -> None:
        """Written in all formats, and shown here (inline) or linked."""
        table.write(self.folder / "tables")
        link = f"[{table.title}]({quote(f'tables/{table.name}.md')})"
        self.add(table.markdown(notes=notes) if inline else link)

    def figure(self, figure: Figure | None, name: str, caption: str, inline: bool = True, source: str = "") -> None:
        """Written (None: it is there already), and shown here (inline) or linked."""
        if figure is not None:
            save(figure, self.folder / "figures" / f"{name}.png", source)
        link = f"[{escape(caption)}]({quote(f'figures/{name}.png')})"
        self.add(f"!{link}" if inline else link)

    def write(self) -> Path:
        path = self.folder / "README.md"
        write_atomically(path, ("\n\n".join(self.parts) + "\n").encode())
        return path


def warnings(data: DataCard, commit: str, seeds: int, gaps: Sequence[str]) -> str:
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
    found += list(data.notes)
    lines = [f"- {escape(warning)}" for warning in found] or ["- None was found."]
    return "\n".join(["## Warnings", "", *lines])


def machine(run_dir: Path) -> dict[str, Any]:
    """Device, precision and threads that a run was computed with, as it noted them; empty where it did not."""
    path = run_dir / "machine.json"
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        raise UserError(f"{path}: not JSON; was it edited?") from None
    return {key: found.get(key) for key in ("device", "precision", "threads", "score_batch", "channels_last")}


def provenance(
    record: ExperimentRecord,
    seeds: Sequence[int],
    machine: dict[str, Any],
    heading: str = "Where the numbers come from",
    folder: Path = Path(),
) -> str:
    """Command, commit, seeds, data set and its fingerprint, versions; `folder` is where write_provenance wrote."""
    data = record.data
    counts = "; ".join(
        f"{split} {sum(by.values()):,} ({', '.join(f'{name} {n:,}' for name, n in by.items())})"
        for split, by in data.counts.items()
    )
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    facts = {
        "commit": record.commit,
        "seeds": ", ".join(map(str, seeds)),
        "data set": data.name + " (synthetic: no patient was imaged)" * data.synthetic,
        "fingerprint": data.fingerprint,
        "images": f"{counts}; {data.image_size} × {data.image_size} pixels",
        "attribution": data.attribution or "none given",
        "computed with": ", ".join(f"{k} {v}" for k, v in machine.items()) or "not noted",
        "versions": versions,
    }
    command = "    " + " ".join(record.command.split())
    lines = [f"- {name}: {escape(value)}" for name, value in facts.items()]
    links = [f"[{name}]({quote((folder / name).as_posix())})" for name in ("settings.yaml", "environment.json")]
    return "\n".join(
        [f"## {heading}", "", command, "", *lines, f"- all settings and the environment: {', '.join(links)}"]
    )


def write_provenance(folder: Path, record: ExperimentRecord, seeds: Sequence[int], machine: dict[str, Any]) -> None:
    """settings.yaml and environment.json, for programs."""
    settings = yaml.safe_dump(record.settings, sort_keys=False, allow_unicode=True)
    write_atomically(folder / "settings.yaml", settings.encode())
    environment = {
        "name": record.name,
        "command": record.command,
        "commit": record.commit,
        "seeds": list(seeds),
        "data": record.data.model_dump(mode="json"),
        "machine": machine,
        "versions": record.versions,
    }
    text = json.dumps(environment, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / "environment.json", text.encode())


LIMITS = "Research only: not a medical device. Percentages have one decimal, differences are in percentage points."
