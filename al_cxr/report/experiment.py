"""The report of an active-learning experiment: one page, its tables and its figures."""

from __future__ import annotations

from pathlib import Path

from al_cxr.comparison.compare import per_round, per_seed
from al_cxr.comparison.finished import load
from al_cxr.report import curves
from al_cxr.report.acquired_gallery import add_acquired
from al_cxr.report.asking import arm_options, ensembles, head_scope, passes, stops
from al_cxr.report.classes import class_accuracy, per_class
from al_cxr.report.evidence import add_evidence
from al_cxr.report.fits import Radiographs, add_fit
from al_cxr.report.headline import few, headline
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.text import escape, file_name
from al_cxr.report.last_models import BASELINE, last_models, main_arm
from al_cxr.report.origin import LIMITS, add_provenance, machine, stamp_of, warnings
from al_cxr.report.rounds import acquisition, each_seed, gains
from al_cxr.report.run_evaluation import add_run_evaluation
from al_cxr.report.summary import factorial, summary
from al_cxr.report.training import training_table, training_warnings
from al_cxr.report.trivial import by_source


def write_report(run_dir: Path, results_dir: Path, radiographs: Radiographs | None = None) -> Path:
    """Everything a run folder says, as `results_dir`/README.md and report.html with tables/, figures/, settings.yaml
    and environment.json beside them; the path of README.md.

    With `radiographs` sample predictions and the images acquired are drawn too. They show images, so unless the data is
    synthetic they go into the run folder, with a report.html that shows them, and not into the results. UserError as in
    `finished.load`.
    """
    finished = load(run_dir)
    record, seeds = finished.experiment, finished.settings.seeds
    page = Page(
        results_dir,
        f"{escape(record.title)}: active learning on {escape(record.data.name)}",
        stamp_of(record.data, seeds, bool(finished.gaps)),
        None if record.data.synthetic else run_dir,
    )
    more = [*training_warnings(finished), *few(finished), *head_scope(finished), *stops(finished)]
    page.add(warnings(record.data, record.commit, len(seeds), finished.gaps, more))
    queried = any(len(rounds) > 1 for rounds in finished.rounds.values())  # before the first query nothing differs
    if queried:
        page.add("## In short", "\n".join(f"- {escape(sentence)}" for sentence in headline(finished)))
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
        shown, first = name in (BASELINE, main), model.records[0]
        label = f"{model.label}, seed {first.seed}"
        add_fit(page, finished, first.fit, name, label, first.seed, radiographs if shown else None, shown)
    return page.write()
