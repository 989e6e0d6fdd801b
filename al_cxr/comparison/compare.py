"""Finished runs, read back and compared: paired by seed, against the fully labelled baseline and against random.

Only records are read. Differences are taken within a seed, because all arms of a seed share their seed set, initial
weights and test set (checked here); means and standard deviations are over seeds.
"""

from __future__ import annotations

import pandas as pd

from al_cxr.comparison.finished import Finished
from al_cxr.core.names import known_class
from al_cxr.core.records import Timing


def per_seed(finished: Finished, target: str) -> pd.DataFrame:
    """One row an arm, seed and round, metrics in 0..1: arm, strategy, loss, seed, round, labels, steps (of the
    optimizer), accuracy, macro_f1, f1 (of `target`), gain_baseline and gain_random (differences of f1 within the seed),
    train_s, score_s (seconds), carried (0 or 1).

    `gain_random` is against the arm with strategy random and the same loss, at the same round. Where an arm asked for
    no more labels its last model stands for the rounds that follow (`carried`), with the labels that it had and no
    seconds, so that means are over all seeds.
    """
    target = known_class(target, finished.experiment.data.classes, finished.experiment.data.name)
    arms = finished.settings.arms
    rows = []
    for arm, seed in finished.rounds:
        counterpart = finished.random_counterpart(arm)
        baseline = finished.baselines.get(seed)
        for number in range(finished.count):
            record = finished.at(arm, seed, number)
            if record is None:
                break
            random = finished.at(counterpart, seed, number) if counterpart else None
            f1 = record.test.of(target).f1
            carried = record.round < number
            timing = Timing(train=0.0, score=0.0) if carried else finished.timings[arm, seed, number]
            rows.append(
                {
                    "arm": arm,
                    "strategy": arms[arm].acquisition,
                    "loss": arms[arm].loss,
                    "seed": seed,
                    "round": number,
                    "labels": record.n_labelled,
                    "steps": float("nan") if record.steps is None else record.steps,
                    "accuracy": record.test.accuracy,
                    "macro_f1": record.test.macro.f1,
                    "f1": f1,
                    "gain_baseline": f1 - baseline.test.of(target).f1 if baseline else float("nan"),
                    "gain_random": f1 - random.test.of(target).f1 if random else float("nan"),
                    "train_s": timing.train,
                    "score_s": timing.score,
                    "carried": int(carried),
                }
            )
    return pd.DataFrame(rows)


def per_round(finished: Finished, target: str) -> pd.DataFrame:
    """Means and sample standard deviations (`*_sd`, NaN for one seed) over seeds, one row an arm and round.

    Columns: arm, strategy, loss, round, labels (that were spent, mean), steps (of the optimizer), seeds (how many got
    there, or stopped before), carried (how many of them had stopped), then accuracy, macro_f1, f1, gain_baseline,
    gain_random, each with `_sd`; `gain_baseline_n` and `gain_random_n` (pairs); train_s, score_s; and per seed S
    `f1_seed_S`, `gain_baseline_seed_S`, `gain_random_seed_S`.
    """
    rows = []
    for (arm, number), group in per_seed(finished, target).groupby(["arm", "round"], sort=False):
        row = {"arm": arm, "strategy": group["strategy"].iloc[0], "loss": group["loss"].iloc[0], "round": number}
        row |= {"labels": group["labels"].mean(), "steps": group["steps"].mean()}
        row |= {"seeds": len(group), "carried": int(group["carried"].sum())}
        for name in ("accuracy", "macro_f1", "f1", "gain_baseline", "gain_random"):
            row |= {name: group[name].mean(), f"{name}_sd": group[name].std(ddof=1)}
        row |= {f"{name}_n": int(group[name].notna().sum()) for name in ("gain_baseline", "gain_random")}
        row |= {name: group[name].mean() for name in ("train_s", "score_s")}
        seeds = group.set_index("seed")
        for name in ("f1", "gain_baseline", "gain_random"):
            row |= {f"{name}_seed_{s}": seeds[name].get(s, float("nan")) for s in finished.settings.seeds}
        rows.append(row)
    order = {arm: i for i, arm in enumerate(finished.settings.arms)}
    return pd.DataFrame(rows).sort_values(["arm", "round"], key=lambda c: c.map(order) if c.name == "arm" else c)


def two_by_two(finished: Finished, target: str) -> list[pd.DataFrame]:
    """Loss and strategy apart: {reference loss, other loss} x {random, strategy}, wherever all four arms are there.

    One frame each, rows [reference loss, other loss, difference of the two], columns loss, strategy, round, seeds and
    `random`, `active`, `difference` (active - random) with `_sd` and `_seed_S`. The difference's difference, at the
    bottom right, is the interaction. All of it from the seeds that have all four at the last round they share.
    """
    losses = list(dict.fromkeys(arm.loss for arm in finished.settings.arms.values()))
    losses.sort(key=lambda loss: loss != finished.settings.baseline.loss)
    strategies = dict.fromkeys(a.acquisition for a in finished.settings.arms.values() if a.strategy != "random")
    f1 = per_seed(finished, target).pivot_table(index=["round", "seed"], columns=["loss", "strategy"], values="f1")
    frames = []
    for other in losses[1:]:
        for strategy in strategies:
            cells = [(loss, s) for loss in (losses[0], other) for s in ("random", strategy)]
            if not set(cells) <= set(f1.columns):
                continue
            whole = f1[cells].dropna()
            if whole.empty:
                continue
            last = whole.index.get_level_values("round").max()
            at = whole.loc[last]
            rows = []
            for loss in (losses[0], other, f"{other} − {losses[0]}"):
                row = {"loss": loss, "strategy": strategy, "round": last, "seeds": len(at)}
                for name, s in (("random", "random"), ("active", strategy)):
                    row[name] = at[loss, s] if loss in losses else at[other, s] - at[losses[0], s]
                row["difference"] = row["active"] - row["random"]
                for name in ("random", "active", "difference"):
                    values = row.pop(name)
                    row |= {name: values.mean(), f"{name}_sd": values.std(ddof=1)}
                    row |= {f"{name}_seed_{seed}": value for seed, value in values.items()}
                rows.append(row)
            frames.append(pd.DataFrame(rows))
    return frames
