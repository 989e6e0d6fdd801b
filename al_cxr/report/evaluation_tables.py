"""Tables of tested models: performance, operating points, screening, subgroups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from al_cxr.core.enough import FEW, LEAST
from al_cxr.evaluation.intervals import columns
from al_cxr.evaluation.operating import GOALS, per_thousand
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign
from al_cxr.evaluation.subgroups import Subgroup
from al_cxr.report.kit.numbers import MISSING
from al_cxr.report.kit.tables import Column, Table
from al_cxr.report.kit.text import escape

SMALL = "†"
AT, BY_LARGEST = "at the threshold", "by the largest probability"
"""The two decisions there are; where both stand in one table, each column is called after its own."""
INTERVALS = (
    "In brackets 95 % intervals for other seeds and other images: the variance of a bootstrap over test images plus "
    "that of the seeds, with Student's t (few seeds make it wide; benchmarks/coverage.py says how often it holds); of "
    "one model over images alone; exact (Clopper-Pearson) of the shares of one model, and of 0 or 100 % in all seeds."
)


def performance_table(groups: Sequence[Group], study: StudyDesign, name: str, title: str) -> Table:
    """A row a group, one its ensemble, and the majority class's answer: accuracy, F1, areas, and the target's
    sensitivity and specificity at the threshold from validation."""
    rows: list[dict[str, object]] = []
    for group in groups:
        rows.append({"model": group.label, "seeds": len(group.models)} | columns(study.estimates(group.models)))
        if group.ensemble:
            rows.append({"model": group.ensemble.name, "seeds": 1} | columns(study.estimates([group.ensemble])))
    labels_N = groups[0].labels_N
    counts_C = np.bincount(labels_N, minlength=len(study.classes))
    answer = int(counts_C.argmax())
    constant = Predicted("always", np.tile(np.eye(len(study.classes))[answer], (len(labels_N), 1)), labels_N)
    always = columns(study.estimates([constant]))
    always = {name: np.nan if name.endswith(("_low", "_high")) else value for name, value in always.items()}
    rows.append({"model": f"always {study.classes[answer]}", "seeds": np.nan} | always)
    by = f" {BY_LARGEST}" if study.target is not None else ""
    shown = (
        Column("model", "model"),
        Column(f"accuracy{by}, %", "accuracy", "percent", "interval"),
        Column(f"macro F1{by}, %", "macro_f1", "percent", "interval"),
        *(
            Column(f"{c} F1{by}, %", f"f1_{i}", "percent", "interval")
            for i, c in enumerate(study.classes)
            if counts_C[i]
        ),
        Column("ROC-AUC", "roc_auc", "area", "interval"),
        *(_about_target(study) if study.target is not None else ()),
        Column("seeds", "seeds", "count"),
    )
    notes = [
        "Mean over seeds. An *ensemble* is one model: the mean of the seeds' probabilities, with its own threshold.",
        INTERVALS + patients_drawn(study),
    ]
    if study.target is not None:
        notes.append(
            f"*{BY_LARGEST[0].upper()}{BY_LARGEST[1:]}*: each image counts as its most probable class. *{AT[0].upper()}"
            f"{AT[1:]}*: as {escape(study.target_name)} where its probability reaches the threshold for {study.goal} "
            "on validation. These are two decisions, and `predict` takes the second."
        )
    if absent := [escape(c) for i, c in enumerate(study.classes) if not counts_C[i]]:
        notes.append(f"Without an image here, and therefore not in macro F1: {', '.join(absent)}.")
    return Table(name, title, pd.DataFrame(rows), shown, tuple(notes))


def _about_target(study: StudyDesign) -> tuple[Column, ...]:
    return (
        Column(f"{study.target_name} AUC", f"auc_{study.target}", "area", "interval"),
        Column(f"{study.target_name} sensitivity {AT}, %", "sensitivity", "percent", "interval"),
        Column(f"specificity {AT}, %", "specificity", "percent", "interval"),
    )


def operating_table(group: Group, study: StudyDesign, name: str, title: str) -> Table:
    """The threshold of each seed, chosen on validation, and its test figures; their mean; the ensemble."""
    rows = []
    models = [(m.name, [m]) for m in group.models]
    mean = [("mean of the seeds", list(group.models))] if len(models) > 1 else []
    for label, some in [*models, *mean, *with_ensemble(group)[1:]]:
        chosen = study.threshold(some[0]) if len(some) == 1 else None
        row: dict[str, object] = {"model": label}
        row |= dict.fromkeys(("threshold", "val_sensitivity", "val_specificity"), np.nan)
        if chosen and chosen.value is not None:
            row |= {"threshold": chosen.value}
            row |= {"val_sensitivity": chosen.sensitivity, "val_specificity": chosen.specificity}
        found = columns(study.estimates(some), ("sensitivity", "specificity", "ppv", "npv", f"auc_{study.target}"))
        rows.append(row | found)
    shown = (
        Column("model", "model"),
        Column("threshold", "threshold", "area"),
        Column("validation sensitivity, %", "val_sensitivity", "percent"),
        Column("validation specificity, %", "val_specificity", "percent"),
        Column("test sensitivity, %", "sensitivity", "percent", "interval"),
        Column("test specificity, %", "specificity", "percent", "interval"),
        Column("PPV, %", "ppv", "percent", "interval"),
        Column("NPV, %", "npv", "percent", "interval"),
        Column("AUC", f"auc_{study.target}", "area", "interval"),
    )
    positives = int((group.labels_N == study.target).sum())
    share, target = 100 * positives / len(group.labels_N), escape(study.target_name)
    notes = (
        f"Flagged: P({target}) ≥ threshold. Of all thresholds that reach {study.goal} on validation the one that gives "
        f"least of the other figure away; {MISSING} where none does without flagging everybody or finding nobody. The "
        "test images had no part in it.",
        f"PPV and NPV hold where, as here, {positives:,} of {len(group.labels_N):,} ({share:.1f} %) have {target}.",
        INTERVALS + patients_drawn(study),
    )
    return Table(name, title, pd.DataFrame(rows), shown, notes)


def goals_table(group: Group, study: StudyDesign, name: str, title: str) -> Table:
    """What thresholds for each of the usual goals give on the test images: the mean of the seeds, and the ensemble."""
    rows = []
    for goal in dict.fromkeys((study.goal, *GOALS)):
        for label, models in with_ensemble(group):
            row = {"goal": str(goal), "model": label}
            names = ("sensitivity", "specificity", "flagged_f1", "flagged_accuracy")
            rows.append(row | columns(study.estimates_for(models, goal), names))
    shown = (
        Column("validation was asked for", "goal"),
        Column("model", "model"),
        Column("test sensitivity, %", "sensitivity", "percent", "interval"),
        Column("test specificity, %", "specificity", "percent", "interval"),
        Column(f"{study.target_name} F1, %", "flagged_f1", "percent", "interval"),
        Column("accuracy, %", "flagged_accuracy", "percent", "interval"),
    )
    target = escape(study.target_name)
    notes = (
        f"Each threshold on P({target}) was chosen on validation. F1 and accuracy are those of its two answers, "
        f"{target} or not, whichever class is the most probable. To choose among these rows by their test figures is "
        "to choose on the test.",
    )
    return Table(name, title, pd.DataFrame(rows), shown, notes)


def screening_table(group: Group, study: StudyDesign, name: str, title: str) -> Table:
    """Per 1,000 people, at each prevalence: the mean of the seeds, and the ensemble."""
    rows = []
    for label, models in with_ensemble(group):
        found = study.estimates(models)
        se, sp = found["sensitivity"], found["specificity"]
        for prevalence in study.prevalences:
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
        Column("found", "found", "seconds", "interval"),
        Column("missed", "missed", "seconds", "interval"),
        Column("false alarms", "false_alarms", "seconds", "interval"),
        Column("recalled for each one found", "per_found", "seconds"),
    )
    notes = (
        f"Of 1,000 people screened, at the threshold for {study.goal} on validation, if its test sensitivity and "
        "specificity held there. They rarely do: people who are screened are less ill than those in a data set, and "
        "another hospital's images differ. Brackets come from the 95 % intervals of sensitivity and specificity alone.",
    )
    return Table(name, title, pd.DataFrame(rows), shown, notes)


def subgroups_table(group: Group, found: Sequence[Subgroup], study: StudyDesign, name: str, title: str) -> Table:
    """A row for all images and one a subgroup, all by one decision: at the threshold, or where a model has none, by the
    largest probability. Subgroups of few images are marked, and those of fewer have no figures."""
    everybody = np.ones(len(group.labels_N), bool)
    flagged = all(study.threshold(model).value is not None for model in group.models)
    decision = AT if flagged else BY_LARGEST
    names = {
        "accuracy": "flagged_accuracy" if flagged else "accuracy",
        "f1": "flagged_f1" if flagged else f"f1_{study.target}",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "auc": f"auc_{study.target}",
    }
    rows = []
    for label, mask_N in [("all", everybody), *((str(s), s.mask_N) for s in found)]:
        small = mask_N.sum() < FEW
        row: dict[str, object] = {"subgroup": f"{label} {SMALL}" if small else label, "images": int(mask_N.sum())}
        row |= {"ill": int((group.labels_N[mask_N] == study.target).sum()), "decision": decision}
        measured = study.estimates(group.models, None if mask_N is everybody else mask_N)
        cells = columns({name: measured[of] for name, of in names.items()})
        rows.append(row | (dict.fromkeys(cells, np.nan) if mask_N.sum() < LEAST else cells))
    shown = (
        Column("subgroup", "subgroup"),
        Column("images", "images", "count"),
        Column(study.target_name, "ill", "count"),
        Column(f"accuracy {decision}, %", "accuracy", "percent", "interval"),
        *(Column(f"{name} {AT}, %", name, "percent", "interval") for name in ("sensitivity", "specificity") if flagged),
        Column(f"F1 {decision}, %", "f1", "percent", "interval"),
        Column("AUC", "auc", "area", "interval"),
    )
    notes = (
        f"Sensitivity, specificity, F1 and AUC are those of {escape(study.target_name)}; {MISSING} where a subgroup "
        f"lacks it, or everything else. {SMALL}: fewer than {FEW} images, too few to say much; of fewer than {LEAST} "
        "nothing is said.",
        f"{len(found)} subgroups were looked at, each with a 95 % interval: even if all were alike, about one in "
        "twenty would lie outside. Subgroups also differ in their mix of classes and sources, which alone "
        "moves every figure.",
        INTERVALS + patients_drawn(study),
    )
    return Table(name, title, pd.DataFrame(rows), shown, notes)


def with_ensemble(group: Group) -> list[tuple[str, list[Predicted]]]:
    """The group under its label, and its ensemble, where it has one, under its own."""
    return [(group.label, list(group.models)), *([(group.ensemble.name, [group.ensemble])] if group.ensemble else [])]


def patients_drawn(study: StudyDesign) -> str:
    """What to add to INTERVALS where patients have several images."""
    return (
        "" if study.clusters_N is None else " Here patients with several images are drawn whole, for single models too."
    )
