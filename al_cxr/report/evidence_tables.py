"""Tables of what an experiment supports: differences with intervals and p, labels saved, what was acquired, cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from markupsafe import Markup

from al_cxr.comparison import comparisons
from al_cxr.comparison.acquired import acquired
from al_cxr.comparison.compare import per_seed
from al_cxr.comparison.finished import Finished
from al_cxr.comparison.labels import validation_uses
from al_cxr.comparison.paired import paired
from al_cxr.report.headline import price
from al_cxr.report.kit.numbers import MISSING
from al_cxr.report.kit.prose import notes, paragraph
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape
from al_cxr.report.rows import ARM, LABELS, ROUND
from al_cxr.report.trivial import trivial

TESTED = (
    Column("difference, points", "difference", "points", "interval"),
    Column("p", "p", "p"),
    Column("p (Holm)", "p_holm", "p"),
    Column("pairs", "pairs", "count"),
)


WORDS = {"better": "better", "worse": "worse", "seeds": "over seeds alone", "": "not told apart"}


def _tested(finished: Finished, frame: pd.DataFrame, f1: str) -> pd.DataFrame:
    """A frame of `comparisons` in words; below it the answers that need no model, which have one F1 everywhere."""
    answers = [row | {f1: row["f1"], "pairs": np.nan} for row in trivial(finished)]
    full = pd.DataFrame([*frame.to_dict("records"), *answers])
    words = [None if np.isnan(row["p"]) else WORDS[row["verdict"]] for row in full.to_dict("records")]
    return full.assign(verdict_of=words)


def _notes(finished: Finished, passage: str, frame: pd.DataFrame, **values: object) -> tuple[str, ...]:
    """Below a table of tested differences: what its intervals are over, and the family of its p."""
    family = int(frame["family"].iloc[0]) if len(frame) else 0
    over_seeds = Markup(paragraph("evidence", "over_seeds"))
    resampled = paired(finished).resampled
    return notes("evidence", passage, family=family, over_seeds=over_seeds, resampled=resampled, **values)


def area_table(finished: Finished) -> Table:
    """F1 along the budget curve of each arm, and its difference to the random arm with the same loss."""
    frame = comparisons.areas(finished)
    shown = (
        ARM,
        Column(f"{finished.target} F1 along the curve, %", "area", "percent", "interval"),
        *TESTED,
        Column("than random", "verdict_of"),
    )
    title = "Along the budget curve, against random"
    return Table("against-random", title, _tested(finished, frame, "area"), shown, _notes(finished, "area", frame))


def round_table(finished: Finished, against: str) -> Table:
    """F1 of each arm at each round against "random" (same loss) or the fully labelled "baseline"."""
    frame = comparisons.by_round(finished, against)
    full = _tested(finished, frame, "f1")
    shown = (
        ARM,
        ROUND,
        *((LABELS,) if "labels" in full else ()),
        Column(f"{finished.target} F1, %", "f1", "percent", "interval"),
        *TESTED,
    )
    other = "random" if against == "random" else "the fully labelled baseline"
    remarks = _notes(finished, "round", frame, against=against)
    return Table(f"rounds-against-{against}", f"Every round against {other}", full, shown, remarks)


def last_round_table(finished: Finished) -> Table:
    """The last rows of each arm in the table of every round against the fully labelled baseline."""
    table = round_table(finished, "baseline")
    known = table.frame["round"].notna() & table.frame["difference"].notna()
    last = table.frame[known].groupby("arm", sort=False).tail(1)
    frame = pd.concat([last, table.frame[table.frame["round"].isna()]], ignore_index=True)
    title = "The last round against the fully labelled baseline"
    return replace(table, name="against-baseline", title=title, frame=frame)


def effects_table(finished: Finished) -> Table | None:
    """What the loss, the strategy and their interaction change; None without the four arms of a 2 x 2."""
    frame = comparisons.effects(finished)
    if frame.dropna(subset="p").empty:
        return None
    full = _tested(finished, frame.assign(f1=np.nan), "f1").dropna(subset="pairs")
    shown = (
        Column("loss", "loss"),
        Column("strategy", "strategy"),
        Column("effect of", "effect"),
        ROUND,
        *TESTED,
    )
    remarks = _notes(finished, "effects", frame, reference=finished.settings.baseline.loss)
    return Table("effects", "Effects of loss and strategy", full, shown, remarks)


def savings_tables(finished: Finished) -> tuple[Table, Table]:
    """(labels that each arm and random need for the same F1, at every level; labels to reach the fully labelled)."""
    frame = comparisons.label_savings(finished)
    counted = bool(validation_uses(finished.settings))
    val = comparisons.validation_labels(finished) if counted else 0
    frame = frame.assign(**_shares(frame, "share", 0, finished.train_size))
    if counted:
        frame = frame.assign(**_shares(frame, "share_all", val, finished.train_size))
    resampled = paired(finished).resampled
    values = {"resampled": resampled, "missing": MISSING, "target": finished.target, "price": price(finished)}
    remarks = notes("evidence", "savings", **values)
    level = Column(f"{finished.target} F1, %", "level", "percent")
    ratio = [Column("labels of random", "random_labels", "labels", "interval", "budget")]
    ratio += [Column("times fewer", "fewer", "times", "bounds")]
    if counted:
        ratio.append(Column(f"with {val:,} validation labels", "fewer_all", "times", "bounds"))
    own = Column("labels of the arm", "arm_labels", "labels", "interval", "budget")
    by_level = (ARM, Column("F1 of", "of"), level, own, *ratio)
    saved = frame[(frame["random_counterpart"] != "") & (frame["of"] != "fully labelled")].reset_index(drop=True)
    first = Table("label-savings", "Labels for the same F1, arm and random", saved, by_level, remarks)
    share = [Column("of the training set, %", "share", "percent", "interval", "share_budget")]
    if counted:
        title = f"with {val:,} validation labels, %"
        share.append(Column(title, "share_all", "percent", "interval", "share_all_budget"))
    to_baseline = (ARM, level, replace(own, title="labels"), *share, *ratio[:2])
    full = frame[frame["of"] == "fully labelled"].reset_index(drop=True).assign(validation_labels=val)
    title = f"Labels to reach the fully labelled {escape(finished.settings.baseline.loss)} baseline"
    return first, Table("labels-to-baseline", title, full, to_baseline, remarks)


def _shares(frame: pd.DataFrame, name: str, beside: int, size: int) -> dict[str, pd.Series]:
    """Labels, and so many beside them, as shares of the training set with as many beside; with the same bounds."""
    columns = {"": "arm_labels", "_low": "arm_labels_low", "_high": "arm_labels_high", "_budget": "budget"}
    return {name + end: (frame[labels] + beside) / (size + beside) for end, labels in columns.items()}


def acquired_tables(finished: Finished) -> tuple[Table, Table] | None:
    """(of all queries of an arm together, of each round): means over seeds; None without images.csv."""
    frame = acquired(finished)
    if frame.empty:
        return None
    counts = [c for c in frame if c == "images" or c.startswith(("class ", "source "))]
    for name in ("copies_inside", "copies_labelled"):
        frame[name] = frame[name] * frame["images"]
    sums = [*counts, "patients", "new_patients", "copies_inside", "copies_labelled"]
    by_seed = frame[frame["round"] > 0].groupby(["arm", "seed"], sort=False)[sums].agg(lambda c: c.sum(skipna=False))
    totals = by_seed.groupby("arm", sort=False).mean().reset_index()
    rounds = frame.groupby(["arm", "round"], sort=False)[sums].mean().reset_index()
    shown = [Column(name.split(" ", 1)[-1], name, "count") for name in counts]
    shown += [
        Column("patients", "patients", "count"),
        Column("new ones", "new_patients", "count"),
        Column("copies inside, %", "copies_inside", "percent"),
        Column("copies of labelled, %", "copies_labelled", "percent"),
    ]
    for table in (totals, rounds):
        for name in ("copies_inside", "copies_labelled"):
            table[name] = table[name] / table["images"]
        table[counts] = table[counts].round(1)
        table[["patients", "new_patients"]] = table[["patients", "new_patients"]].round(1)
    remarks = notes("evidence", "acquired")
    return (
        Table("acquired", "What was acquired, all queries together", totals, (ARM, *shown), remarks),
        Table("acquired-by-round", "What was acquired in each round", rounds, (ARM, ROUND, *shown), remarks),
    )


def cost_tables(finished: Finished) -> tuple[Table, Table]:
    """(seconds of an arm, of each round): training of the round's model, and of the other members of an ensemble that
    chose its images, and scoring of the pool before it. The files have every seed too."""
    frame = per_seed(finished, finished.target)
    frame["score_s"] = frame["score_s"].fillna(0.0)
    frame["total_s"] = frame["train_s"] + frame["score_s"]
    names = ["train_s", "score_s", "total_s"]
    by_seed = frame.groupby(["arm", "seed"], sort=False)[names].agg(lambda c: c.sum(skipna=False))
    totals = by_seed.groupby("arm", sort=False).mean().reset_index()
    rounds = frame.groupby(["arm", "round"], sort=False)[["labels", *names]].mean()
    each = frame.pivot(index=["arm", "round"], columns="seed", values=["train_s", "score_s"])
    each.columns = [f"{name}_seed_{seed}" for name, seed in each.columns]
    rounds = rounds.join(each).reset_index()
    trained = [t.train for t in finished.baseline_timings.values()]
    if trained:
        everything = {"arm": "fully labelled", "train_s": np.mean(trained), "score_s": 0.0, "total_s": np.mean(trained)}
        totals = pd.DataFrame([*totals.to_dict("records"), everything])
    shown = (
        Column("training, s", "train_s", "seconds"),
        Column("scoring, s", "score_s", "seconds"),
        Column("together, s", "total_s", "seconds"),
    )
    remarks = notes("evidence", "cost")
    return (
        Table("cost", "Cost of an arm, one seed", totals, (ARM, *shown), remarks),
        Table("cost-by-round", "Cost of each round", rounds, (ARM, ROUND, LABELS, *shown), remarks),
    )
