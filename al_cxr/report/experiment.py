"""The report of an active-learning experiment: one page, its tables and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_cxr.comparison.compare import per_round, per_seed
from al_cxr.comparison.finished import Finished, load
from al_cxr.core.metrics import Metrics
from al_cxr.report import curves
from al_cxr.report.acquired_gallery import add_acquired
from al_cxr.report.asking import arm_options, ensembles, head_scope, passes, stops
from al_cxr.report.classes import class_accuracy, per_class
from al_cxr.report.contact import Pixels
from al_cxr.report.evidence import add_evidence
from al_cxr.report.fits import Names, add_fit, radiographs_of
from al_cxr.report.gallery import Explain
from al_cxr.report.headline import few, headline
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.text import escape, file_name
from al_cxr.report.origin import LIMITS, add_provenance, machine, stamp_of, warnings
from al_cxr.report.rounds import acquisition, each_seed, gains
from al_cxr.report.run_evaluation import add_run_evaluation
from al_cxr.report.summary import factorial, summary
from al_cxr.report.training import training_table, training_warnings
from al_cxr.report.trivial import by_source


def write_report(
    run_dir: Path,
    results_dir: Path,
    pixels: Pixels | None = None,
    labels_N: np.ndarray | None = None,
    names: Names | None = None,
    gallery: Path | None = None,
    explain: Explain | None = None,
) -> Path:
    """Everything a run folder says, as `results_dir`/README.md and report.html with tables/, figures/, settings.yaml
    and environment.json beside them; the path of README.md.

    With `pixels` (absolute indices (n,) -> uint8 (n, S, S)) and `labels_N` (of the whole data set, by absolute index)
    sample predictions and the images acquired are drawn too, and with `explain` what the models used of them. They show
    images, so unless the data is synthetic they go into `gallery` (the run folder by default), with a report.html that
    shows them, and not into the results. UserError as in `finished.load`.
    """
    finished = load(run_dir)
    record, seeds = finished.experiment, finished.settings.seeds
    radiographs = radiographs_of(pixels, labels_N, names, explain)
    page = Page(
        results_dir,
        f"{escape(record.title)}: active learning on {escape(record.data.name)}",
        stamp_of(record.data, seeds, bool(finished.gaps)),
        None if record.data.synthetic else gallery or run_dir,
    )
    more = [*training_warnings(finished), *few(finished), *head_scope(finished), *stops(finished)]
    page.add(warnings(record.data, record.commit, len(seeds), finished.gaps, more))
    queried = any(len(rounds) > 1 for rounds in finished.rounds.values())  # before the first query nothing differs
    if queried:
        page.add("## In short", "\n".join(f"- {escape(said)}" for said in headline(finished)))
    add_provenance(page, record, seeds, machine(run_dir))
    page.facts(arm_options(finished) | passes(finished) | ensembles(finished))
    page.add(LIMITS)

    frame, long = per_round(finished, finished.target), per_seed(finished, finished.target)
    page.add("## Results")
    page.table(summary(finished, frame))
    for metric, title in (("f1", f"{finished.target} F1"), ("accuracy", "Accuracy")):
        caption = f"{title[0].upper()}{title[1:]} against labels"
        drawn = curves.learning_curve(finished, frame, long, metric, caption)
        page.figure(drawn, f"curve-{metric}", caption)
    for table in factorial(finished):
        page.table(table)
    if queried:
        add_evidence(page, finished)

    main = main_arm(finished)
    page.add("## Rounds")
    page.table(gains(finished, frame))
    for i, arm in enumerate(dict.fromkeys(frame["arm"])):
        page.table(acquisition(finished, frame, arm), inline=arm == main, notes=i == 0)
    page.table(training_table(finished), inline=False)
    page.table(each_seed(finished), inline=False)
    page.figure(curves.acquired(finished, "Classes acquired in each round"), "acquired", "Classes acquired")
    add_acquired(page, finished, main, radiographs)

    models = last_models(finished)
    page.add("## Class by class, at the last round")
    accuracies = {m.label: m.tests for m in models.values()}
    source = by_source(finished)
    page.table(class_accuracy("class-accuracy", "Accuracy of each class", accuracies, source))
    for i, (name, model) in enumerate(models.items()):
        table = per_class(f"per-class-{file_name(name)}", escape(model.label), model.tests, source)
        page.table(table, inline=name in (BASELINE, main), notes=i == 0)

    add_run_evaluation(page, finished)

    page.add("## Models", "One model each, of one seed.")
    for name, model in models.items():
        shown = name in (BASELINE, main)
        label = f"{model.label}, seed {model.seed}"
        add_fit(page, finished, model.fit, name, label, model.seed, radiographs if shown else None, shown)
    return page.write()


BASELINE = "fully-labelled"


@dataclass(frozen=True)
class LastModels:
    """An arm at its last round (or the baseline): test metrics of every seed, and the first seed's fit."""

    label: str
    tests: list[Metrics]
    seed: int
    fit: str


def last_models(finished: Finished) -> dict[str, LastModels]:
    """The baseline and each arm at the last round that a seed of it finished."""
    models = {}
    if done := list(finished.baselines.values()):
        models[BASELINE] = LastModels("fully labelled", [b.test for b in done], done[0].seed, done[0].fit)
    for arm in finished.settings.arms:
        if last := finished.last(arm):
            label = f"{arm}, round {max(r.round for r in last)}"
            models[arm] = LastModels(label, [r.test for r in last], last[0].seed, last[0].fit)
    return models


def main_arm(finished: Finished) -> str:
    """The arm the page shows in full: the first that is not random; the others are linked."""
    arms = finished.settings.arms
    return next((name for name, arm in arms.items() if arm.strategy != "random"), next(iter(arms)))
