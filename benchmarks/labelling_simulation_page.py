"""The page of labelling_simulation.py, from the looks at its projects."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from labelling_simulation_cases import AUDIT, CHOSEN, Case
from labelling_simulation_tables import (
    ENTROPY,
    audit_table,
    coverage,
    data_table,
    for_one_look,
    reached,
    start_table,
)

from al_cxr.core import provenance
from al_cxr.labelling.simulate import HELD_OUT, SECONDS


def page(command: str, cases: Sequence[Case], looks: Sequence[pd.DataFrame], start: str) -> str:
    """Markdown. `looks` are those of each case, with what is to be said of its data set in `attrs`."""
    some = looks[0]
    seeds, answers = sorted(some["seed"].unique().tolist()), int(some["answers"].max())
    commits = sorted({commit for of in looks for commit in of["commit"].unique()})
    parts = [
        "# Labelling an archive, simulated on real radiographs",
        f"    {command}",
        "The code of `al-cxr label` with an oracle for a reader, who answers with the data set's labels. "
        f"Up to {len(seeds)} projects a row (seeds {seeds[0]} to {seeds[-1]}), {answers} answers each, at {SECONDS} s: "
        f"{answers * SECONDS / 3600:.2f} hours. {100 * HELD_OUT:.0f} % of the patients, by a hash of the seed, are "
        "kept out of the archive; *true* is what the model does on them, each patient counting alike as in an audit, "
        "and no exacter than their number makes it. "
        f"{100 * AUDIT:.0f} % of the patients are audited (20 % by default; these archives are small). All else is as "
        "by default: a frozen EfficientNet-Lite0, a logistic regression trained again every five answers. Parentheses "
        "are 95 % intervals over the seeds, paired by seed; all seeds share the archive's images, so they speak of "
        "chance in the project and not of other archives. Rows of fewer than 5 projects are left out. Research "
        "only: not a medical device.",
        data_table(cases, looks),
        CHOSEN,
        "## Until the goal is reached, and until it is certified",
        "*Reached*: the first look, every ten answers, at which the model truly has the wanted accuracy. *Certified*: "
        "the first at which the project said so. In how many projects, and after how many answers; one that does not "
        f"within {answers} answers counts as {answers}. *Wrongly*: certified a model whose true accuracy was below the "
        "goal. *Saved*: answers until reached, random less this arm.",
        *(part for case, of in zip(cases, looks, strict=True) for part in (f"### {case.name}", reached(case, of))),
        "## What the audit costs, and what it buys",
        f"Projects with {100 * AUDIT:.0f} % audit beside the same with as little as a project allows: 5 %, no second "
        "reads, no repeats. *Costs*: true accuracy at equal answers, with the audit less without; below 0 it costs. "
        "*Buys*: certificates, and how wide the accuracy's interval is at the end.",
        audit_table(cases, looks),
        "## How often the intervals hold",
        f"All projects of the arm {ENTROPY}. *All looks*: projects in which the interval of every look held, with 3, "
        "30 and 300 looks, each at the model of its moment; what is promised is 95 % for one model at all its looks, "
        "and that of all models together is not promised. *Each look*: of all intervals, by themselves. The truth is "
        "measured on held-out images and not known exactly, so a few misses are its own; the prevalence's is exact.",
        coverage(looks),
        "The figures below are for one look, and no confidence sequences: given at three looks each.",
        for_one_look(looks),
        "Agreement of readers, labels needed and hours have no truth here; how often theirs hold is in "
        "[labelling-coverage](labelling-coverage.md).",
        "## Begun by a model of another hospital",
        started(start, cases),
        start_table(cases, looks),
        f"{', '.join(commits)}; " + ", ".join(f"{k} {v}" for k, v in provenance.versions().items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def started(start: str, cases: Sequence[Case]) -> str:
    """What --start was."""
    begun = [case.name for case in cases if case.start]
    if not start or not begun:
        return "No project was begun with a bundle of another hospital: `--start` was not given."
    from al_cxr.bundles.opening import open_bundle

    record = open_bundle(start).record
    return (
        f"A bundle asks the first questions of {', '.join(begun)}, and all else is as in the arm {ENTROPY}. It is "
        f"{record.networks[0].arch}, which has learned from {record.n_labelled[0]:,} images of {record.data.name}. "
        "True accuracy with the bundle less without. Of tuberculosis there is one source only, so no bundle of another "
        "hospital could honestly begin the other archives."
    )
