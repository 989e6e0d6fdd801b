"""Tables of rounds: what each arm labelled, what that brought, and every seed by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd

from al_cxr.comparison.compare import per_seed
from al_cxr.comparison.finished import Finished
from al_cxr.comparison.inference import smallest_p
from al_cxr.report.classes import mean_sd
from al_cxr.report.kit.prose import notes
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape, file_name
from al_cxr.report.rows import (
    ARM,
    GAIN_BASELINE,
    GAIN_RANDOM,
    LABELS,
    ROUND,
    SECONDS,
    SEEDS,
    SHARE,
    stopped_note,
    with_answers,
)
from al_cxr.report.trivial import trivial


def acquisition(finished: Finished, frame: pd.DataFrame, arm: str) -> Table:
    """One arm's rounds: labels, accuracy, target F1, classes acquired; `frame` is per_round's."""
    classes = finished.experiment.data.classes
    rows = frame[frame["arm"] == arm].reset_index(drop=True)
    for name in classes:
        counts = [_acquired(finished, arm, number, name) for number in rows["round"]]
        rows[f"acquired_{name}"], rows[f"acquired_{name}_sd"] = zip(*map(mean_sd, counts), strict=True)
    full = with_answers(finished, rows, baseline=False)
    full["label"] = [*rows["round"].astype(str), *full["arm"][len(rows) :]]
    shown = (
        Column("round", "label"),
        LABELS,
        Column("steps", "steps", "count"),
        Column("accuracy, %", "accuracy", "percent", "sd"),
        Column(f"{finished.target} F1, %", "f1", "percent", "sd"),
        *(Column(f"+ {name}", f"acquired_{name}", "count", "sd") for name in classes),
        SEEDS,
    )
    settings = finished.settings.arms[arm]
    title = f"{escape(arm)}: {escape(settings.acquisition)}, trained with {escape(settings.loss)}"
    remarks = (*notes("rounds", "acquisition"), *stopped_note(finished))
    return Table(f"rounds-{file_name(arm)}", title, full, shown, remarks)


def _acquired(finished: Finished, arm: str, number: int, name: str) -> list[float | None]:
    """Images of a class that each seed of an arm labelled for a round; none where it had stopped before."""
    records = [finished.at(arm, seed, number) for (of, seed) in finished.rounds if of == arm]
    return [r.acquired.get(name, 0) if r.round == number else 0 for r in records if r is not None]


def gains(finished: Finished, frame: pd.DataFrame) -> Table:
    """Target F1 of each arm and round against the fully labelled baseline and the random arm of the same seed."""
    seeds, frame = finished.settings.seeds, frame.reset_index(drop=True)
    best = set(frame.dropna(subset="gain_baseline").groupby("arm")["gain_baseline"].idxmax())
    full = with_answers(finished, frame)
    full["share"] = full["labels"] / finished.train_size
    full["best"] = ["best" if i in best else "" for i in full.index]
    shown = (
        ARM,
        ROUND,
        LABELS,
        SHARE,
        Column(f"{finished.target} F1, %", "f1", "percent", "sd"),
        GAIN_BASELINE,
        Column("each seed", "gain_baseline", "points", "seeds"),
        Column("", "best"),
        GAIN_RANDOM,
        SEEDS,
    )
    least_p = smallest_p(len(seeds))
    remarks = notes(
        "rounds",
        "gains",
        loss=finished.settings.baseline.loss,
        seeds=list(seeds),
        least_p=f"{least_p:.2g}",
        can_tell=least_p < 0.05,
    )
    title = f"Gain in {escape(finished.target)} F1 over the fully labelled baseline"
    return Table("gain", title, full, shown, (*remarks, *stopped_note(finished)))


def each_seed(finished: Finished) -> Table:
    """Every arm, seed and round: what all means are made of."""
    frame = per_seed(finished, finished.target).drop(columns=SECONDS)
    frame["round_note"] = np.where(frame["carried"] > 0, " ‡", "")
    full = pd.DataFrame([*frame.to_dict("records"), *trivial(finished)], columns=list(frame.columns))
    shown = (
        ARM,
        Column("seed", "seed", "count"),
        Column("round", "round", "count", note="round_note"),
        LABELS,
        Column("accuracy, %", "accuracy", "percent"),
        Column("macro F1, %", "macro_f1", "percent"),
        Column(f"{finished.target} F1, %", "f1", "percent"),
        Column("gain over baseline, points", "gain_baseline", "points"),
        Column("gain over random, points", "gain_random", "points"),
    )
    return Table("each-seed", "Every arm, seed and round", full, shown, tuple(stopped_note(finished)))
