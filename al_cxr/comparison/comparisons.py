"""What a finished experiment says, as frames of numbers: differences, their intervals and p, and labels saved.

F1 is that of the target class, 0..1. Each frame names the family over which its p were corrected in `p_holm`. Where
several rows compare the very same models (round 0 of all arms of a loss, a strategy under two names) they are one
comparison: the family counts them once, and its size stands in the column `family`.

`verdict` is "better" or "worse" only where both p_holm < 0.05 and the interval leaves 0 out: p is over seeds, on this
one test set, and 10 % of the variance between an arm and single images make it fall below 0.05 too often
(benchmarks/coverage.py). "seeds" says that p alone does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from al_cxr.comparison.finished import Finished
from al_cxr.comparison.inference import area_under_curve, holm, percentiles, sign_flip
from al_cxr.comparison.labels import validation_uses
from al_cxr.comparison.paired import Paired, estimate, paired
from al_cxr.comparison.savings import isotonic, labels_needed, times_fewer
from al_cxr.core import enough

ALPHA = 0.05


def curves(finished: Finished) -> pd.DataFrame:
    """Mean F1 of every arm and round: arm, round, labels, seeds, f1, f1_low, f1_high; arm "" is the fully labelled."""
    p = paired(finished)
    rows: list[dict[str, object]] = []
    for m, arm in enumerate(p.arms):
        for number, labels in enumerate(p.spent_MA[m]):
            e = estimate(p.f1_RAS(arm)[:, number], share=True)
            row: dict[str, object] = {"arm": arm, "round": number, "labels": labels, "seeds": e.models}
            rows.append(row | e.columns("f1"))
    e = estimate(p.baseline_RS, share=True)
    row = {"arm": "", "round": -1, "labels": finished.train_size, "seeds": e.models}
    rows.append(row | e.columns("f1"))
    return _known(pd.DataFrame(rows))


def areas(finished: Finished) -> pd.DataFrame:
    """The area under each arm's budget curve (mean F1 along the labels axis) and its difference to the random arm.

    Columns arm, random_counterpart, seeds, area and difference (each with _low, _high, _sd), pairs, p, p_holm, family,
    verdict and `difference_seed_S`. The family is all arms that are not random: one comparison each, and the one that
    was chosen beforehand to say whether an arm is better than random. Where an arm stopped before its budget, the F1 of
    its last model counts to the end.
    """
    p = paired(finished)
    rows = []
    for arm in p.arms:
        area_RS = _area(p, arm)
        e = estimate(area_RS, share=True)
        row: dict[str, object] = {"arm": arm, "random_counterpart": "", "seeds": e.models} | e.columns("area")
        random = finished.random_counterpart(arm)
        if random is not None:
            row |= {"random_counterpart": random, "models": _models(finished, (arm, random), range(finished.count))}
            row |= _difference(p, area_RS - _area(p, random))
        rows.append(row)
    return _corrected(rows)


def by_round(finished: Finished, against: str) -> pd.DataFrame:
    """Differences of F1 within a seed at every round, `against` "random" (same loss, round 1 on) or "baseline".

    Columns arm, round, labels, f1 (with _low, _high), difference (with _low, _high), pairs, p, p_holm, family, verdict
    and `difference_seed_S`. The family is all rows: every arm at every round.
    """
    p = paired(finished)
    rows = []
    for m, arm in enumerate(p.arms):
        random = finished.random_counterpart(arm)
        if against == "random" and random is None:
            continue
        for number, labels in enumerate(p.spent_MA[m]):
            f1_RS = p.f1_RAS(arm)[:, number]
            # All strategies of a loss share their model of round 0: there is nothing to compare.
            if (against == "random" and number == 0) or np.isnan(labels):
                continue
            compared, other_RS = [arm], p.baseline_RS
            if against == "random" and random is not None:
                compared, other_RS = [arm, random], p.f1_RAS(random)[:, number]
            models = _models(finished, compared, [number])
            row = {"arm": arm, "round": number, "labels": labels, "models": models}
            rows.append(row | estimate(f1_RS, share=True).columns("f1") | _difference(p, f1_RS - other_RS))
    return _corrected(rows)


def effects(finished: Finished) -> pd.DataFrame:
    """Loss and strategy apart, at the last round the four arms share: what each changes, and their interaction.

    A row an effect and 2 x 2: loss, strategy, effect, round, difference (with _low, _high), pairs, p, p_holm, family,
    verdict, `difference_seed_S`. The effect of the loss is the mean of its effects with both strategies, that of the
    strategy the mean with both losses; the interaction is what the strategy brings more under the other loss. The
    family is all rows.
    """
    p, reference = paired(finished), finished.settings.baseline.loss
    named = {(a.loss, a.acquisition): name for name, a in reversed(finished.settings.arms.items())}
    rows = []
    for other, strategy in {(a.loss, a.acquisition): None for a in finished.settings.arms.values()}:
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
            models = (effect, *_models(finished, [arm for arm in cells if arm], (int(whole_A[-1]),)))
            row = {"loss": other, "strategy": strategy, "effect": effect, "round": int(whole_A[-1]), "models": models}
            rows.append(row | _difference(p, values_RS))
    return _corrected(rows)


def label_savings(finished: Finished) -> pd.DataFrame:
    """Labels that each arm, and random with its loss, need for the same F1, on the rising mean curve over seeds.

    A row an arm and level: arm, random_counterpart, of (whose F1: "random, round 1" and so on, "own last" or "fully
    labelled"), level (that F1), then `arm_labels` and `random_labels`, each with _low and _high, `budget`, the most
    labels that were looked at, and `fewer`, random's labels by the arm's: NaN where one of the two is not reached, but
    within `fewer_least` and `fewer_most` all the same (`savings.times_fewer`), with `fewer_low` and `fewer_high`,
    0 and inf where the replicates do not bound it. `fewer_all` and the like are the ratio with the validation labels on
    both sides, where they were used to train or to choose (`labels.validation_uses`), else NaN.

    A replicate takes the level from itself too. inf labels: not reached within the budget. All is NaN at a `level` that
    always answering the target has as well (`floor`): to be there says nothing; and with `too_few` test images.
    """
    p, rows = paired(finished), []
    beside = validation_labels(finished) if validation_uses(finished.settings) else 0
    ill, images = positives(finished)
    floor = 2 * ill / (ill + images)
    for m, arm in enumerate(p.arms):
        random = finished.random_counterpart(arm)
        means_2RA = np.stack([p.mean(p.f1_RAS(name)) for name in (arm, random or arm)])
        count = int(np.count_nonzero(~np.isnan(means_2RA[:, 0]).any(axis=0)))
        if count == 0:
            continue
        arm_RA, random_RA = (isotonic(mean_RA[:, :count]) for mean_RA in means_2RA)
        spent_2A = [p.spent_MA[i, :count] for i in (m, p.arms.index(random or arm))]
        levels = {}
        if random:
            rises = [r for r in range(1, count) if random_RA[0, r] > random_RA[0, r - 1]]
            levels = {f"random, round {r}": random_RA[:, r] for r in rises} | {"own last": arm_RA[:, -1]}
        if finished.baselines:
            levels["fully labelled"] = p.mean(p.baseline_RS)
        for of, level_R in levels.items():
            budget = float(p.labels_A[count - 1])
            row: dict[str, object] = {
                "arm": arm,
                "random_counterpart": random or "",
                "of": of,
                "level": float(level_R[0]),
            }
            row |= {"budget": budget, "floor": floor}
            level_R = np.where(level_R[0] > floor and not too_few(finished), level_R, np.nan)
            needed_R = labels_needed(spent_2A[0], arm_RA, level_R)
            row |= _labels("arm_labels", needed_R)
            if random:
                random_R = labels_needed(spent_2A[1], random_RA, level_R)
                row |= _labels("random_labels", random_R) | _times("fewer", random_R, needed_R, budget)
                row |= _times("fewer_all", random_R + (beside or np.nan), needed_R + beside, budget + beside)
            rows.append(row)
    return pd.DataFrame(rows)


def validation_labels(finished: Finished) -> int:
    return sum(finished.experiment.data.counts.get("val", {}).values())


def too_few(finished: Finished) -> str:
    """Why the test set is too small for any difference, in words; "" if it is not."""
    ill, images = positives(finished)
    if min(ill, images - ill) >= enough.LEAST:
        return ""
    return f"The test set has {ill} images of {finished.target} and {images - ill} others, too few to compare anything"


def positives(finished: Finished) -> tuple[int, int]:
    """Test images of the target, and all test images."""
    test = finished.experiment.data.counts["test"]
    return test.get(finished.target, 0), sum(test.values())


def _labels(name: str, needed_R: np.ndarray) -> dict[str, float]:
    low, high = percentiles(needed_R[1:])
    return {name: float(needed_R[0]), f"{name}_low": low, f"{name}_high": high}


def _times(name: str, random_R: np.ndarray, arm_R: np.ndarray, budget: float) -> dict[str, float]:
    low_R, high_R = times_fewer(random_R, arm_R, budget)
    found = {"": low_R[0] if low_R[0] == high_R[0] else np.nan, "_least": low_R[0], "_most": high_R[0]}
    found |= {"_low": percentiles(low_R[1:])[0], "_high": percentiles(high_R[1:])[1]}
    return {name + key: float(value) for key, value in found.items()}


def _models(finished: Finished, arms: Iterable[str], rounds: Iterable[int]) -> tuple[str, ...]:
    """Which models a comparison is between."""
    of = (finished.at(arm, seed, r) for r in rounds for arm in arms for seed in finished.settings.seeds)
    return tuple("" if record is None else record.fit for record in of)


def _area(p: Paired, arm: str) -> np.ndarray:
    return area_under_curve(p.labels_A, np.moveaxis(p.f1_RAS(arm), 1, 2))


def _difference(p: Paired, values_RS: np.ndarray) -> dict[str, float]:
    e = estimate(values_RS)
    each = {f"difference_seed_{seed}": float(value) for seed, value in zip(p.seeds, values_RS[0], strict=True)}
    return e.columns("difference") | {"pairs": e.models, "p": sign_flip(values_RS[0])} | each


def _known(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["seeds"] > 0].reset_index(drop=True)


def _corrected(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A frame of the rows with `p_holm`, all of them one family, in which rows about the same `models` count once."""
    frame = pd.DataFrame([{k: v for k, v in row.items() if k != "models"} for row in rows])
    for name in ("difference", "difference_low", "difference_high", "pairs", "p"):
        frame[name] = frame.get(name, np.nan)
    compared = {i: row["models"] for i, row in enumerate(rows) if not np.isnan(row.get("p", np.nan))}
    first = {models: i for i, models in reversed(compared.items())}
    p = frame["p"].to_numpy(dtype=np.float64)
    family = sorted(first.values())
    adjusted = np.full(len(frame), np.nan)
    adjusted[family] = holm(p[family])
    for i, models in compared.items():
        adjusted[i] = adjusted[first[models]]
    frame = frame.assign(p_holm=adjusted, family=len(family))
    return frame.assign(verdict=[_verdict(row) for row in frame.to_dict("records")])


def _verdict(row: dict[str, Any]) -> str:
    if not row["p_holm"] < ALPHA:
        return ""
    if row["difference_low"] > 0:
        return "better"
    if row["difference_high"] < 0:
        return "worse"
    return "seeds"
