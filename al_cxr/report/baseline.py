"""The report of fully labelled models: one table of all of them, then each one in full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from al_cxr.comparison.baselines import Baselines, load_baselines
from al_cxr.core.records import ExperimentRecord
from al_cxr.report.baseline_table import models_table
from al_cxr.report.classes import class_accuracy, per_class
from al_cxr.report.fits import Radiographs, add_fit
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.text import escape, file_name
from al_cxr.report.origin import LIMITS, add_listings, add_origin, machine, stamp_of, warnings
from al_cxr.report.trivial import by_source


def write_baseline_report(run_dir: Path, results_dir: Path, radiographs: Radiographs | None = None) -> Path:
    """Page, tables and figures of all models that `al-cxr baseline` trained in a folder; the path of the page.

    Where `radiographs` are given, sample predictions are drawn too; those that show patients go into `run_dir`.
    UserError as in `load_baselines`.
    """
    found = load_baselines(run_dir)
    record, runs = _together(found), found.runs
    title = f"{escape(found.record.name)}: fully labelled models on {escape(record.data.name)}"
    gallery = None if record.data.synthetic else run_dir
    page = Page(results_dir, title, stamp_of(record.data, found.seeds, bool(found.gaps)), gallery)
    unlike = [f"The models were not all trained with the same settings: {change}." for change in found.differences()]
    page.add(warnings(record.data, record.commit, len(found.seeds), found.gaps, unlike))
    add_origin(page, record, found.seeds, _machines(found))
    page.add(LIMITS, "## Results")
    page.table(models_table(found))

    source = by_source(found.first)
    tests = {name: [b.test for b in run.baselines.values()] for name, run in runs.items()}
    page.table(class_accuracy("class-accuracy", "Accuracy of each class", tests, source))
    for name, run in runs.items():
        page.add(f"## {escape(name)}")
        heading = f"{escape(name)}, class by class"
        table = per_class(f"per-class-{file_name(name)}", heading, tests[name], source)
        page.table(table, inline=len(runs) == 1)  # of several, the table of all says the same
        seed, baseline = next(iter(run.baselines.items()))
        add_fit(page, run, baseline.fit, name, f"{name}, seed {seed}", seed, radiographs)
        add_listings(page, run.experiment, run.settings.seeds, machine(run.folder), Path("models") / file_name(name))
    return page.write()


def _together(found: Baselines) -> ExperimentRecord:
    """The first model's record with the commands and commits of all."""
    records = [run.experiment for run in found.runs.values()]
    commands = "; ".join(dict.fromkeys(record.command for record in records))
    commits = ", ".join(dict.fromkeys(commit for record in records for commit in record.commit.split(", ")))
    return records[0].model_copy(update={"command": commands, "commit": commits})


def _machines(found: Baselines) -> dict[str, Any]:
    """What the models were computed with; where they differ, all of it."""
    machines = [machine(run.folder) for run in found.runs.values()]
    keys = dict.fromkeys(key for noted in machines for key in noted)
    return {key: " or ".join(dict.fromkeys(str(noted[key]) for noted in machines if key in noted)) for key in keys}
