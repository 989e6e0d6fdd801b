"""What an experiment supports, in words first: for good and for bad news the same sentences, tables and figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from al_cxr.comparison import comparisons
from al_cxr.comparison.finished import Finished
from al_cxr.comparison.inference import supports
from al_cxr.comparison.paired import paired
from al_cxr.core import enough
from al_cxr.report import evidence_figures as figures
from al_cxr.report import evidence_tables as tables
from al_cxr.report.evidence_tables import beside
from al_cxr.report.kit.figures import Figure
from al_cxr.report.kit.numbers import MISSING, bounds, interval, number, up_to
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.text import escape

Drawing = Callable[[Finished, str], Figure | None]


def headline(finished: Finished) -> list[str]:
    """A few sentences, plain text: which arms beat random and by how much, what that saves, and what n supports.

    "Better" and "worse" are said only of what p and the interval agree on (`comparisons`)."""
    if why := comparisons.too_few(finished):
        return [f"{why}: no arm is called better or worse, and no labels are counted."]
    areas = comparisons.areas(finished).dropna(subset="p").sort_values("difference", ascending=False, kind="stable")
    if areas.empty:
        return ["No arm has a finished curve beside random with the same loss: nothing can be said about strategies."]
    pairs = int(areas["pairs"].min())
    measure = (
        f"{finished.target} F1 along the budget curve, random sampling with the same loss, {pairs} paired "
        f"seed{'s' * (pairs != 1)}"
    )
    said = []
    for word in ("better", "worse"):
        if len(rows := areas[areas["verdict"] == word]):
            said.append(
                f"{word.capitalize()} than random ({measure}; points, intervals over seeds and test images; p over "
                f"seeds, Holm-corrected, at most {number(rows['p_holm'].max(), 'p')}): {_arms(rows)}."
            )
    if not said:
        best = areas.iloc[0].to_dict()
        said.append(
            f"No arm is shown to differ from random ({measure}; p over seeds, Holm-corrected, below "
            f"{comparisons.ALPHA:g}, and an interval over seeds and test images without 0); the highest is "
            f"{_said(best)} points, p {number(best['p_holm'], 'p')}."
        )
    if len(rows := areas[areas["verdict"] == "seeds"]):
        said.append(
            f"Different from random over seeds on this one test set, which other test images may undo, as their "
            f"intervals hold 0 (p at most {number(rows['p_holm'].max(), 'p')}): {_arms(rows)}."
        )
    said.append(f"{supports(pairs, int(areas['family'].iloc[0]), comparisons.ALPHA)}.")
    return [*said, *_savings(finished, str(areas.iloc[0]["arm"])), beside(finished)]


def few(finished: Finished) -> list[str]:
    """Where the test set is too small or too much of one patient for what is said of it; not what the data's own notes
    say already."""
    counts, images = finished.experiment.data.counts["test"], finished.images
    found = enough.of_split("test", counts)
    if images is not None:
        found += enough.of_patients("test", images.loc[images["split"] == "test", "patient_id"])
    return [said for said in found if said not in finished.experiment.data.notes]


def _arms(rows: pd.DataFrame) -> str:
    return "; ".join(_said(row) for row in rows.to_dict("records"))


def _said(row: dict) -> str:
    return f"{row['arm']} {interval(row, 'difference', 'points')}"


def _savings(finished: Finished, best: str) -> list[str]:
    """Labels of the best arm against random's last F1, and of each arm against the fully labelled baseline."""
    frame, said = comparisons.label_savings(finished), []
    of_best = frame[(frame["arm"] == best) & frame["of"].str.startswith("random")]
    for row in of_best.tail(1).to_dict("records"):
        if _worthless(row):
            said.append(
                f"Random's last F1 ({number(row['level'], 'percent')} %) is no better than that of the answer "
                f'"always {finished.target}" ({number(row["floor"], "percent")} %): no labels are counted for it.'
            )
            continue
        with_all = bounds(row, "fewer_all", "times")
        count = f"{comparisons.validation_labels(finished):,}"
        also = f"; {with_all} times with the {count} validation labels on both sides" * (with_all != MISSING)
        said.append(
            f"For random's last F1 ({number(row['level'], 'percent')} %) {best} needs "
            f"{interval(row, 'arm_labels', 'labels', 'budget')} labels and random "
            f"{up_to(row, 'random_labels', 'labels', 'budget')}, {bounds(row, 'fewer', 'times')} times as many{also}."
        )
    full = frame[frame["of"] == "fully labelled"]
    return [*said, _to_baseline(finished, full)] if len(full) else said


def _to_baseline(finished: Finished, rows: pd.DataFrame) -> str:
    """Arm by arm: the first of several to get there would be the luckiest."""
    row = rows.iloc[0].to_dict()
    level = f"{number(row['level'], 'percent')} %, {finished.train_size:,} labels"
    if _worthless(row):
        return (
            f'The fully labelled model ({level}) is no better than the answer "always {finished.target}" '
            f"({number(row['floor'], 'percent')} %): reaching it says nothing, and no labels are counted for it."
        )
    there = rows[np.isfinite(rows["arm_labels"])].sort_values("arm_labels", kind="stable")
    if there.empty:
        return f"No arm reaches the fully labelled model ({level}) within {row['budget']:,.0f} labels."
    arms = "; ".join(
        f"{r['arm']} with {interval(r, 'arm_labels', 'labels', 'budget')}" for r in there.to_dict("records")
    )
    others = f" {len(rows) - len(there)} of {len(rows)} arms do not." * (len(there) < len(rows))
    return f"The fully labelled model ({level}) is reached within {row['budget']:,.0f} labels by {arms}.{others}"


def _worthless(row: dict) -> bool:
    return bool(row["level"] <= row["floor"])


def support(finished: Finished) -> str:
    """What the seeds and the test set can support, before any result: a markdown list."""
    p, data = paired(finished), finished.experiment.data
    test = data.counts["test"]
    families: list[tuple[str, pd.DataFrame]] = [
        ("Against random, along the budget curve", comparisons.areas(finished)),
        ("Against random, every arm and round", comparisons.by_round(finished, "random")),
        ("Against the fully labelled baseline, every arm and round", comparisons.by_round(finished, "baseline")),
        ("Loss, strategy and their interaction", comparisons.effects(finished)),
    ]
    lines = []
    for name, frame in families:
        if len(frame) and (count := int(frame["family"].iloc[0])):
            # The smallest number of pairs in a family bounds what it can show.
            lines.append(f"{name}: {supports(int(frame['pairs'].dropna().min()), count, comparisons.ALPHA)}.")
    lines += [
        f"The test set: {sum(test.values()):,} images, {test.get(finished.target, 0):,} of {escape(finished.target)}. "
        f"Intervals are over {escape(p.resampled)}: the variance of 2,000 bootstrap samples of the test images plus "
        "that of the seeds, with Student's t. results/benchmarks/coverage.md says how often they hold the truth.",
        "p is over seeds, on this one test set: it says that other seeds would agree, not that other images would. An "
        "arm is called better or worse only where the interval, which is over both, leaves 0 out too.",
        escape(beside(finished)),
        "One comparison an arm is the one to go by, whatever comes out: the area under the budget curve against random "
        "with the same loss. The rest describes.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def add_evidence(page: Page, finished: Finished) -> None:
    """Sections of a page about what was found: differences, labels saved, loss or strategy, what was acquired, cost."""
    target = finished.target[0].upper() + finished.target[1:]
    page.add("## What the seeds can support", support(finished))
    page.add("## Against random")
    page.table(tables.area_table(finished))
    for draw, name, caption in (
        (figures.area_differences, "against-random", f"{target} F1 along the budget curve, against random"),
        (figures.interval_curves, "curve-intervals", f"{target} F1 against labels, with intervals"),
        (figures.round_differences, "differences", f"{target} F1 against random in each round"),
    ):
        _figure(page, draw, name, caption, finished)
    if len(comparisons.by_round(finished, "random")):
        page.table(tables.round_table(finished, "random"), inline=False)
    arm = _main(finished)
    caption = f"Confusion over rounds: {arm}, mean over seeds"
    page.figure(figures.confusion_rounds(finished, arm, caption), "confusion-rounds", caption)
    if finished.baselines:
        page.add("## Against the fully labelled baseline")
        page.table(tables.last_round_table(finished))
        page.table(tables.round_table(finished, "baseline"), inline=False)
    page.add("## Label savings")
    savings, to_baseline = tables.savings_tables(finished)
    if len(savings.frame):
        page.table(savings)
        _figure(page, figures.label_savings, "label-savings", "Labels for the last F1 of random", finished)
    if len(to_baseline.frame):
        page.table(to_baseline, notes=savings.frame.empty)
    if (effects := tables.effects_table(finished)) is not None:
        page.add("## Loss or strategy?")
        page.table(effects)
    page.add("## What was acquired")
    if (both := tables.acquired_tables(finished)) is not None:
        page.table(both[0])
        page.table(both[1], inline=False, notes=False)
    else:
        page.add("Sources, patients and copies are not known: the run has no images.csv.")
    page.add("## Cost")
    for i, table in enumerate(tables.cost_tables(finished)):
        page.table(table, inline=i == 0)


def _main(finished: Finished) -> str:
    """The first arm that has finished a round, if it can be one that is not random."""
    there = [arm for arm in finished.settings.arms if finished.last(arm)]
    return next((arm for arm in there if finished.settings.arms[arm].strategy != "random"), there[0])


def _figure(page: Page, draw: Drawing, name: str, caption: str, finished: Finished) -> None:
    """Drawn where there is something to draw."""
    figure = draw(finished, caption)
    if figure is not None:
        page.figure(figure, name, caption)
