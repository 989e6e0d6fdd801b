"""Tables of an experiment: what each arm labelled, what that brought, and against what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from al_cxr.comparison.compare import per_round, per_seed, two_by_two
from al_cxr.comparison.comparisons import areas, label_savings, validation_labels
from al_cxr.comparison.finished import Finished
from al_cxr.comparison.inference import smallest_p
from al_cxr.comparison.labels import validation_uses
from al_cxr.comparison.paired import paired
from al_cxr.report.classes import mean_sd
from al_cxr.report.kit.numbers import number
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape, file_name
from al_cxr.report.trivial import trivial

SEEDS = Column("seeds", "seeds", "count", note="seeds_note")


def _reached(finished: Finished, row: Mapping[str, Any]) -> str:
    """What is to be said of a row's number of seeds: of how many, how many of them have gains where those are fewer,
    and how many had stopped, so that their last model stands there."""
    seeds, planned = row["seeds"], len(finished.settings.seeds)
    said = "" if seeds == planned else f" of {planned}"
    for of in ("baseline", "random"):
        pairs = row.get(f"gain_{of}_n", 0)
        if 0 < pairs < seeds:
            said += f", {pairs:.0f} with {of}"
    if said:
        said += " †"
    if row.get("carried", 0) > 0:
        said += f", {row['carried']:.0f} stopped ‡"
    return said


def _stopped(finished: Finished) -> list[str]:
    """What the mark ‡ says, where there is one."""
    if not finished.stopped:
        return []
    return [
        "‡: so many seeds had stopped asking. Their last model stands for them in the rounds that follow, to the end "
        "of the budget; *labels* are those that were spent."
    ]


def _baseline(finished: Finished) -> list[dict[str, object]]:
    """The fully labelled models as a row, where there are any."""
    done = list(finished.baselines.values())
    if not done:
        return []
    row: dict[str, object] = {"arm": "fully labelled", "strategy": "all labels", "loss": done[0].loss}
    row |= {"labels": float(np.mean([b.n_labelled for b in done])), "seeds": len(done)}
    tests = [b.test for b in done]
    row["accuracy"], row["accuracy_sd"] = mean_sd([t.accuracy for t in tests])
    row["macro_f1"], row["macro_f1_sd"] = mean_sd([t.macro.f1 for t in tests])
    row["f1"], row["f1_sd"] = mean_sd([t.of(finished.target).f1 for t in tests])
    return [row]


def _with_rows(finished: Finished, frame: pd.DataFrame, extra: list[dict[str, object]]) -> pd.DataFrame:
    """Rows below a frame, and what is to be said of the number of seeds of each."""
    frame = pd.DataFrame([*frame.to_dict("records"), *extra], columns=list(frame.columns))
    return frame.assign(seeds_note=[_reached(finished, row) for row in frame.to_dict("records")])


def acquisition(finished: Finished, frame: pd.DataFrame, arm: str) -> Table:
    """One arm's rounds: labels, accuracy, target F1, seconds, classes acquired; `frame` is per_round's."""
    classes = finished.experiment.data.classes
    rows = frame[frame["arm"] == arm].reset_index(drop=True)
    for name in classes:
        counts = [
            [
                record.acquired.get(name, 0) if record.round == r else 0
                for (a, seed) in finished.rounds
                if a == arm and (record := finished.at(arm, seed, r)) is not None
            ]
            for r in rows["round"]
        ]
        rows[f"acquired_{name}"], rows[f"acquired_{name}_sd"] = zip(*map(mean_sd, counts), strict=True)
    rows["label"] = rows["round"].astype(str)
    answers = [{**row, "label": row["arm"]} for row in trivial(finished)]
    shown = (
        Column("round", "label"),
        Column("labels", "labels", "count"),
        Column("steps", "steps", "count"),
        Column("accuracy, %", "accuracy", "percent", "sd"),
        Column(f"{finished.target} F1, %", "f1", "percent", "sd"),
        Column("training, s", "train_s", "seconds"),
        Column("scoring, s", "score_s", "seconds"),
        *(Column(f"+ {name}", f"acquired_{name}", "count", "sd") for name in classes),
        SEEDS,
    )
    notes = (
        "Round 0 is the seed set. *steps*: of the optimizer, in the training of the round's model. *+ class*: images "
        "of that class labelled since the round before.",
        "Seconds are means over seeds: training of the round's model (arms that need the same model share it) and of "
        "the other members of an ensemble that chose its images, and scoring of the pool that did.",
        *_stopped(finished),
    )
    settings = finished.settings.arms[arm]
    title = f"{escape(arm)}: {escape(settings.acquisition)}, trained with {escape(settings.loss)}"
    full = _with_rows(finished, rows, answers)
    return Table(f"rounds-{file_name(arm)}", title, full, shown, notes)


def gains(finished: Finished, frame: pd.DataFrame) -> Table:
    """Target F1 of each arm and round against the fully labelled baseline and the random arm of the same seed."""
    seeds = finished.settings.seeds
    frame = frame.reset_index(drop=True)
    frame["share"] = frame["labels"] / finished.train_size
    best = set(frame.dropna(subset="gain_baseline").groupby("arm")["gain_baseline"].idxmax())
    frame["best"] = ["best" if i in best else "" for i in frame.index]
    full = _with_rows(finished, frame, _baseline(finished) + trivial(finished))
    full["share"] = full["labels"] / finished.train_size
    full["best"] = full["best"].fillna("")
    shown = (
        Column("arm", "arm"),
        Column("round", "round", "count"),
        Column("labels", "labels", "count"),
        Column("of training set, %", "share", "percent"),
        Column(f"{finished.target} F1, %", "f1", "percent", "sd"),
        Column("gain over baseline, points", "gain_baseline", "points", "sd"),
        Column("each seed", "gain_baseline", "points", "seeds"),
        Column("", "best"),
        Column("gain over random, points", "gain_random", "points", "sd"),
        SEEDS,
    )
    n = len(seeds)
    notes = (
        "Gains are differences of F1 within a seed, in percentage points, then mean ± standard deviation over seeds. "
        f"Baseline: {escape(finished.settings.baseline.loss)}, all labels, same trainer. Random: the random arm with "
        "the same loss, at the same round.",
        f"The seeds of *each seed* are {', '.join(map(str, seeds))}, in this order. *best* is the round chosen after "
        "seeing the test set, so it flatters every arm; compare the last rounds.",
        f"With {n} paired seed{'s' * (n != 1)} the smallest two-sided p of a sign-flip test is {smallest_p(n):.2g}"
        + ("." if smallest_p(n) < 0.05 else ": no difference here can be significant at 0.05."),
        *_stopped(finished),
    )
    name = finished.target
    return Table("gain", f"Gain in {escape(name)} F1 over the fully labelled baseline", full, shown, notes)


def factorial(finished: Finished) -> list[Table]:
    """{reference loss, other loss} x {random, strategy} at the last round the four arms share; none if they do not."""
    tables = []
    for frame in two_by_two(finished, finished.target):
        row = frame.iloc[-1]
        strategy, other = row["strategy"], frame["loss"].iloc[1]
        frame["seeds_note"] = [_reached(finished, row) for row in frame.to_dict("records")]
        shown = (
            Column("loss", "loss"),
            Column("random", "random", ("percent", "percent", "points"), "sd"),
            Column(strategy, "active", ("percent", "percent", "points"), "sd"),
            Column(f"{strategy} − random", "difference", ("points", "points", "points"), "sd"),
            SEEDS,
        )
        seeds = [s for s in finished.settings.seeds if f"difference_seed_{s}" in frame]
        each = ", ".join(f"{number(row[f'difference_seed_{s}'], 'points')} (seed {s})" for s in seeds)
        answers = "; ".join(f"*{escape(str(t['arm']))}* {number(t['f1'], 'percent')}" for t in trivial(finished))
        notes = (
            f"{escape(finished.target)} F1 in %; differences in points, taken within a seed. The last row is what the "
            "loss changes, the last column what the strategy changes.",
            f"Bottom right is the interaction: what the strategy brings more under {escape(other)}. Each seed: {each}.",
            f"For comparison: {answers}.",
        )
        title = f"Loss or strategy? {escape(strategy)} and {escape(other)}, round {row['round']}"
        tables.append(Table(f"two-by-two-{file_name(f'{other}-{strategy}')}", title, frame, shown, notes))
    return tables


def summary(finished: Finished, frame: pd.DataFrame) -> Table:
    """Each arm's last round, the mean of its F1 along the curve (area under it over its width) against random's, and
    the labels that it needs for random's last F1; the best round stands in the files."""
    rows = []
    area = areas(finished).set_index("arm")
    savings = label_savings(finished)
    for arm, group in frame.groupby("arm", sort=False):
        last, best = group.iloc[-1], group.loc[group["f1"].idxmax()]
        row = last.to_dict() | {"best_f1": best["f1"], "best_f1_sd": best["f1_sd"], "best_round": best["round"]}
        row |= {"curve_f1": area.loc[arm, "area"], "curve_f1_sd": area.loc[arm, "area_sd"]}
        row |= {f"curve_{name}": area.loc[arm, name] for name in ("difference", "difference_low", "difference_high")}
        row |= {"p": area.loc[arm, "p"], "p_holm": area.loc[arm, "p_holm"]}
        last_level = savings[(savings["arm"] == arm) & savings["of"].str.startswith("random")].tail(1)
        for _, level in last_level.iterrows():
            row |= {"level": level["level"], "random_labels": level["random_labels"], "budget": level["budget"]}
            row |= {f"arm_labels{end}": level[f"arm_labels{end}"] for end in ("", "_low", "_high")}
            row |= {
                f"{name}{end}": level[f"{name}{end}"]
                for name in ("fewer", "fewer_all")
                for end in ("", "_least", "_most", "_low", "_high")
            }
        rows.append(row)
    full = _with_rows(finished, pd.DataFrame(rows), _baseline(finished) + trivial(finished))
    target, counted = finished.target, bool(validation_uses(finished.settings))
    shown = [
        Column("arm", "arm"),
        Column("labels", "labels", "count"),
        Column("accuracy, %", "accuracy", "percent", "sd"),
        Column(f"{target} F1, %", "f1", "percent", "sd"),
        Column("gain over baseline, points", "gain_baseline", "points", "sd"),
        Column("F1 along the curve, %", "curve_f1", "percent", "sd"),
        Column("over random along the curve, points", "curve_difference", "points", "interval"),
        Column("p (Holm)", "p_holm", "p"),
        Column("labels for random's last F1", "arm_labels", "labels", "interval", "budget"),
        Column("times fewer than random", "fewer", "times", "bounds"),
        *[Column(f"with {validation_labels(finished):,} validation labels", "fewer_all", "times", "bounds")] * counted,
        SEEDS,
    ]
    notes = (
        "Last round unless it says otherwise; ± is the standard deviation over seeds, parentheses are 95 % intervals "
        f"over {escape(paired(finished).resampled)}. *F1 along the curve* is the area under {escape(target)} F1 "
        "against labels, divided by its width: all rounds count, none is picked.",
        "*over random*: difference to the random arm with the same loss within a seed. p: exact sign-flip test, "
        "on this one test set, corrected by Holm's method for all arms that are not random.",
        "*labels for random's last F1*: the fewest at which the arm's rising mean curve is where that of random ends; "
        "`> N`: not within the budget. *times fewer*: what random needs for it, by what the arm needs"
        + ("; then the same with the validation labels on both sides, which trained or chose too." if counted else "."),
        *_stopped(finished),
    )
    return Table("summary", "Summary", full, tuple(c for c in shown if c.value in full), notes)


def each_seed(finished: Finished) -> Table:
    """Every arm, seed and round: what all means are made of."""
    frame = per_seed(finished, finished.target)
    frame["round_note"] = np.where(frame["carried"] > 0, " ‡", "")
    full = pd.DataFrame([*frame.to_dict("records"), *trivial(finished)], columns=list(frame.columns))
    shown = (
        Column("arm", "arm"),
        Column("seed", "seed", "count"),
        Column("round", "round", "count", note="round_note"),
        Column("labels", "labels", "count"),
        Column("accuracy, %", "accuracy", "percent"),
        Column("macro F1, %", "macro_f1", "percent"),
        Column(f"{finished.target} F1, %", "f1", "percent"),
        Column("gain over baseline, points", "gain_baseline", "points"),
        Column("gain over random, points", "gain_random", "points"),
    )
    return Table("each-seed", "Every arm, seed and round", full, shown, tuple(_stopped(finished)))


def experiment_tables(finished: Finished) -> dict[str, list[Table]]:
    """All of an experiment's tables of rounds, by section."""
    frame = per_round(finished, finished.target)
    return {
        "summary": [summary(finished, frame)],
        "gain": [gains(finished, frame)],
        "two_by_two": factorial(finished),
        "rounds": [acquisition(finished, frame, arm) for arm in dict.fromkeys(frame["arm"])],
        "each_seed": [each_seed(finished)],
    }
