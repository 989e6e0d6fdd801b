"""The report of a search for hyper-parameters: what was tried, what it came to on validation, and the best of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from al_cxr.comparison.search_records import Objective, SearchRecord, Trial, all_nested, best, load_trials
from al_cxr.config import Dimension, Settings, Value
from al_cxr.core.errors import UserError
from al_cxr.core.records import ExperimentRecord, read
from al_cxr.report.kit.numbers import MISSING, Kind
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.prose import notes, paragraph, sentences
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape
from al_cxr.report.origin import LIMITS, add_provenance, machine, name_of, seeds_in_words, warnings

NEAR = 0.05
"""Of a range's width: a best value so close to an end says that the range was too narrow."""

NAMES: dict[Objective, str] = {"macro_f1": "macro F1", "target_f1": "F1 of {}", "loss": "loss (nats)"}


def write_search_report(run_dir: Path, results_dir: Path) -> Path:
    """The page, the table of all trials and best.yaml, from the records of a search; the path of the page.

    UserError where no trial is finished.
    """
    experiment = read(run_dir / "experiment.json", ExperimentRecord)
    record = read(run_dir / "search.json", SearchRecord)
    settings, data = Settings.model_validate(experiment.settings), experiment.data
    target, objective = settings.data.target, record.objective
    trials = load_trials(run_dir, record.seeds)
    if not trials:
        raise UserError(f"{run_dir}: no trial is finished; the same al-cxr search goes on")
    chosen = best(trials, objective, target)
    name = NAMES[objective].format(target)
    n_val = sum(data.counts["val"].values())
    stamp = f"{name_of(data)} · validation set {n_val:,} images · {seeds_in_words(record.seeds)}"
    title = f"Search for hyper-parameters: {escape(settings.model.arch)} on {escape(data.name)}"
    page = Page(results_dir, title, stamp)
    found = cautions(trials, record, target)
    page.add(warnings(data, experiment.commit, len(record.seeds), [], found), "## What was searched")
    spent: dict[str, object] = {"trials": len(trials), "seeds": len(record.seeds), "n_labelled": record.n_labelled}
    spent["seconds"] = sum(trial.seconds for trial in trials)
    facts = {"budget": sentences("search", "budget", **spent)[0]}
    facts |= {"objective": sentences("search", "objective", name=name, n_val=n_val, monitor=settings.train.monitor)[0]}
    facts |= {"loss": record.loss, "proposed by": f"{record.sampler}; trial 0 is the experiment as it stands"}
    page.facts(facts | {key: _range(dimension) for key, dimension in record.space.items()})
    page.add(paragraph("search", "protocol"), "## Results")
    if chosen is not None:
        values = {"best": chosen.mean(objective, target), "first": trials[0].mean(objective, target)}
        shown = {key: in_words(value, objective) for key, value in values.items()}
        page.add(paragraph("search", "best", number=chosen.number, name=name, **shown))
        page.add(f"    {assignments(chosen.values)}")
        text = yaml.safe_dump(all_nested(_known(chosen.values)), sort_keys=False, allow_unicode=True)
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
        failed = next((one.failed for one in trial.measured if one.failed), "")
        marks = {"best": trial == chosen, "as it stands": trial.number == 0, "failed": failed != ""}
        row: dict[str, Any] = {"trial": trial.number}
        row |= {key: None if value is None else _text(value) for key, value in trial.values.items()}
        row |= {f"seed {one.seed}": score for one, score in zip(trial.measured, scores, strict=True)}
        row["mean"] = trial.mean(objective, target)
        row["mean_sd"] = float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan
        row |= {f"epoch_seed_{one.seed}": one.best_epoch for one in trial.measured}
        row |= {"seconds": trial.seconds, "note": ", ".join(mark for mark, holds in marks.items() if holds)}
        rows.append(row | {"failed": failed})
    frame = pd.DataFrame(rows).sort_values("mean", ascending=objective == "loss", kind="stable", ignore_index=True)
    kind: Kind = "area" if objective == "loss" else "percent"
    name = NAMES[objective].format(target)
    columns = (
        Column("trial", "trial", "count"),
        *(Column(key.removeprefix("train.").rpartition("options.")[2], key) for key in record.space),
        *(Column(f"seed {seed}", f"seed {seed}", kind) for seed in record.seeds),
        Column(f"{name}, mean", "mean", kind, "sd" if len(record.seeds) > 1 else "value"),
        Column("best epoch", "epoch", "count", "seeds"),
        Column("seconds", "seconds", "seconds"),
        Column("", "note"),
    )
    return Table("trials", f"All trials: {name} on validation", frame, columns, notes("search", "trials"))


def cautions(trials: Sequence[Trial], record: SearchRecord, target: str) -> list[str]:
    """What a reader must know of this search before using what it chose."""
    objective = record.objective
    failed = [trial.number for trial in trials if any(one.failed for one in trial.measured)]
    chosen, edges, within_spread = best(trials, objective, target), [], False
    if chosen is not None and chosen.number != 0:
        edges = [key for key, dimension in record.space.items() if _at_edge(dimension, chosen.values[key])]
        if len(record.seeds) > 1 and 0 not in failed:
            gain_S = np.subtract(chosen.scores(objective, target), trials[0].scores(objective, target))
            within_spread = bool(abs(np.mean(gain_S)) <= np.std(gain_S, ddof=1))
    found = {"failed": failed, "nothing": chosen is None, "edges": edges, "within_spread": within_spread}
    return sentences("search", "cautions", **found)


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
    limits = f"{_text(dimension.low)} to {_text(dimension.high)}"
    return f"{limits}, on the logarithm" if dimension.log else limits


def _at_edge(dimension: Dimension, value: Value) -> bool:
    if dimension.low is None or dimension.high is None or not isinstance(value, (int, float)):
        return False
    on = math.log if dimension.log else float
    low, high, at = on(dimension.low), on(dimension.high), on(value)
    return min(at - low, high - at) < NEAR * (high - low)
