"""The tables that a page begins with: each arm in one row, and loss and strategy apart."""

from __future__ import annotations

from typing import Any

import pandas as pd

from al_cxr.comparison.compare import two_by_two
from al_cxr.comparison.comparisons import areas, label_savings, validation_labels
from al_cxr.comparison.finished import Finished
from al_cxr.comparison.labels import validation_uses
from al_cxr.comparison.paired import paired
from al_cxr.report.kit.numbers import Kind, number
from al_cxr.report.kit.prose import notes
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape, file_name
from al_cxr.report.rows import ARM, GAIN_BASELINE, LABELS, SEEDS, stopped_note, with_answers, with_seeds
from al_cxr.report.trivial import trivial

CURVE = {"curve_f1": "area", "curve_f1_sd": "area_sd"} | {
    f"curve_difference{end}": f"difference{end}" for end in ("", "_low", "_high")
}
"""Columns of the summary -> columns of `comparisons.areas`."""
SAVED = [
    *("level", "random_labels", "budget", "arm_labels", "arm_labels_low", "arm_labels_high"),
    *(f"{name}{end}" for name in ("fewer", "fewer_all") for end in ("", "_least", "_most", "_low", "_high")),
]
"""Columns of `comparisons.label_savings`."""


def summary(finished: Finished, frame: pd.DataFrame) -> Table:
    """Each arm's last round, the mean of its F1 along the curve (area under it over its width) against random's, and
    the labels that it needs for random's last F1; the best round stands in the files. `frame` is per_round's."""
    area, savings = areas(finished).set_index("arm"), label_savings(finished)
    rows: list[dict[str, Any]] = []
    for arm, group in frame.groupby("arm", sort=False):
        best = group.loc[group["f1"].idxmax()]
        row = group.iloc[-1].to_dict()
        row |= {"best_f1": best["f1"], "best_f1_sd": best["f1_sd"], "best_round": best["round"]}
        row |= {name: area.loc[arm, of] for name, of in CURVE.items()}
        row |= {name: area.loc[arm, name] for name in ("p", "p_holm")}
        last = savings[(savings["arm"] == arm) & savings["of"].str.startswith("random")].tail(1)
        row |= {name: last[name].iloc[0] for name in SAVED if len(last)}
        rows.append(row)
    full = with_answers(finished, pd.DataFrame(rows))
    target, counted = finished.target, bool(validation_uses(finished.settings))
    shown = [
        ARM,
        LABELS,
        Column("accuracy, %", "accuracy", "percent", "sd"),
        Column(f"{target} F1, %", "f1", "percent", "sd"),
        GAIN_BASELINE,
        Column("F1 along the curve, %", "curve_f1", "percent", "sd"),
        Column("over random along the curve, points", "curve_difference", "points", "interval"),
        Column("p (Holm)", "p_holm", "p"),
        Column("labels for random's last F1", "arm_labels", "labels", "interval", "budget"),
        Column("times fewer than random", "fewer", "times", "bounds"),
    ]
    if counted:
        title = f"with {validation_labels(finished):,} validation labels"
        shown.append(Column(title, "fewer_all", "times", "bounds"))
    remarks = notes("rounds", "summary", resampled=paired(finished).resampled, target=target, counted=counted)
    columns = tuple(column for column in (*shown, SEEDS) if column.value in full)
    return Table("summary", "Summary", full, columns, (*remarks, *stopped_note(finished)))


def factorial(finished: Finished) -> list[Table]:
    """{reference loss, other loss} x {random, strategy} at the last round the four arms share; none if they do not."""
    tables = []
    for frame in two_by_two(finished, finished.target):
        last = frame.iloc[-1]
        strategy, other = last["strategy"], frame["loss"].iloc[1]
        kinds: tuple[Kind, ...] = ("percent", "percent", "points")
        shown = (
            Column("loss", "loss"),
            Column("random", "random", kinds, "sd"),
            Column(strategy, "active", kinds, "sd"),
            Column(f"{strategy} − random", "difference", "points", "sd"),
            SEEDS,
        )
        seeds = [seed for seed in finished.settings.seeds if f"difference_seed_{seed}" in frame]
        each = [f"{number(last[f'difference_seed_{seed}'], 'points')} (seed {seed})" for seed in seeds]
        remarks = notes(
            "rounds", "factorial", target=finished.target, other=other, each=each, answers=trivial(finished)
        )
        title = f"Loss or strategy? {escape(strategy)} and {escape(other)}, round {last['round']}"
        name = f"two-by-two-{file_name(f'{other}-{strategy}')}"
        tables.append(Table(name, title, with_seeds(finished, frame), shown, remarks))
    return tables
