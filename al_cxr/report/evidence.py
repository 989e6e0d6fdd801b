"""The sections of a page about what was found: for good and for bad news the same tables and figures."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from al_cxr.comparison import comparisons
from al_cxr.comparison.finished import Finished
from al_cxr.comparison.inference import supports
from al_cxr.comparison.paired import paired
from al_cxr.report import evidence_figures as figures
from al_cxr.report import evidence_tables as tables
from al_cxr.report.headline import price
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.prose import notes

Drawing = Callable[[Finished, str], Figure | None]


def support(finished: Finished) -> str:
    """What the seeds and the test set can support, before any result: a markdown list."""
    families: list[tuple[str, pd.DataFrame]] = [
        ("Against random, along the budget curve", comparisons.areas(finished)),
        ("Against random, every arm and round", comparisons.by_round(finished, "random")),
        ("Against the fully labelled baseline, every arm and round", comparisons.by_round(finished, "baseline")),
        ("Loss, strategy and their interaction", comparisons.effects(finished)),
    ]
    supported = []
    for name, frame in families:
        if len(frame) and (count := int(frame["family"].iloc[0])):
            # The smallest number of pairs in a family bounds what it can show.
            pairs = int(frame["pairs"].dropna().min())
            supported.append(f"{name}: {supports(pairs, count, comparisons.ALPHA)}")
    positives, images = comparisons.positives(finished)
    remarks = notes(
        "evidence",
        "support",
        families=supported,
        test=images,
        positives=positives,
        target=finished.target,
        resampled=paired(finished).resampled,
        price=price(finished),
    )
    return "\n".join(f"- {line}" for line in remarks)


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
    for table in tables.cost_tables(finished):  # linked: seconds are never the same twice, and the page is
        page.table(table, inline=False)


def _main(finished: Finished) -> str:
    """The first arm that has finished a round, if it can be one that is not random."""
    there = [arm for arm in finished.settings.arms if finished.last(arm)]
    return next((arm for arm in there if finished.settings.arms[arm].strategy != "random"), there[0])


def _figure(page: Page, draw: Drawing, name: str, caption: str, finished: Finished) -> None:
    """Drawn where there is something to draw."""
    figure = draw(finished, caption)
    if figure is not None:
        page.figure(figure, name, caption)
