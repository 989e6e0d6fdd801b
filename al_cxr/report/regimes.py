"""The label regimes of one experiment beside each other: what each arm came to with few labels and with many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from al_cxr.comparison.compare import per_round
from al_cxr.comparison.finished import Finished
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.prose import notes
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape
from al_cxr.report.origin import LIMITS, stamp_of, warnings
from al_cxr.report.rows import ARM, GAIN_BASELINE, GAIN_RANDOM, LABELS, SHARE


def write_regimes(runs: Sequence[Finished], results_dir: Path) -> Path:
    """The page of several regimes of an experiment, `results_dir`/README.md, with links to the page of each; its path.

    The experiment's own budget has its page there where it was run; then this one is `results_dir`/regimes/README.md.
    """
    own = (runs[0].folder.parent / "experiment.json").exists()
    folder, up = (results_dir / "regimes", "..") if own else (results_dir, ".")
    experiment = runs[0].experiment
    gaps = [f"{run.experiment.regime}: {gap}" for run in runs for gap in run.gaps]
    title = f"{escape(experiment.name)}: label regimes on {escape(experiment.data.name)}"
    page = Page(folder, title, stamp_of(experiment.data, runs[0].settings.seeds, bool(gaps)))
    commits = list(dict.fromkeys(run.experiment.commit for run in runs))
    page.add(warnings(experiment.data, ", ".join(commits), len(runs[0].settings.seeds), gaps), LIMITS)
    page.add("## Results")
    page.table(regimes(runs))
    links = [f"- [{run.experiment.regime}]({up}/{run.experiment.regime}/README.md): {_budget(run)}" for run in runs]
    page.add("## Each regime", "\n".join(links))
    return page.write()


def regimes(runs: Sequence[Finished]) -> Table:
    """One row a regime and arm, at the arm's last finished round; shares in 0..1, differences within the seed."""
    rows = []
    for run in runs:
        frame = per_round(run, run.target)
        for _, group in frame.groupby("arm", sort=False):
            last = group.iloc[-1].to_dict()
            rows.append({"regime": run.experiment.regime, **last, "share": last["labels"] / run.train_size})
    shown = (
        Column("regime", "regime"),
        ARM,
        LABELS,
        SHARE,
        Column(f"{runs[0].target} F1, %", "f1", "percent", "sd"),
        GAIN_RANDOM,
        GAIN_BASELINE,
        Column("seeds", "seeds", "count"),
    )
    title = f"{escape(runs[0].target)} F1 at the last round, by label regime"
    return Table("regimes", title, pd.DataFrame(rows), shown, notes("experiment", "regimes"))


def _budget(run: Finished) -> str:
    b, n = run.settings.budget, run.train_size
    start = f"{100 * b.seed:g} % of {n:,}" if b.seed <= 1 else f"{b.seed:g} of {n:,}"
    unit = {"remaining": "% of what is left", "train": f"% of {n:,}", "number": "images"}[b.query_of]
    query = f"{b.query:g}" if b.query_of == "number" else f"{100 * b.query:g}"
    return f"{start} labelled at the start, then {b.rounds} queries of {query} {unit}"
