"""What `al-cxr search` does, in the order a person reads it on the screen."""

from __future__ import annotations

import math

from al_cxr import models
from al_cxr.api.experiment import Experiment
from al_cxr.api.opening import begin, report_folder
from al_cxr.comparison.search_records import Trial, best, load_trials
from al_cxr.config import Search, Value
from al_cxr.core import provenance
from al_cxr.core.errors import UserError
from al_cxr.core.outputs import must_be_about
from al_cxr.core.progress import Progress, duration
from al_cxr.experiment.opening import load_dataset
from al_cxr.experiment.search import check
from al_cxr.experiment.search import search as run_trials
from al_cxr.report.search import assignments, in_words, write_search_report


def search(experiment: Experiment, trials: int | None, seconds: float | None) -> None:
    """`al-cxr search`: try settings until the budget is spent, then write the report and the best ones.

    `trials` is the experiment's own number unless given; `seconds` of all trials together, None for no such limit.
    """
    for option, given in (("--trials", trials), ("--seconds", seconds)):
        if given is not None and not given > 0:
            raise UserError(f"{option} must be above 0 (got {given:g})")
    wanted = check(experiment.settings, str(experiment.file))
    settings = experiment.settings.model_copy(update={"arms": {}})
    budget = wanted.trials if trials is None else trials
    name = f"{experiment.name}-search"
    results = report_folder(experiment.results / name, experiment.file)
    dataset = load_dataset(settings)
    print(f"data      {dataset.stamp} · validation {len(dataset.indices('val')):,} images; the test split is not used")
    workspace = begin(name, settings, dataset, experiment.runs / name)
    must_be_about(results, workspace.data_card.fingerprint, provenance.command())
    print(f"model     {settings.model.arch} · {models.parameters(workspace.build_model(0)):,} parameters")
    print(f"machine   {workspace.runtime.describe()}, one training after the other")
    print(f"budget    {budget} trials × {len(wanted.seeds)} seeds", end="")
    print(f", none begun after {duration(seconds)}" if seconds is not None else "")
    print(f"folder    {workspace.folder}", flush=True)

    before = len(load_trials(workspace.folder, wanted.seeds))
    with Progress(max(budget, before), "search", "trials", before, say=print) as progress:

        def tell(done: list[Trial]) -> None:
            progress.update()
            progress.say(_line(done, wanted, settings.data.target, budget, progress.remaining() or 0.0))

        done = run_trials(workspace, budget, seconds, tell)
    if len(done) == before:
        print("finished  the budget is spent already; only the report is written anew")
    page = write_search_report(workspace.folder, results)
    chosen = best(done, wanted.objective, settings.data.target)
    if chosen is None:
        raise UserError(f"every trial failed ({done[0].measured[0].failed}); {page} lists them")
    print(f"best      trial {chosen.number}: {assignments(chosen.values)}")
    print(f"report    {page}\n          {page.with_name('best.yaml')}")


def _line(done: list[Trial], wanted: Search, target: str, budget: int, left: float) -> str:
    """The newest trial, the best so far and the time that is left."""
    trial, chosen = done[-1], best(done, wanted.objective, target)
    scores = ", ".join(in_words(s, wanted.objective) for s in trial.scores(wanted.objective, target))
    mean = in_words(trial.mean(wanted.objective, target), wanted.objective)
    parts = [f"[{len(done)}/{budget}] {mean} ({scores})", _short(trial.values)]
    if chosen is not None:
        top = in_words(chosen.mean(wanted.objective, target), wanted.objective)
        parts.append(f"best {top} (trial {chosen.number})")
    if left > 0:
        parts.append(f"about {duration(left)} left")
    return " · ".join(parts)


def _short(values: dict[str, Value]) -> str:
    """Values under the last part of their names."""
    return ", ".join(f"{key.rpartition('.')[2]} {_plain(value)}" for key, value in values.items())


def _plain(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else str(value)
