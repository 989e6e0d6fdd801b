"""The report of a search for hyper-parameters: what was tried, what it came to on validation, and the best of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from al_cxr.comparison.search_records import Objective, SearchRecord, Trial, best, load_trials, nested
from al_cxr.config import Dimension, Settings, Value
from al_cxr.core.errors import UserError
from al_cxr.core.records import ExperimentRecord, read
from al_cxr.report.kit.numbers import MISSING, Kind, number
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape
from al_cxr.report.origin import LIMITS, add_provenance, machine, name_of, warnings

NEAR = 0.05
"""Of a range's width: a best value so close to an end says that the range was too narrow."""

NAMES: dict[Objective, str] = {"macro_f1": "macro F1", "target_f1": "F1 of {}", "loss": "loss (nats)"}


def write_search_report(run_dir: Path, results_dir: Path) -> Path:
    """The page, the table of all trials and best.yaml, from the records of a search; the path of the page.

    UserError where no trial is finished.
    """
    experiment, record = (
        read(run_dir / "experiment.json", ExperimentRecord),
        read(run_dir / "search.json", SearchRecord),
    )
    settings = Settings.model_validate(experiment.settings)
    target, objective = settings.data.target, record.objective
    trials = load_trials(run_dir, record.seeds)
    if not trials:
        raise UserError(f"{run_dir}: no trial is finished; the same al-cxr search goes on")
    chosen = best(trials, objective, target)
    data, name = experiment.data, NAMES[objective].format(target)
    seeds = f"{len(record.seeds)} seed{'s' * (len(record.seeds) != 1)} ({', '.join(map(str, record.seeds))})"
    n_val = sum(data.counts["val"].values())
    mark = f"{name_of(data)} · validation set {n_val:,} images · {seeds}"
    page = Page(results_dir, f"Search for hyper-parameters: {escape(settings.model.arch)} on {escape(data.name)}", mark)
    page.add(
        warnings(data, experiment.commit, len(record.seeds), [], cautions(trials, record, target)),
        "## What was searched",
    )
    page.facts(
        {
            "budget": f"{len(trials)} trials × {len(record.seeds)} seeds = {len(trials) * len(record.seeds)} trainings "
            f"on {record.n_labelled:,} labels each, {number(sum(t.seconds for t in trials), 'seconds')} s in all",
            "objective": f"{name} on the {n_val:,} validation images, of the epoch that train.monitor "
            f"({settings.train.monitor}) takes; mean over the seeds",
            "loss": record.loss,
            "proposed by": f"{record.sampler}; trial 0 is the experiment as it stands",
            **{key: _range(dimension) for key, dimension in record.space.items()},
        }
    )
    page.add(
        "No trial was trained on, chosen by or measured on a test image. The validation values chose the epoch and the "
        "settings, so they flatter; what the chosen settings are worth stands in the tables of a run.",
        "## Results",
    )
    if chosen is not None:
        page.add(
            f"Best: trial {chosen.number}, {name} {in_words(chosen.mean(objective, target), objective)}; "
            f"the experiment as it stands: {in_words(trials[0].mean(objective, target), objective)}.",
            f"    {assignments(chosen.values)}",
        )
        text = yaml.safe_dump(nested(_known(chosen.values)), sort_keys=False, allow_unicode=True)
        page.listing("The same as YAML, to be put into the experiment", Path("best.yaml"), text)
    page.table(table(trials, record, target))
    add_provenance(page, experiment, record.seeds, machine(run_dir))
    page.add(LIMITS)
    return page.write()


def table(trials: Sequence[Trial], record: SearchRecord, target: str) -> Table:
    """One row a trial, the best mean first; failed trials last."""
    objective, chosen = record.objective, best(trials, record.objective, target)
    rows: list[dict[str, Any]] = []
    for trial in trials:
        scores = trial.scores(objective, target)
        failed = next((m.failed for m in trial.measured if m.failed), "")
        notes = ["best"] * (trial == chosen) + ["as it stands"] * (trial.number == 0) + ["failed"] * bool(failed)
        rows.append(
            {
                "trial": trial.number,
                **{key: _text(value) for key, value in trial.values.items()},
                **{f"seed {m.seed}": s for m, s in zip(trial.measured, scores, strict=True)},
                "mean": trial.mean(objective, target),
                "mean_sd": float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan,
                "epochs": ", ".join(str(m.best_epoch or MISSING) for m in trial.measured),
                "seconds": trial.seconds,
                "note": ", ".join(notes),
                "failed": failed,
            }
        )
    frame = pd.DataFrame(rows).sort_values("mean", ascending=objective == "loss", kind="stable", ignore_index=True)
    kind: Kind = "area" if objective == "loss" else "percent"
    name = NAMES[objective].format(target)
    columns = (
        Column("trial", "trial", "count"),
        *(Column(key.removeprefix("train.").rpartition("options.")[2], key) for key in record.space),
        *(Column(f"seed {s}", f"seed {s}", kind) for s in record.seeds),
        Column(f"{name}, mean", "mean", kind, "sd" if len(record.seeds) > 1 else "value"),
        Column("best epoch", "epochs"),
        Column("seconds", "seconds", "seconds"),
        Column("", "note"),
    )
    below = ("Values are of the validation split.", "± is the standard deviation over the seeds.")
    return Table("trials", f"All trials: {name} on validation", frame, columns, below)


def cautions(trials: Sequence[Trial], record: SearchRecord, target: str) -> list[str]:
    """What a reader must know of this search before using what it chose."""
    objective, found = record.objective, []
    failed = [str(t.number) for t in trials if any(m.failed for m in t.measured)]
    if failed:
        found.append(f"Training failed in trial {', '.join(failed)}; the table says so.")
    chosen = best(trials, objective, target)
    if chosen is None:
        return [*found, "No trial has a value, so nothing was chosen."]
    edges = [key for key, dimension in record.space.items() if _at_edge(dimension, chosen.values[key])]
    if edges and chosen.number:
        found.append(f"The best {', '.join(edges)} lies at an end of its range; a wider one may hold a better value.")
    if chosen.number and len(record.seeds) > 1 and "0" not in failed:
        new, old = (np.array(t.scores(objective, target)) for t in (chosen, trials[0]))
        gain, spread = abs(np.mean(new - old)), np.std(new - old, ddof=1)
        if gain <= spread:
            found.append("The best settings beat those of the experiment by no more than the spread of the seeds.")
    return found


def assignments(values: Mapping[str, Value]) -> str:
    """The options of the command line that set these values; what is null in the experiment is left as it is."""
    return " ".join(f"--set {key}={_text(value)}" for key, value in _known(values).items())


def in_words(value: float, objective: Objective) -> str:
    """A value of the objective with its unit."""
    if math.isnan(value):
        return "failed"
    return f"{value:.3f} nats" if objective == "loss" else f"{100 * value:.1f} %"


def _known(values: Mapping[str, Value]) -> dict[str, Value]:
    return {key: value for key, value in values.items() if value is not None}


def _text(value: Value) -> str:
    """As YAML reads it back to the same value: 1.0e-05, not 1e-05, which is a text there."""
    return MISSING if value is None else yaml.safe_dump(value, default_flow_style=True).split("\n")[0]


def _range(dimension: Dimension) -> str:
    if dimension.choices is not None:
        return ", ".join(map(_text, dimension.choices))
    return f"{_text(dimension.low)} to {_text(dimension.high)}" + ", on the logarithm" * dimension.log


def _at_edge(dimension: Dimension, value: Value) -> bool:
    if dimension.low is None or dimension.high is None or not isinstance(value, (int, float)):
        return False
    on = math.log if dimension.log else float
    low, high, at = on(dimension.low), on(dimension.high), on(value)
    return min(at - low, high - at) < NEAR * (high - low)
