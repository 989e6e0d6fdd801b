"""Whether the networks that are compared were trained alike, and long enough to be compared.

Two things would let longer training pass for what more labels bring: rounds that were trained for fewer steps than
others, and networks that were stopped before they had learnt their labels. Both are read from the records.

A network is called unconverged where its own history shows it, over the seeds of an arm and round (one-sided t,
95 %):

- *behind*: its training loss ends above that of the same network with more labels (all of them, or, for a loss that
  the baseline does not have, those of the arm's last round) by more than `BEHIND`. Of images drawn at random fewer are
  easier to learn by heart, so a loss that ends higher was stopped on the way down. Images that a strategy chose may be
  harder than the rest, so this is said of seed sets and random arms alone.
- *rising*: its validation macro F1 is higher in the last quarter of the training than in the quarter before by more
  than `RISE`. A falling learning rate brings a part of that, so a smaller rise proves nothing.

Neither can show that a training did converge. That takes longer trainings: benchmarks/steps.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t

from al_cxr.comparison.finished import Finished
from al_cxr.core.records import Epoch, FitRecord

RISE = 0.02
"""Macro F1 (0..1) between the last two quarters of a training, above which validation was still improving."""

BEHIND = 0.05
"""Nats of training loss that fewer labels may end above more of them: what chance and rounding bring."""

LEVEL = 0.95


@dataclass(frozen=True)
class Ending:
    """How one training ended: mean loss over its last quarter, nats, and macro F1 there minus the quarter before."""

    train_loss: float
    rise: float


def ending(history: Sequence[Epoch]) -> Ending:
    """Of a training with at least four parts; NaN where there are fewer."""
    if len(history) < 4:
        return Ending(float("nan"), float("nan"))
    quarter = len(history) // 4
    last, before = history[-quarter:], history[-2 * quarter : -quarter]
    f1 = [float(np.mean([row.val_macro_f1 for row in rows])) for rows in (last, before)]
    return Ending(float(np.mean([row.train_loss for row in last])), f1[0] - f1[1])


def trainings(finished: Finished) -> pd.DataFrame:
    """One row an arm and round, and one of the fully labelled network (arm ""): arm, round, labels, steps (mean over
    seeds), seen (how often an image was trained on), train_loss, rise (as in `Ending`), behind (training loss above
    that with more labels, nats; random sets alone), seeds, and two verdicts: is_behind, is_rising. NaN where the
    records do not say.
    """
    rows = []
    every = {seed: finished.fit(record.fit) for seed, record in finished.baselines.items()}
    batch = finished.settings.train.batch_size
    for arm, settings in finished.settings.arms.items():
        by_chance = settings.strategy == "random"
        of_round: dict[int, dict[int, FitRecord]] = {}
        for (name, seed), records in finished.rounds.items():
            for record in records if name == arm else []:
                of_round.setdefault(record.round, {})[seed] = finished.fit(record.fit)
        more = every if settings.loss == finished.settings.baseline.loss else of_round.get(max(of_round, default=0), {})
        rows += [
            {"arm": arm, "round": r} | _row(fits, more if by_chance or r == 0 else {}, batch)
            for r, fits in of_round.items()
        ]
    if every:
        rows.append({"arm": "", "round": -1} | _row(every, {}, batch))
    return pd.DataFrame(rows)


def _row(fits: dict[int, FitRecord], more: dict[int, FitRecord], batch: int) -> dict[str, object]:
    ends = {seed: ending(fit.history) for seed, fit in fits.items()}
    behind = [
        ends[seed].train_loss - ending(more[seed].history).train_loss
        for seed, fit in fits.items()
        if seed in more and more[seed].n_labelled > fit.n_labelled
    ]
    rise = [end.rise for end in ends.values()]
    labels = float(np.mean([fit.n_labelled for fit in fits.values()]))
    steps = [np.nan if fit.steps is None else float(fit.steps) for fit in fits.values()]
    return {
        "labels": labels,
        "steps": float(np.mean(steps)),
        "seen": float(np.mean(steps)) * min(batch, labels) / labels,
        "train_loss": float(np.mean([end.train_loss for end in ends.values()])),
        "rise": float(np.mean(rise)),
        "behind": float(np.mean(behind)) if behind else np.nan,
        "seeds": len(fits),
        "is_behind": _above(behind, BEHIND),
        "is_rising": _above(rise, RISE),
    }


def _above(values: Sequence[float], level: float) -> bool:
    """Whether the mean lies above a level beyond what the spread of the values explains; False with fewer than two."""
    if len(values) < 2 or np.isnan(values).any():
        return False
    error = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    return float(np.mean(values)) - float(t.ppf(LEVEL, len(values) - 1)) * error > level


def uneven(frame: pd.DataFrame) -> str | None:
    """In words, where networks of an experiment were trained for different numbers of steps; None where none were."""
    known = frame.dropna(subset="steps")
    if known.empty or known["steps"].nunique() == 1:
        return None
    few, many = (known.loc[at] for at in (known["steps"].idxmin(), known["steps"].idxmax()))
    return (
        f"Networks were trained for different times: {few['steps']:,.0f} optimizer steps with {few['labels']:,.0f} "
        f"labels, {many['steps']:,.0f} with {many['labels']:,.0f}. What more labels bring and what longer training "
        "brings cannot be told apart here; set train.steps instead of train.epochs, and train.patience to 0."
    )


def unconverged(frame: pd.DataFrame) -> list[str]:
    """In words, a sentence a kind: which networks were stopped too early, as far as their histories show it."""
    said = []
    if len(behind := frame[frame["is_behind"]]):
        worst = behind.loc[behind["behind"].idxmax()]
        said.append(
            f"Not converged: {_which(behind)} ended with a higher training loss than with more labels (by up to "
            f"{worst['behind']:.2f} nats), so training stopped before these labels were learnt, and part of what more "
            "labels bring here is longer training; raise train.steps."
        )
    if len(rising := frame[frame["is_rising"]]):
        worst = rising.loc[rising["rise"].idxmax()]
        said.append(
            f"Perhaps not converged: in the last quarter of training the validation macro F1 of {_which(rising)} "
            f"still rose, by up to {100 * worst['rise']:.1f} points; raise train.steps and see whether it gains "
            "(benchmarks/steps.py)."
        )
    return said


def _which(rows: pd.DataFrame) -> str:
    """Arms with their rounds, in words."""
    parts = []
    for arm, group in rows.groupby("arm", sort=False):
        numbers = ", ".join(str(r) for r in group["round"])
        parts.append(f"{arm} (round {numbers})" if arm else "the fully labelled network")
    return "; ".join(parts)
