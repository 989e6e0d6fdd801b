"""What a finished experiment says, as frames of numbers: differences, their intervals and p, and labels saved.

F1 is that of the target class, 0..1. Each frame names the family over which its p were corrected in `p_holm`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from al_cxr.comparison.finished import Finished
from al_cxr.comparison.inference import area_under_curve, holm, interval
from al_cxr.comparison.paired import Paired, estimate, paired
from al_cxr.comparison.savings import isotonic, labels_needed, times_fewer


def curves(finished: Finished) -> pd.DataFrame:
    """Mean F1 of every arm and round: arm, round, labels, seeds, f1, f1_low, f1_high; arm "" is the fully labelled."""
    p = paired(finished)
    rows: list[dict[str, object]] = []
    for arm in p.arms:
        for number, labels in enumerate(p.labels_A):
            e = estimate(p, p.f1_RAS(arm)[:, number])
            row: dict[str, object] = {"arm": arm, "round": number, "labels": labels, "seeds": e.seeds}
            rows.append(row | e.columns("f1"))
    e = estimate(p, p.baseline_RS)
    row = {"arm": "", "round": -1, "labels": finished.train_size, "seeds": e.seeds}
    rows.append(row | e.columns("f1"))
    return _known(pd.DataFrame(rows))


def areas(finished: Finished) -> pd.DataFrame:
    """The area under each arm's budget curve (mean F1 along the labels axis) and its difference to the random arm.

    Columns arm, twin, seeds, area (with _low, _high), difference (with _low, _high), pairs, p, p_holm and
    `difference_seed_S`. The family of `p_holm` is all arms that are not random: one comparison each, and the one that
    was chosen beforehand to say whether an arm is better than random.
    """
    p = paired(finished)
    rows = []
    for arm in p.arms:
        area_RS = _area(p, arm)
        e = estimate(p, area_RS)
        row: dict[str, object] = {"arm": arm, "twin": "", "seeds": e.seeds}
        row |= e.columns("area")
        twin = finished.twin(arm)
        if twin and twin != arm:
            row["twin"] = twin
            row |= _difference(p, area_RS - _area(p, twin))
        rows.append(row)
    return _corrected(rows)


def by_round(finished: Finished, against: str) -> pd.DataFrame:
    """Differences of F1 within a seed at every round, `against` "random" (same loss, round 1 on) or "baseline".

    Columns arm, round, labels, f1 (with _low, _high), difference (with _low, _high), pairs, p, p_holm and
    `difference_seed_S`. The family of `p_holm` is all rows: every arm at every round.
    """
    p = paired(finished)
    rows = []
    for arm in p.arms:
        twin = finished.twin(arm)
        if against == "random" and twin in (None, arm):
            continue
        for number, labels in enumerate(p.labels_A):
            f1_RS = p.f1_RAS(arm)[:, number]
            # All strategies of a loss share their model of round 0: there is nothing to compare.
            if against == "random" and number == 0:
                continue
            other_RS = p.baseline_RS if twin is None or against == "baseline" else p.f1_RAS(twin)[:, number]
            row = {"arm": arm, "round": number, "labels": labels} | estimate(p, f1_RS).columns("f1")
            rows.append(row | _difference(p, f1_RS - other_RS))
    return _corrected(rows)


def effects(finished: Finished) -> pd.DataFrame:
    """Loss and strategy apart, at the last round the four arms share: what each changes, and their interaction.

    A row an effect and 2 x 2: loss, strategy, effect, round, difference (with _low, _high), pairs, p, p_holm,
    `difference_seed_S`. The effect of the loss is the mean of its effects with both strategies, that of the strategy
    the mean with both losses; the interaction is what the strategy brings more under the other loss. The family of
    `p_holm` is all rows.
    """
    p, reference = paired(finished), finished.settings.baseline.loss
    named = {(a.loss, a.strategy): name for name, a in reversed(finished.settings.arms.items())}
    rows = []
    for other, strategy in {(a.loss, a.strategy): None for a in finished.settings.arms.values()}:
        cells = [named.get((loss, s)) for loss in (reference, other) for s in ("random", strategy)]
        if other == reference or strategy == "random" or None in cells:
            continue
        f1_4RAS = np.stack([p.f1_RAS(arm) for arm in cells if arm])
        whole_A = np.flatnonzero(~np.isnan(f1_4RAS[:, 0]).any(axis=0).all(axis=1))
        if not len(whole_A):
            continue
        random, active, other_random, other_active = f1_4RAS[:, :, whole_A[-1]]
        found = {
            "loss": (other_random - random + other_active - active) / 2,
            "strategy": (active - random + other_active - other_random) / 2,
            "interaction": (other_active - other_random) - (active - random),
        }
        for effect, values_RS in found.items():
            row = {"loss": other, "strategy": strategy, "effect": effect, "round": int(whole_A[-1])}
            rows.append(row | _difference(p, values_RS))
    return _corrected(rows)


def label_savings(finished: Finished) -> pd.DataFrame:
    """Labels that each arm, and random with its loss, need for the same F1, on the rising mean curve over seeds.

    A row an arm and level: arm, twin, of (whose F1: "random, round 1" and so on, "own last" or "fully labelled"), level
    (that F1), then `arm_labels`, `random_labels` and `fewer` (random's by the arm's), each with _low and _high, and
    `budget`, the most labels that were looked at. A replicate takes the level from itself too. inf labels: not reached
    within the budget. `fewer` is NaN where one of the two is not reached; its bounds are 0 and inf where the replicates
    do not bound it.
    """
    p = paired(finished)
    rows = []
    for arm in p.arms:
        twin = finished.twin(arm)
        other = twin if twin and twin != arm else None
        means_2RA = np.stack([p.mean(p.f1_RAS(name)) for name in (arm, other or arm)])
        count = int(np.count_nonzero(~np.isnan(means_2RA[:, 0]).any(axis=0)))
        if count == 0:
            continue
        labels_A = p.labels_A[:count]
        arm_RA, random_RA = (isotonic(mean_RA[:, :count]) for mean_RA in means_2RA)
        levels = {}
        if other:
            rises = [r for r in range(1, count) if random_RA[0, r] > random_RA[0, r - 1]]
            levels = {f"random, round {r}": random_RA[:, r] for r in rises} | {"own last": arm_RA[:, -1]}
        if finished.baselines:
            levels["fully labelled"] = p.mean(p.baseline_RS)
        for of, level_R in levels.items():
            needed_R = labels_needed(labels_A, arm_RA, level_R)
            row: dict[str, object] = {"arm": arm, "twin": other or "", "of": of, "level": float(level_R[0])}
            row |= _labels("arm_labels", needed_R, len(p.seeds)) | {"budget": float(labels_A[-1])}
            if other:
                random_R = labels_needed(labels_A, random_RA, level_R)
                low_R, high_R = times_fewer(random_R, needed_R)
                row |= _labels("random_labels", random_R, len(p.seeds))
                row["fewer"] = float(low_R[0]) if low_R[0] == high_R[0] and 0 < low_R[0] < np.inf else np.nan
                row["fewer_low"] = interval(low_R[1:], len(p.seeds))[0]
                row["fewer_high"] = interval(high_R[1:], len(p.seeds))[1]
            rows.append(row)
    return pd.DataFrame(rows)


def _labels(name: str, needed_R: np.ndarray, seeds: int) -> dict[str, float]:
    low, high = interval(needed_R[1:], seeds)
    return {name: float(needed_R[0]), f"{name}_low": low, f"{name}_high": high}


def _area(p: Paired, arm: str) -> np.ndarray:
    return area_under_curve(p.labels_A, np.moveaxis(p.f1_RAS(arm), 1, 2))


def _difference(p: Paired, values_RS: np.ndarray) -> dict[str, float]:
    e = estimate(p, values_RS)
    each = {f"difference_seed_{seed}": float(value) for seed, value in zip(p.seeds, values_RS[0], strict=True)}
    return e.columns("difference") | {"pairs": e.seeds, "p": e.p} | each


def _known(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["seeds"] > 0].reset_index(drop=True)


def _corrected(rows: Sequence[dict]) -> pd.DataFrame:
    """A frame of the rows with `p_holm`, all of them one family."""
    frame = pd.DataFrame(rows)
    for name in ("difference", "difference_low", "difference_high", "pairs", "p"):
        frame[name] = frame.get(name, np.nan)
    return frame.assign(p_holm=holm(frame["p"].to_numpy(dtype=np.float64)))
