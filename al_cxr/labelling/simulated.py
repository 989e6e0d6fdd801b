"""What simulated projects tell: labels until the goal is certified and until it is reached, and how intervals cover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from al_cxr.evaluation.audit import FIGURES
from al_cxr.labelling.settings import GoalSettings
from al_cxr.labelling.simulate import SECONDS, Simulated


def look_table(runs: Sequence[Simulated]) -> pd.DataFrame:
    """A row for each look at each figure: what was said, and what is true, as far as that is known."""
    rows = []
    for run in runs:
        for look in run.looks:
            for name, figure in {**look.said, **look.once}.items():
                rows.append(
                    {
                        "strategy": run.arm,
                        "seed": run.seed,
                        "answers": look.answers,
                        "trained_on": look.labelled,
                        "audited": look.audited,
                        "figure": name,
                        "value": figure.value,
                        "low": figure.low,
                        "high": figure.high,
                        "truth": look.truth.get(name.partition(",")[0], np.nan),
                        "certified": int(look.certified),
                    }
                )
    return pd.DataFrame(rows)


def summary_lines(runs: Sequence[Simulated], goal: GoalSettings) -> list[str]:
    """For a person, an arm a paragraph."""
    lines: list[str] = []
    reached_by: dict[str, list[float]] = {}
    for arm in dict.fromkeys(run.arm for run in runs):
        mine = [run for run in runs if run.arm == arm]
        reached = [_first(run, [look.truth[goal.figure] >= goal.at_least for look in run.looks]) for run in mine]
        certified = [_first(run, [look.certified for look in run.looks]) for run in mine]
        wrong = sum(
            any(look.certified and look.truth[goal.figure] < goal.at_least for look in run.looks[-1:]) for run in mine
        )
        reached_by[arm] = reached
        lines += [
            f"strategy  {arm}: {len(mine)} projects",
            f"  truly reached after          {_answers(reached)}",
            f"  certified after              {_answers(certified)}",
            f"  certified, and yet below it  {wrong} of {len(mine)} at the end",
            f"  {goal.figure} at the end {' ' * (15 - len(goal.figure))} {_mean(mine, goal.figure)}",
            f"  intervals held at the end    {_coverage(mine, last=True)}",
            f"  at every look, all models    {_coverage(mine, last=False)} (which is not promised)",
        ]
    arms = [arm for arm in reached_by if arm != "random"]
    if "random" in reached_by:
        for arm in arms:
            pairs = [(a, b) for a, b in zip(reached_by[arm], reached_by["random"], strict=True) if a < np.inf > b]
            if pairs:
                saved = np.mean([random - own for own, random in pairs])
                hours = f"{saved * SECONDS / 3600:+.1f} hours at {SECONDS} s"
                seeds = f"mean of the {len(pairs)} seeds in which both did"
                lines.append(f"saved     {arm} reached the goal {saved:+.0f} answers before random ({hours}), {seeds}")
    return lines


def _first(run: Simulated, yes: Sequence[bool]) -> float:
    return next((float(look.answers) for look, is_so in zip(run.looks, yes, strict=True) if is_so), np.inf)


def _answers(counts: Sequence[float]) -> str:
    found = [count for count in counts if count < np.inf]
    if not found:
        return f"in none of {len(counts)}"
    return f"{np.mean(found):,.0f} answers ({min(found):,.0f} to {max(found):,.0f}), in {len(found)} of {len(counts)}"


def _mean(runs: Sequence[Simulated], figure: str) -> str:
    last = [run.looks[-1].truth[figure] for run in runs if run.looks]
    return f"{100 * np.mean(last):.1f} % ({100 * min(last):.1f} to {100 * max(last):.1f} %)" if last else "not known"


def _coverage(runs: Sequence[Simulated], last: bool) -> str:
    """Of each figure, in how many projects the interval of the last look, or those of all looks, held the truth.

    An interval is promised for one model at all its looks; over the models of a project more of them fail.
    """
    said = []
    for name in FIGURES:
        looks = [run.looks[-1:] if last else run.looks for run in runs]
        held = [all(one.said[name].low <= one.truth[name] <= one.said[name].high for one in some) for some in looks]
        said.append(f"{name} {sum(held)}")
    return f"{', '.join(said)} of {len(runs)}"
