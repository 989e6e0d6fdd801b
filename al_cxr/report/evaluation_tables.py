"""Tables of how far a model can be trusted: performance, operating points, screening, slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from al_cxr.core.enough import FEW, LEAST
from al_cxr.evaluation.intervals import Estimate
from al_cxr.evaluation.operating import GOALS, per_thousand
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import Trial
from al_cxr.evaluation.subgroups import Slice
from al_cxr.report.kit.tables import MISSING, Column, Table, escape, number

SMALL = "†"
AT, BY_LARGEST = "at the threshold", "by the largest probability"
"""The two decisions there are; where both stand in one table, each column is called after its own."""
INTERVALS = (
    "In brackets 95 % intervals for other seeds and other images: the variance of a bootstrap over test images plus "
    "that of the seeds, with Student's t (few seeds make it wide; benchmarks/coverage.py says how often it holds); of "
    "one model over images alone; exact (Clopper-Pearson) of the shares of one model, and of 0 or 100 % in all seeds."
)


@dataclass(frozen=True)
class Ranged(Column):
    """A column whose interval stands in `VALUE_low` and `VALUE_high`."""

    def cells(self, frame: pd.DataFrame) -> list[str]:
        kind = self.kind if isinstance(self.kind, str) else "text"
        rows = zip(*(frame[self.value + part] for part in ("", "_low", "_high")), strict=True)
        return [
            f"{number(value, kind)} ({number(low, kind)} to {number(high, kind)})"
            if np.isfinite([value, low, high]).all()
            else number(value, kind)
            for value, low, high in rows
        ]


def spread(found: Mapping[str, Estimate], *names: str) -> dict[str, float]:
    """Cells of a frame: NAME, NAME_low, NAME_high, NAME_sd."""
    cells: dict[str, float] = {}
    for name in names or tuple(found):
        e = found[name]
        cells |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high, f"{name}_sd": e.sd}
    return cells


def performance_table(groups: Sequence[Group], trial: Trial, name: str, title: str) -> Table:
    """A row a group, one its ensemble, and the majority class's answer: accuracy, F1, areas, and the target's
    sensitivity and specificity at the threshold from validation."""
    rows: list[dict[str, object]] = []
    for group in groups:
        rows.append({"model": group.label, "seeds": len(group.models)} | spread(trial.estimates(group.models)))
        if group.ensemble:
            rows.append({"model": group.ensemble.name, "seeds": 1} | spread(trial.estimates([group.ensemble])))
    labels_N = groups[0].labels_N
    counts_C = np.bincount(labels_N, minlength=len(trial.classes))
    answer = int(counts_C.argmax())
    constant = Predicted("always", np.tile(np.eye(len(trial.classes))[answer], (len(labels_N), 1)), labels_N)
    always = spread(trial.estimates([constant]))
    always = {name: np.nan if name.endswith(("_low", "_high")) else value for name, value in always.items()}
    rows.append({"model": f"always {trial.classes[answer]}", "seeds": np.nan} | always)
    by = f" {BY_LARGEST}" if trial.target is not None else ""
    shown = (
        Column("model", "model"),
        Ranged(f"accuracy{by}, %", "accuracy", "percent"),
        Ranged(f"macro F1{by}, %", "macro_f1", "percent"),
        *(Ranged(f"{c} F1{by}, %", f"f1_{i}", "percent") for i, c in enumerate(trial.classes) if counts_C[i]),
        Ranged("ROC-AUC", "roc_auc", "area"),
        *(_about_target(trial) if trial.target is not None else ()),
        Column("seeds", "seeds", "count"),
    )
    notes = [
        "Mean over seeds. An *ensemble* is one model: the mean of the seeds' probabilities, with its own threshold.",
        INTERVALS + patients_drawn(trial),
    ]
    if trial.target is not None:
        notes.append(
            f"*{BY_LARGEST[0].upper()}{BY_LARGEST[1:]}*: each image counts as its most probable class. *{AT[0].upper()}"
            f"{AT[1:]}*: as {escape(trial.name)} where its probability reaches the threshold for {trial.goal} on "
            "validation. These are two decisions, and `predict` takes the second."
        )
    if absent := [escape(c) for i, c in enumerate(trial.classes) if not counts_C[i]]:
        notes.append(f"Without an image here, and therefore not in macro F1: {', '.join(absent)}.")
    return Table(name, title, pd.DataFrame(rows), shown, trial.stamp, tuple(notes))


def _about_target(trial: Trial) -> tuple[Column, ...]:
    return (
        Ranged(f"{trial.name} AUC", f"auc_{trial.target}", "area"),
        Ranged(f"{trial.name} sensitivity {AT}, %", "sensitivity", "percent"),
        Ranged(f"specificity {AT}, %", "specificity", "percent"),
    )


def operating_table(group: Group, trial: Trial, name: str, title: str) -> Table:
    """The threshold of each seed, chosen on validation, and its test figures; their mean; the ensemble."""
    rows = []
    models = [(m.name, [m]) for m in group.models]
    mean = [("mean of the seeds", list(group.models))] if len(models) > 1 else []
    for label, some in [*models, *mean, *with_ensemble(group)[1:]]:
        chosen = trial.threshold(some[0]) if len(some) == 1 else None
        row: dict[str, object] = {"model": label}
        row |= dict.fromkeys(("threshold", "val_sensitivity", "val_specificity"), np.nan)
        if chosen and chosen.value is not None:
            row |= {"threshold": chosen.value}
            row |= {"val_sensitivity": chosen.sensitivity, "val_specificity": chosen.specificity}
        found = spread(trial.estimates(some), "sensitivity", "specificity", "ppv", "npv", f"auc_{trial.target}")
        rows.append(row | found)
    shown = (
        Column("model", "model"),
        Column("threshold", "threshold", "area"),
        Column("validation sensitivity, %", "val_sensitivity", "percent"),
        Column("validation specificity, %", "val_specificity", "percent"),
        Ranged("test sensitivity, %", "sensitivity", "percent"),
        Ranged("test specificity, %", "specificity", "percent"),
        Ranged("PPV, %", "ppv", "percent"),
        Ranged("NPV, %", "npv", "percent"),
        Ranged("AUC", f"auc_{trial.target}", "area"),
    )
    positives = int((group.labels_N == trial.target).sum())
    share, target = 100 * positives / len(group.labels_N), escape(trial.name)
    notes = (
        f"Flagged: P({target}) ≥ threshold. Of all thresholds that reach {trial.goal} on validation the one that gives "
        f"least of the other figure away; {MISSING} where none does without flagging everybody or finding nobody. The "
        "test images had no part in it.",
        f"PPV and NPV hold where, as here, {positives:,} of {len(group.labels_N):,} ({share:.1f} %) have {target}.",
        INTERVALS + patients_drawn(trial),
    )
    return Table(name, title, pd.DataFrame(rows), shown, trial.stamp, notes)


def goals_table(group: Group, trial: Trial, name: str, title: str) -> Table:
    """What thresholds for each of the usual goals give on the test images: the mean of the seeds, and the ensemble."""
    rows = []
    for goal in dict.fromkeys((trial.goal, *GOALS)):
        for label, models in with_ensemble(group):
            row = {"goal": str(goal), "model": label}
            names = ("sensitivity", "specificity", "flagged_f1", "flagged_accuracy")
            rows.append(row | spread(trial.answers(models, goal), *names))
    shown = (
        Column("validation was asked for", "goal"),
        Column("model", "model"),
        Ranged("test sensitivity, %", "sensitivity", "percent"),
        Ranged("test specificity, %", "specificity", "percent"),
        Ranged(f"{trial.name} F1, %", "flagged_f1", "percent"),
        Ranged("accuracy, %", "flagged_accuracy", "percent"),
    )
    target = escape(trial.name)
    notes = (
        f"Each threshold on P({target}) was chosen on validation. F1 and accuracy are those of its two answers, "
        f"{target} or not, whichever class is the most probable. To choose among these rows by their test figures is "
        "to choose on the test.",
    )
    return Table(name, title, pd.DataFrame(rows), shown, trial.stamp, notes)


def screening_table(group: Group, trial: Trial, name: str, title: str) -> Table:
    """Per 1,000 people, at each prevalence: the mean of the seeds, and the ensemble."""
    rows = []
    for label, models in with_ensemble(group):
        found = trial.estimates(models)
        se, sp = found["sensitivity"], found["specificity"]
        for prevalence in trial.prevalences:
            at, low, high = (
                per_thousand(a, b, prevalence) for a, b in ((se.value, sp.value), (se.low, sp.high), (se.high, sp.low))
            )
            row = {"model": label, "prevalence": f"{100 * prevalence:g} %", "ill": 1000 * prevalence}
            for key in ("found", "false_alarms"):
                row |= {key: getattr(at, key), f"{key}_low": getattr(low, key), f"{key}_high": getattr(high, key)}
            row |= {"missed": at.missed, "missed_low": high.missed, "missed_high": low.missed}
            rows.append(row | {"per_found": at.per_found if np.isfinite(at.per_found) else np.nan})
    shown = (
        Column("model", "model"),
        Column("prevalence", "prevalence"),
        Column("ill", "ill", "count"),
        Ranged("found", "found", "seconds"),
        Ranged("missed", "missed", "seconds"),
        Ranged("false alarms", "false_alarms", "seconds"),
        Column("recalled for each one found", "per_found", "seconds"),
    )
    notes = (
        f"Of 1,000 people screened, at the threshold for {trial.goal} on validation, if its test sensitivity and "
        "specificity held there. They rarely do: people who are screened are less ill than those in a data set, and "
        "another hospital's images differ. Brackets come from the 95 % intervals of sensitivity and specificity alone.",
    )
    return Table(name, title, pd.DataFrame(rows), shown, trial.stamp, notes)


def slices_table(group: Group, found: Sequence[Slice], trial: Trial, name: str, title: str) -> Table:
    """A row for all images and one a slice, all by one decision: at the threshold, or where a model has none, by the
    largest probability. Slices of few images are marked, and those of fewer have no figures."""
    everybody = np.ones(len(group.labels_N), bool)
    flagged = all(trial.threshold(model).value is not None for model in group.models)
    decision = AT if flagged else BY_LARGEST
    names = {
        "accuracy": "flagged_accuracy" if flagged else "accuracy",
        "f1": "flagged_f1" if flagged else f"f1_{trial.target}",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "auc": f"auc_{trial.target}",
    }
    rows = []
    for label, mask_N in [("all", everybody), *((str(s), s.mask_N) for s in found)]:
        small = mask_N.sum() < FEW
        row: dict[str, object] = {"slice": f"{label} {SMALL}" if small else label, "images": int(mask_N.sum())}
        row |= {"ill": int((group.labels_N[mask_N] == trial.target).sum()), "decision": decision}
        measured = trial.estimates(group.models, None if mask_N is everybody else mask_N)
        cells = spread({name: measured[of] for name, of in names.items()})
        rows.append(row | (dict.fromkeys(cells, np.nan) if mask_N.sum() < LEAST else cells))
    shown = (
        Column("slice", "slice"),
        Column("images", "images", "count"),
        Column(trial.name, "ill", "count"),
        Ranged(f"accuracy {decision}, %", "accuracy", "percent"),
        *(Ranged(f"{name} {AT}, %", name, "percent") for name in ("sensitivity", "specificity") if flagged),
        Ranged(f"F1 {decision}, %", "f1", "percent"),
        Ranged("AUC", "auc", "area"),
    )
    notes = (
        f"Sensitivity, specificity, F1 and AUC are those of {escape(trial.name)}; {MISSING} where a slice lacks it, or "
        f"everything else. {SMALL}: fewer than {FEW} images, too few to say much; of fewer than {LEAST} "
        "nothing is said.",
        f"{len(found)} slices were looked at, each with a 95 % interval: even if all were alike, about one in twenty "
        "would lie outside. Slices also differ in their mix of classes and sources, which alone moves every figure.",
        INTERVALS + patients_drawn(trial),
    )
    return Table(name, title, pd.DataFrame(rows), shown, trial.stamp, notes)


def with_ensemble(group: Group) -> list[tuple[str, list[Predicted]]]:
    """The group under its label, and its ensemble, where it has one, under its own."""
    return [(group.label, list(group.models)), *([(group.ensemble.name, [group.ensemble])] if group.ensemble else [])]


def patients_drawn(trial: Trial) -> str:
    """What to add to INTERVALS where patients have several images."""
    return (
        "" if trial.clusters_N is None else " Here patients with several images are drawn whole, for single models too."
    )
