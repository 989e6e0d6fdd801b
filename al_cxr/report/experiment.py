"""The report of an active-learning experiment: one page, its tables and its figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_cxr.compare import Finished, load, per_round, per_seed
from al_cxr.metrics import Metrics
from al_cxr.report import curves
from al_cxr.report.classes import class_accuracy, per_class
from al_cxr.report.fits import Radiographs, add_fit
from al_cxr.report.page import LIMITS, Page, machine, provenance, warnings, write_provenance
from al_cxr.report.rounds import experiment_tables
from al_cxr.report.tables import escape, file_name, stamp


def write_report(
    run_dir: Path,
    results_dir: Path,
    pixels: Callable[[np.ndarray], np.ndarray] | None = None,
    labels_N: np.ndarray | None = None,
    names: Callable[[np.ndarray], list[str]] | None = None,
    gallery: Path | None = None,
) -> Path:
    """Everything a run folder says, as `results_dir`/README.md with tables/, figures/, settings.yaml and
    environment.json beside it; the path of the page.

    With `pixels` (absolute indices (n,) -> uint8 (n, S, S)) and `labels_N` (of the whole data set, by absolute index)
    sample predictions are drawn too. They show images, so unless the data is synthetic they go into `gallery` (the
    run folder by default) and not into the results. UserError as in `compare.load`.
    """
    finished = load(run_dir)
    record, seeds = finished.experiment, finished.settings.seeds
    mark = stamp(record.data, seeds, bool(finished.gaps))
    radiographs = gallery_of(finished, results_dir, pixels, labels_N, names, gallery)
    page = Page(results_dir, f"{escape(record.name)}: active learning on {escape(record.data.name)}")
    computed = machine(run_dir)
    found = warnings(record.data, record.commit, len(seeds), finished.gaps)
    page.add(found, provenance(record, seeds, computed), LIMITS)
    write_provenance(results_dir, record, seeds, computed)

    frame, long = per_round(finished, finished.target), per_seed(finished, finished.target)
    tables = experiment_tables(finished, mark)
    page.add("## Results")
    page.table(tables["summary"][0])
    for metric, title in (("f1", f"{finished.target} F1"), ("accuracy", "Accuracy")):
        caption = f"{title[0].upper()}{title[1:]} against labels"
        drawn = curves.learning_curve(finished, frame, long, metric, caption, mark)
        page.figure(drawn, f"curve-{metric}", caption)
    for table in tables["gain"] + tables["two_by_two"]:
        page.table(table)

    page.add("## Rounds")
    for i, table in enumerate(tables["rounds"]):
        page.table(table, notes=i == 0)
    page.table(tables["each_seed"][0], inline=False)
    page.figure(curves.acquired(finished, "Classes acquired in each round", mark), "acquired", "Classes acquired")

    models = last_models(finished)
    main = main_arm(finished)
    page.add("## Class by class, at the last round")
    accuracies = {m.label: m.tests for m in models.values()}
    page.table(class_accuracy("class-accuracy", "Accuracy of each class", accuracies, mark))
    for i, (name, model) in enumerate(models.items()):
        table = per_class(f"per-class-{file_name(name)}", escape(model.label), model.tests, mark)
        page.table(table, inline=name in (BASELINE, main), notes=i == 0)

    page.add("## Models", "One model each, of one seed.")
    for name, model in models.items():
        shown = name in (BASELINE, main)
        label, one = f"{model.label}, seed {model.seed}", stamp(record.data, [model.seed])
        add_fit(page, finished, model.fit, name, label, one, radiographs if shown else None, shown)
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
            label = f"{arm}, round {last[0].round}"
            models[arm] = LastModels(label, [r.test for r in last], last[0].seed, last[0].fit)
    return models


def main_arm(finished: Finished) -> str:
    """The arm the page shows in full: the first that is not random; the others are linked."""
    arms = finished.settings.arms
    return next((name for name, arm in arms.items() if arm.strategy != "random"), next(iter(arms)))


def gallery_of(
    finished: Finished,
    results_dir: Path,
    pixels: Callable[[np.ndarray], np.ndarray] | None,
    labels_N: np.ndarray | None,
    names: Callable[[np.ndarray], list[str]] | None,
    gallery: Path | None,
) -> Radiographs | None:
    """Where and from what sample predictions are drawn; None where pixels or labels are not given."""
    if pixels is None or labels_N is None:
        return None
    folder = results_dir if finished.experiment.data.synthetic else gallery or finished.folder
    return Radiographs(labels_N, pixels, names or (lambda index: [f"image {i}" for i in index]), folder)
