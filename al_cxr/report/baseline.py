"""The report of fully labelled models: one architecture, or several side by side on the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from al_cxr.comparison.finished import Finished, load_baseline
from al_cxr.errors import UserError
from al_cxr.report.classes import always, class_accuracy, majority, mean_sd, per_class
from al_cxr.report.experiment import gallery_of
from al_cxr.report.fits import add_fit
from al_cxr.report.page import LIMITS, Page, add_provenance, machine, warnings
from al_cxr.report.tables import Column, Table, escape, file_name, stamp


def write_baseline_report(
    run_dirs: Sequence[Path],
    results_dir: Path,
    pixels: Callable[[np.ndarray], np.ndarray] | None = None,
    labels_N: np.ndarray | None = None,
    names: Callable[[np.ndarray], list[str]] | None = None,
    gallery: Path | None = None,
) -> Path:
    """Pages, tables and figures of one or several run folders of `al-cxr baseline`; the path of the page.

    The other arguments are those of `experiment.write_report`; `gallery` is by default each run's own folder. UserError
    where a folder has no finished baseline, or where folders are of different data or the same architecture twice.
    """
    if not run_dirs:
        raise UserError("no run folder was named")
    runs: dict[str, Finished] = {}
    for run_dir in run_dirs:
        finished = load_baseline(run_dir)
        arch = finished.settings.model.arch
        if arch in runs:
            raise UserError(f"{runs[arch].folder} and {run_dir} both hold {arch}; name one of them")
        runs[arch] = finished
    first = next(iter(runs.values()))
    for other in runs.values():
        if other.experiment.data.fingerprint != first.experiment.data.fingerprint:
            raise UserError(f"{first.folder} and {other.folder} are of different data, so they cannot be compared")

    data = first.experiment.data
    seeds = list(dict.fromkeys(s for f in runs.values() for s in f.settings.seeds))
    gaps = [f"{arch}, {gap}" for arch, f in runs.items() for gap in f.gaps]
    mark = stamp(data, seeds, bool(gaps))
    page = Page(results_dir, f"Fully labelled: {', '.join(map(escape, runs))} on {escape(data.name)}")
    dirty = next((f.experiment.commit for f in runs.values() if "-" in f.experiment.commit), first.experiment.commit)
    page.add(warnings(data, dirty, len(seeds), gaps))
    for arch, finished in runs.items():
        heading = "Where the numbers come from" + f": {escape(arch)}" * (len(runs) > 1)
        folder = Path("models") / file_name(arch) if len(runs) > 1 else Path()
        computed = machine(finished.folder)
        add_provenance(page, finished.experiment, finished.settings.seeds, computed, heading, folder)
    page.add(LIMITS, "## Results")
    page.table(architectures(runs, mark))
    tests = {arch: [b.test for b in f.baselines.values()] for arch, f in runs.items()}
    page.table(class_accuracy("class-accuracy", "Accuracy of each class", tests, mark))
    for arch, finished in runs.items():
        page.add(f"## {escape(arch)}")
        page.table(per_class(f"per-class-{file_name(arch)}", f"{escape(arch)}, class by class", tests[arch], mark))
        seed, record = next(iter(finished.baselines.items()))
        one = stamp(data, [seed])
        radiographs = gallery_of(finished, results_dir, pixels, labels_N, names, gallery)
        add_fit(page, finished, record.fit, arch, f"{arch}, seed {seed}", one, radiographs)
    return page.write()


def architectures(runs: Mapping[str, Finished], mark: str) -> Table:
    """One row an architecture: test metrics (mean ± standard deviation over seeds), parameters, seconds of training."""
    rows: list[dict[str, object]] = []

    def row(arch: str, tests: Sequence, target: str) -> dict[str, object]:
        cells: dict[str, object] = {"arch": arch, "seeds": len(tests)}
        for name, values in {
            "accuracy": [t.accuracy for t in tests],
            "macro_f1": [t.macro.f1 for t in tests],
            "weighted_f1": [t.weighted.f1 for t in tests],
            "target_f1": [t.of(target).f1 for t in tests],
            "roc_auc": [t.roc_auc for t in tests],
        }.items():
            cells[name], cells[f"{name}_sd"] = mean_sd(values)
        return cells

    for arch, finished in runs.items():
        done = list(finished.baselines.values())
        cells = row(arch, [b.test for b in done], finished.target)
        cells |= {"labels": done[0].n_labelled, "parameters": finished.fit(done[0].fit).parameters}
        seconds = [t.train for t in finished.baseline_timings.values()]
        cells["train_s"], cells["train_s_sd"] = mean_sd([s for s in seconds if s == s])
        rows.append(cells)
    first = next(iter(runs.values()))
    test = next(iter(first.baselines.values())).test
    answer = majority(test)
    rows.append(row(f"always {answer}", [always(test, answer)], first.target) | {"seeds": np.nan})
    shown = (
        Column("architecture", "arch"),
        Column("accuracy, %", "accuracy", "percent", "accuracy_sd"),
        Column("macro F1, %", "macro_f1", "percent", "macro_f1_sd"),
        Column("weighted F1, %", "weighted_f1", "percent", "weighted_f1_sd"),
        Column(f"{first.target} F1, %", "target_f1", "percent", "target_f1_sd"),
        Column("ROC-AUC", "roc_auc", "area", "roc_auc_sd"),
        Column("labels", "labels", "count"),
        Column("parameters", "parameters", "count"),
        Column("training, s", "train_s", "seconds", "train_s_sd"),
        Column("seeds", "seeds", "count"),
    )
    notes = (
        "Mean ± standard deviation over seeds. ROC-AUC is the mean of the classes, each against the rest. *always "
        f"{escape(answer)}* answers the test set's majority class for every image.",
    )
    return Table("architectures", "Fully labelled models", pd.DataFrame(rows), shown, mark, notes)
