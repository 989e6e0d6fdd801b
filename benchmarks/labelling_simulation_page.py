"""The page of labelling_simulation.py, from the looks at its projects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from labelling_simulation_cases import AUDIT, CHOSEN, LEAST, START, Case
from scipy import stats

from al_cxr.core import provenance
from al_cxr.labelling.simulate import HELD_OUT, SECONDS

ENTROPY, RANDOM = "entropy", "random"


def page(command: str, cases: Sequence[Case], looks: Sequence[pd.DataFrame], start: str) -> str:
    """Markdown. `looks` are those of each case, with what is to be said of its data set in `attrs`."""
    some = looks[0]
    seeds, answers = sorted(some["seed"].unique().tolist()), int(some["answers"].max())
    commits = sorted({commit for of in looks for commit in of["commit"].unique()})
    parts = [
        "# Labelling an archive, simulated on real radiographs",
        f"    {command}",
        "The code of `al-cxr label` with an oracle for a reader, who answers with the data set's labels. "
        f"{len(seeds)} projects of each row (seeds {seeds[0]} to {seeds[-1]}), {answers} answers each, at {SECONDS} s: "
        f"{answers * SECONDS / 3600:.2f} hours. {100 * HELD_OUT:.0f} % of the patients, by a hash of the seed, are "
        "kept out of the archive; *true* is what the model does on them, and no exacter than their number makes it. "
        f"{100 * AUDIT:.0f} % of the patients are audited (20 % by default; these archives are small). All else is as "
        "by default: a frozen EfficientNet-Lite0, a logistic regression trained again every five answers. Parentheses "
        "are 95 % intervals over the seeds, paired by seed; all seeds share the archive's images, so they speak of "
        "chance in the project and not of other archives. Research only: not a medical device.",
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
        started(start, cases),
        f"{', '.join(commits)}; " + ", ".join(f"{k} {v}" for k, v in provenance.versions().items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def data_table(cases: Sequence[Case], looks: Sequence[pd.DataFrame]) -> str:
    rows = [
        [c.name, c.about, of.attrs["images"], f"`{of.attrs['fingerprint'][:16]}`", percent(c.goal), percent(c.pilot)]
        for c, of in zip(cases, looks, strict=True)
    ]
    return table(["archive", "what", "images", "fingerprint", "wanted accuracy, %", "the pilot's, %"], rows)


def reached(case: Case, looks: pd.DataFrame) -> str:
    """How many answers it took, an arm a row, and what that says in words."""
    goal, most = case.goal, int(looks["answers"].max())
    found = {arm: until(looks, arm, goal) for arm in looks["arm"].unique()}
    rows, said = [], []
    for arm, of in found.items():
        end = accuracy(looks, arm)[most]
        cells = [arm, count(of["reached"], most), count(of["certified"], most), f"{int(of['wrong'].sum())}"]
        cells += [f"{percent(end.mean())} ({percent(end.min())} to {percent(end.max())})"]
        if arm == RANDOM:
            rows.append([*cells, "", ""])
            continue
        saved = found[RANDOM]["reached"].clip(upper=most) - of["reached"].clip(upper=most)
        rows.append([*cells, difference(saved, "{:+.0f}"), difference(saved * SECONDS / 3600, "{:+.2f}")])
        said.append(f"{arm}: {verdict(saved)}")
    header = ["questions", "reached in", "certified in", "wrongly", "true accuracy at the end, % (least to most)"]
    return (
        table([*header, "answers saved", "hours saved"], rows)
        + f"\n\nTo reach {percent(goal)} %, "
        + "; ".join(said)
        + "."
    )


def until(looks: pd.DataFrame, arm: str, goal: float) -> pd.DataFrame:
    """Of each seed: answers until reached and until certified (inf: never), and whether that certificate was wrong."""
    mine = looks[(looks["arm"] == arm) & (looks["figure"] == "accuracy") & (looks["answers"] % 10 == 0)]
    rows = {}
    for seed, of in mine.sort_values("answers").groupby("seed"):
        there, certified = of[of["truth"] >= goal], of[of["certified"] == 1]
        rows[seed] = {
            "reached": there["answers"].min() if len(there) else float("inf"),
            "certified": certified["answers"].min() if len(certified) else float("inf"),
            "wrong": bool(len(certified) and certified["truth"].iloc[0] < goal),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def accuracy(looks: pd.DataFrame, arm: str, column: str = "truth") -> pd.DataFrame:
    """Of each seed (rows) after so many answers (columns)."""
    mine = looks[(looks["arm"] == arm) & (looks["figure"] == "accuracy")]
    return mine.pivot(index="seed", columns="answers", values=column)


def audit_table(cases: Sequence[Case], looks: Sequence[pd.DataFrame]) -> str:
    rows = []
    for case, of in zip(cases, looks, strict=True):
        most = int(of["answers"].max())
        audited, least = accuracy(of, ENTROPY), accuracy(of, LEAST)
        costs = [difference(100 * (audited[n] - least[n]), "{:+.1f}") for n in thirds(most)]
        sure = [until(of, arm, case.goal) for arm in (ENTROPY, LEAST)]
        buys = " / ".join(f"{int(np.isfinite(one['certified']).sum())} of {len(one)}" for one in sure)
        widths = [(accuracy(of, arm, "high") - accuracy(of, arm, "low"))[most].mean() for arm in (ENTROPY, LEAST)]
        labels = [f"{accuracy(of, arm, 'trained_on')[most].mean():.0f}" for arm in (ENTROPY, LEAST)]
        rows.append([case.name, " / ".join(labels), *costs, buys, " / ".join(percent(width) for width in widths)])
    most = int(looks[0]["answers"].max())
    after = [f"costs after {n} answers, points" for n in thirds(most)]
    header = ["archive", "labels learned from, with / least audit", *after, "certified", "interval, points wide"]
    return table(header, rows)


def coverage(looks: Sequence[pd.DataFrame]) -> str:
    """Of the figures whose intervals hold at every look."""
    mine = numbered(looks)
    most = int(mine["answers"].max())
    at = {3: thirds(most), 30: [round(most * i / 30) for i in range(1, 31)], 300: list(range(1, most + 1))}
    rows = []
    for figure, of in mine.groupby("figure", sort=False):
        if "," in figure or figure == "accuracy less random":
            continue
        held = (of["low"] <= of["truth"]) & (of["truth"] <= of["high"])
        projects = of["project"].nunique()
        cells = []
        for answers in at.values():
            some = of["answers"].isin(answers)
            cells.append(f"{int(held[some].groupby(of['project'][some]).all().sum())} of {projects}")
        last = of["answers"] == most
        width = (of["high"] - of["low"])[last].mean()
        rows.append([str(figure), *cells, percent(held.mean()), percent(held[last].mean()), percent(width)])
    header = ["figure", "all 3 looks", "all 30", "all 300", "each look, %", "the last, %", "width at the end, points"]
    return table(header, rows)


def for_one_look(looks: Sequence[pd.DataFrame]) -> str:
    """Of those that are for one look. What random labels would have given is the mean of the random projects."""
    mine, rows = numbered(looks), []
    for figure, of in mine.groupby("figure", sort=False):
        if "," not in figure and figure != "accuracy less random":
            continue
        given = of.dropna(subset=["low", "high"])
        gains = pd.Series([chosen_less_random(looks, row) for _, row in given.iterrows()], given.index, float)
        truth = given["truth"] if "," in figure else gains
        held = (given["low"] <= truth) & (truth <= given["high"])
        at = [given["answers"] == n for n in thirds(int(mine["answers"].max()))]
        by_look = [f"{int(held[there].sum())} of {int(there.sum())}" for there in at]
        rows.append([str(figure), *by_look, percent((given["high"] - given["low"]).mean())])
    after = [f"holds after {n} answers" for n in thirds(int(mine["answers"].max()))]
    return table(["figure", *after, "width, points"], rows)


def chosen_less_random(looks: Sequence[pd.DataFrame], row: pd.Series) -> float:
    """True accuracy of a project's model less that of models of as many labels asked at random."""
    of = looks[int(row["case"])]
    own = accuracy(of, ENTROPY).loc[row["seed"], row["answers"]]
    labels, truths = accuracy(of, RANDOM, "trained_on"), accuracy(of, RANDOM)
    random = [
        np.interp(row["trained_on"], labels.loc[seed].dropna(), truths.loc[seed].dropna()) for seed in labels.index
    ]
    return float(own - np.mean(random))


def numbered(looks: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The looks of the arm ENTROPY of all cases, each project with a number."""
    mine = pd.concat([of[of["arm"] == ENTROPY].assign(case=i) for i, of in enumerate(looks)], ignore_index=True)
    return mine.assign(project=mine.groupby(["case", "seed"]).ngroup())


def started(start: str, cases: Sequence[Case]) -> str:
    """What --start was."""
    begun = [case.name for case in cases if case.start]
    if not start or not begun:
        return "No project was begun with a bundle of another hospital: `--start` was not given."
    from al_cxr.bundles.opening import open_bundle

    record = open_bundle(start).record
    return (
        f"*{START}*: a bundle asks the first questions of {', '.join(begun)}. It is a {record.networks[0].arch} that "
        f"has learned from {record.n_labelled[0]:,} images of {record.data.name} (`{record.command}`). Of tuberculosis "
        "there is one source only, so no bundle of another hospital could honestly begin the other archives."
    )


def thirds(most: int) -> list[int]:
    return [most // 3, 2 * most // 3, most]


def count(answers: pd.Series, most: int) -> str:
    """In how many projects, and after how many answers."""
    there = int(np.isfinite(answers).sum())
    return f"{there} of {len(answers)}" + (f", {answers.clip(upper=most).mean():.0f} answers" if there else "")


def difference(values: pd.Series, shape: str) -> str:
    """Mean, and its 95 % interval by Student's t."""
    low, high = bounds(values)
    return f"{shape.format(values.mean())} ({shape.format(low)} to {shape.format(high)})"


def bounds(values: pd.Series) -> tuple[float, float]:
    if len(values) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def verdict(saved: pd.Series) -> str:
    low, high = bounds(saved)
    if low > 0:
        return "shown to take fewer answers than random questions"
    return (
        "shown to take more answers than random questions" if high < 0 else "not shown to differ from random questions"
    )


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
