"""What a run folder holds already: whether a run may go on in it, and what it notes of the machine and the code.

Results of two settings, or of two data sets, never mix in a folder.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from al_cxr.comparison import images
from al_cxr.config import Settings
from al_cxr.config.files import differences
from al_cxr.core import provenance
from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.invalid import first_reason
from al_cxr.core.records import ExperimentRecord, read, write
from al_cxr.data.quality import usual
from al_cxr.experiment import seen
from al_cxr.training.runtime import Runtime

RECORD = "experiment.json"
MACHINE = "machine.json"
GROWS = ("seeds", "arms", "regimes", "search")
"""Settings that may change between two starts of one experiment: more of them only adds runs, or changes none."""


def check_folder(folder: Path, new: ExperimentRecord) -> ExperimentRecord:
    """The record that a run goes on with in a folder; nothing is written.

    Where the folder holds a run, that keeps its command, commit and versions until more is computed. UserError where it
    is one of other settings or other data, and where a folder that is no run's holds files of such names: they would be
    overwritten or believed.
    """
    if not (folder / RECORD).exists():
        for name in (seen.SEEN, usual.FILE, images.FILE, "arms", "baseline", "trials"):
            if os.path.lexists(folder / name):
                raise UserError(
                    f"{folder / name}: is there already, and the folder holds no run; choose another --name"
                )
        return new
    old = read(folder / RECORD, ExperimentRecord)
    if old.data.fingerprint != new.data.fingerprint:
        raise UserError(
            f"{folder} holds results on {old.data.name} ({old.data.fingerprint[:12]}), not on {new.data.name} "
            f"({new.data.fingerprint[:12]}); give this run another --name, or delete the folder"
        )
    if changed := _changed(folder, old, new):
        raise UserError(
            f"{folder} holds results of other settings:\n  "
            + "\n  ".join(changed[:12])
            + "\ngive this run another --name, or delete the folder"
        )
    return new.model_copy(update={"command": old.command, "commit": old.commit, "versions": old.versions})


def note_commit(folder: Path) -> None:
    """Enter the running code among the commits that computed something here; to be called before it does.

    The command is that of the first to compute: a mere plan before it was none.
    """
    record = read(folder / RECORD, ExperimentRecord)
    commits = dict.fromkeys([*record.commit.split(", "), provenance.commit()])
    begun = any((folder / part).exists() for part in ("arms", "baseline"))
    command = record.command if begun else provenance.command()
    noted = {"commit": ", ".join(commits), "command": command, "versions": provenance.versions()}
    write(folder / RECORD, record.model_copy(update=noted))


def noted_runtime(folder: Path) -> Runtime | None:
    """The device, precision and threads that a run was begun with; None where it was not begun."""
    path = folder / MACHINE
    try:
        return Runtime(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise UserError(f"{path}: not what al-cxr notes of a machine; delete it, or choose another --name") from None


def note_runtime(folder: Path, runtime: Runtime) -> None:
    """Keep a runtime for all later starts, because it decides the last bits; one that is there stays."""
    if not (folder / MACHINE).exists():
        write_atomically(folder / MACHINE, (json.dumps(asdict(runtime), indent=1) + "\n").encode())


def _changed(folder: Path, old: ExperimentRecord, new: ExperimentRecord) -> list[str]:
    """What differs between the settings of two records, but for what may grow; UserError where the old are no more
    settings of this version."""
    try:
        # A setting that is newer than the run has its default there, which is what code without it did.
        before = Settings.model_validate(old.settings).science()
    except ValidationError as error:
        raise UserError(
            f"{folder} holds results of another version of al-cxr (settings.{first_reason(error)}); give this run "
            "another --name, or delete the folder"
        ) from None
    arms_before, arms_now = before["arms"], new.settings["arms"]
    both = sorted(arms_before.keys() & arms_now.keys())
    return differences(_fixed(before), _fixed(new.settings)) + differences(
        {"arms": {name: arms_before[name] for name in both}}, {"arms": {name: arms_now[name] for name in both}}
    )


def _fixed(science: dict[str, Any]) -> dict[str, Any]:
    # The list of sources is left out: what was loaded is compared by its fingerprint.
    kept = {key: value for key, value in science.items() if key not in GROWS}
    return {**kept, "data": {key: value for key, value in kept["data"].items() if key != "sources"}}
