"""What a reader must know before any number: warnings, what the numbers are of, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from al_cxr.core.errors import UserError
from al_cxr.core.records import DataCard, ExperimentRecord
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.prose import sentences
from al_cxr.report.kit.text import escape

LIMITS = "Research only: not a medical device. Percentages have one decimal, differences are in percentage points."


def stamp_of(data: DataCard, seeds: Sequence[int], unfinished: bool = False) -> str:
    """What stands under every table and figure: data set, size of the test set, seeds, and whether it is all there."""
    test = sum(data.counts["test"].values())
    parts = [name_of(data), f"test set {test:,} images", seeds_in_words(seeds)]
    if unfinished:
        parts.append("UNFINISHED")
    return " · ".join(parts)


def seeds_in_words(seeds: Sequence[int]) -> str:
    """3 seeds (0, 1, 2)"""
    return f"{len(seeds)} seed{'' if len(seeds) == 1 else 's'} ({', '.join(map(str, seeds))})"


def name_of(data: DataCard) -> str:
    """The data set's name, and that nobody was imaged where that is so."""
    return f"{data.name} (synthetic: no patient was imaged)" if data.synthetic else data.name


def warnings(data: DataCard, commit: str, seeds: int, gaps: Sequence[str], more: Sequence[str] = ()) -> str:
    """What a reader must know before any number."""
    found = sentences("origin", "warnings", synthetic=data.synthetic, gaps=gaps, seeds=seeds, commit=commit)
    return warning_list([*found, *more, *data.notes])


def warning_list(found: Sequence[str]) -> str:
    """The section of warnings, plain text each."""
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
            "data set": name_of(data),
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
