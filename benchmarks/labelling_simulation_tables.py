"""The tables of labelling_simulation_page.py, from the looks at the projects of each case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from labelling_simulation_cases import LEAST, START, Case
from scipy import stats

from al_cxr.labelling.simulate import SECONDS

ENTROPY, RANDOM = "entropy", "random"


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
        if not {ENTROPY, LEAST} <= set(of["arm"]):
            continue
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


def start_table(cases: Sequence[Case], looks: Sequence[pd.DataFrame]) -> str:
    """True accuracy of projects that a bundle began, less that of the same without."""
    rows = []
    for case, of in zip(cases, looks, strict=True):
        if START in set(of["arm"]):
            most = int(of["answers"].max())
            begun, without = accuracy(of, START), accuracy(of, ENTROPY)
            saved = [until(of, arm, case.goal)["reached"].clip(upper=most) for arm in (ENTROPY, START)]
            gains = [difference(100 * (begun[n] - without[n]), "{:+.1f}") for n in (20, 30, 50, most)]
            rows.append([case.name, *gains, difference(saved[0] - saved[1], "{:+.0f}")])
    most = int(looks[0]["answers"].max())
    after = [f"after {n} answers, points" for n in (20, 30, 50, most)]
    return table(["archive", *after, "answers saved until reached"], rows) if rows else ""


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
        by_look = [f"{int(held[there].sum())} of {int(there.sum())}" if there.any() else "none given" for there in at]
        rows.append([str(figure), *by_look, percent((given["high"] - given["low"]).mean()) if len(given) else ""])
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


def thirds(most: int) -> list[int]:
    return [most // 3, 2 * most // 3, most]


def count(answers: pd.Series, most: int) -> str:
    """In how many projects, and after how many answers."""
    there = int(np.isfinite(answers).sum())
    return f"{there} of {len(answers)}" + (f", {answers.clip(upper=most).mean():.0f} answers" if there else "")


def difference(values: pd.Series, shape: str) -> str:
    """Mean, and its 95 % interval by Student's t."""
    values = values.dropna()
    low, high = bounds(values)
    return f"{shape.format(values.mean())} ({shape.format(low)} to {shape.format(high)})"


def bounds(values: pd.Series) -> tuple[float, float]:
    values = values.dropna()  # seeds of which there is only one of the two
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
