"""A project's folder, made and opened: settings, log, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from al_cxr.core.errors import UserError
from al_cxr.core.names import class_name
from al_cxr.labelling.archive import Archive, Scan
from al_cxr.labelling.audit import with_exams
from al_cxr.labelling.desk import Clock
from al_cxr.labelling.events import Event
from al_cxr.labelling.features import frozen_network
from al_cxr.labelling.journal import Journal
from al_cxr.labelling.listing import list_archive
from al_cxr.labelling.log import EventLog
from al_cxr.labelling.settings import FILE, ProjectSettings, project_settings, read_settings, write_settings
from al_cxr.labelling.start import start_bundle
from al_cxr.strategies import get

LOG = "events.sqlite"
FIXED = ("classes", "target", "seed", "streams", "network", "start", "goal")
"""Settings that what was asked before hangs on."""


def now() -> datetime:
    """The time of the machine, in UTC."""
    return datetime.now(UTC)


def begin(
    folder: Path,
    archive: str | Path,
    classes: Sequence[str],
    target: str | None,
    settings: Mapping[str, Any],
    clock: Clock,
) -> tuple[ProjectSettings, Journal, Scan]:
    """Make the folder of a project; UserError, and no folder, where anything that was given is wrong."""
    given = dict(settings)
    given["archive"] = {**given.get("archive", {}), "source": _place(archive)}
    given |= {"classes": list(classes), "target": class_name(target if target is not None else classes[-1])}
    made = project_settings(given, "settings")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        begun = folder.is_dir() and not (folder / FILE).exists() and (folder / LOG).exists()
        then = "delete it, as its start was broken off" if begun else f"go on with `al-cxr label ask {folder}`"
        raise UserError(f"{folder}: is there already; name a new folder, or {then}")
    get(made.acquisition.strategy, made.acquisition.options, "acquisition")
    frozen_network(made)
    if made.start:
        start_bundle(made)
    scan = Archive(made.archive).scan()
    made = with_exams(made, len({image.patient_id or image.digest for image in scan.found}))
    with EventLog.create(folder / LOG, _logged(made), clock()) as log:
        log.append(*scan.events(clock()))
    write_settings(folder, made)  # last: its presence says that all the rest is there
    return made, Journal.open(folder / LOG), scan


def reopen(folder: Path, archive: str | Path | None, clock: Clock) -> tuple[ProjectSettings, Journal]:
    """The settings and the log of a project whose archive may have moved; UserError where there is none, or where
    settings were changed that may not change."""
    settings = read_settings(folder)
    if archive is not None:
        moved = settings.archive.model_copy(update={"source": _place(archive)})
        list_archive(moved)
        settings = settings.model_copy(update={"archive": moved})
        write_settings(folder, settings)
    journal = Journal.open(folder / LOG)
    known, given = dict(journal.state.settings), _logged(settings)
    for key in FIXED:
        if known.get(key) != given[key]:
            raise UserError(
                f"{folder / FILE}: {key} was changed, on which what was asked before hangs; put {known.get(key)!r} "
                "back, or start another project"
            )
    if known != given:
        journal.record(Event(kind="settings", time=clock(), detail=given))
    return settings, journal


def _place(archive: str | Path) -> str:
    """An archive as the settings name it: a path that means the same from every folder, or the name of a source."""
    path = Path(archive).expanduser()
    return str(path.resolve()) if path.exists() or isinstance(archive, Path) else str(archive)


def _logged(settings: ProjectSettings) -> dict[str, Any]:
    """What the log is told of the settings."""
    return settings.model_dump(mode="json", exclude={"machine": True}) | {"policy": settings.readers.policy}
