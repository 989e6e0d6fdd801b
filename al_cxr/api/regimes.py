"""The label regimes of one experiment: which were asked for, and one page of all that were begun."""

from __future__ import annotations

from pathlib import Path

from al_cxr.api.experiment import Experiment
from al_cxr.comparison.finished import load as load_finished
from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint
from al_cxr.report.regimes import write_regimes


def regimes_named(experiment: Experiment, asked: str) -> list[str]:
    """The regimes of a text, each once: names with commas between them, or "all"; UserError for one that is none."""
    known = experiment.settings.regimes
    names = list(known) if asked == "all" else [name.strip() for name in asked.split(",")]
    for name in names or [asked]:
        if name not in known:
            raise UserError(f"--regime {name}: {experiment.file} has no such regime{hint(name, known)}")
    return list(dict.fromkeys(names))


def compare_regimes(experiment: Experiment) -> Path | None:
    """Write the page of all regimes that were begun; its path, None where fewer than two were."""
    folder = experiment.runs / experiment.name
    begun = [folder / regime for regime in experiment.settings.regimes]
    begun = [path for path in begun if (path / "experiment.json").exists()]
    if len(begun) < 2:
        return None
    return write_regimes([load_finished(path) for path in begun], experiment.results / experiment.name)
