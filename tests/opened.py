"""A run opened for a test, in the three steps in which a command opens one."""

from __future__ import annotations

from pathlib import Path

from al_cxr.config import Settings
from al_cxr.data.load import load_first
from al_cxr.experiment.opening import begin_run, check_run, choose_runtime
from al_cxr.experiment.run_folder import noted_runtime
from al_cxr.experiment.workspace import Workspace


def opened_run(settings: Settings, folder: Path, name: str = "tiny") -> Workspace:
    checked = check_run(name, settings, load_first(settings.data), folder, "a test")
    return begin_run(checked, noted_runtime(folder) or choose_runtime(checked, print))
