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
from al_cxr.report.kit.numbers import MISSING, Kind
from al_cxr.report.kit.prose import notes, paragraph
from al_cxr.report.kit.tables import Column, Table

SMALL = "†"
AT, BY_LARGEST = "at the threshold", "by the largest probability"
"""The two decisions there are; where both stand in one table, each column is called after its own."""


def estimate(title: str, value: str, kind: Kind = "percent") -> Column:
    """A column that prints an estimate with its interval."""
    return Column(title, value, kind, "interval")


def intervals(study: StudyDesign, exact: bool = True) -> str:
    """What the brackets of a table are; `exact` where shares may have exact intervals."""
    return paragraph("evaluation", "intervals", exact=exact, patients=study.clusters_N is not None)


def with_ensemble(group: Group) -> list[tuple[str, list[Predicted]]]:
    """The group under its label, and its ensemble, where it has one, under its own."""
    found = [(group.label, list(group.models))]
    if group.ensemble is not None:
        found.append((group.ensemble.name, [group.ensemble]))
    return found


def performance_table(groups: Sequence[Group], study: StudyDesign, name: str, title: str) -> Table:
    """A row a group, one its ensemble, and the majority class's answer: accuracy, F1, areas, and the target's
    sensitivity and specificity at the threshold from validation."""
    rows: list[dict[str, object]] = []
    for group in groups:
        for label, models in with_ensemble(group):
            rows.append({"model": label, "seeds": len(models)} | columns(study.estimates(models)))
    labels_N = groups[0].labels_N
    counts_C = np.bincount(labels_N, minlength=len(study.classes))
    answer = int(counts_C.argmax())
    constant = Predicted("always", np.tile(np.eye(len(study.classes))[answer], (len(labels_N), 1)), labels_N)
    always = {name: estimate.value for name, estimate in study.estimates([constant]).items()}
    rows.append({"model": f"always {study.classes[answer]}", "seeds": np.nan} | always)
    by = "" if study.target is None else f" {BY_LARGEST}"
    tested = [i for i in range(len(study.classes)) if counts_C[i]]
    shown = [
        Column("model", "model"),
        estimate(f"accuracy{by}, %", "accuracy"),
        estimate(f"macro F1{by}, %", "macro_f1"),
        *(estimate(f"{study.classes[i]} F1{by}, %", f"f1_{i}") for i in tested),
        estimate("ROC-AUC", "roc_auc", "area"),
    ]
    if study.target is not None:
        shown += [
            estimate(f"{study.target_name} AUC", f"auc_{study.target}", "area"),
            estimate(f"{study.target_name} sensitivity {AT}, %", "sensitivity"),
            estimate(f"specificity {AT}, %", "specificity"),
        ]
    absent = [name for i, name in enumerate(study.classes) if i not in tested]
    remarks = notes(
        "evaluation",
        "performance",
        intervals=intervals(study),
        target=study.target_name,
        goal=str(study.goal),
        absent=absent,
    )
    return Table(name, title, pd.DataFrame(rows), (*shown, Column("seeds", "seeds", "count")), remarks)


def operating_table(group: Group, study: StudyDesign, name: str, title: str) -> Table:
    """The threshold of each seed, chosen on validation, and its test figures; their mean; the ensemble."""
    shares = ("sensitivity", "specificity", "ppv", "npv", f"auc_{study.target}")
    models = [(model.name, [model]) for model in group.models]
    if len(group.models) > 1:
        models.append(("mean of the seeds", list(group.models)))
    rows = []
    for label, some in [*models, *with_ensemble(group)[1:]]:
        row: dict[str, object] = {"model": label, "threshold": np.nan}
        row |= {"val_sensitivity": np.nan, "val_specificity": np.nan}
        chosen = study.threshold(some[0])
        if len(some) == 1 and chosen.value is not None:
            row |= {"threshold": chosen.value}
            row |= {"val_sensitivity": chosen.sensitivity, "val_specificity": chosen.specificity}
        rows.append(row | columns(study.estimates(some), shares))
    shown = (
        Column("model", "model"),
        Column("threshold", "threshold", "area"),
        Column("validation sensitivity, %", "val_sensitivity", "percent"),
        Column("validation specificity, %", "val_specificity", "percent"),
        estimate("test sensitivity, %", "sensitivity"),
        estimate("test specificity, %", "specificity"),
        estimate("PPV, %", "ppv"),
        estimate("NPV, %", "npv"),
        estimate("AUC", f"auc_{study.target}", "area"),
    )
    remarks = notes(
        "evaluation",
        "operating",
        target=study.target_name,
        goal=str(study.goal),
        missing=MISSING,
        positives=int((group.labels_N == study.target).sum()),
        images=len(group.labels_N),
        intervals=intervals(study),
    )
    return Table(name, title, pd.DataFrame(rows), shown, remarks)


def goals_table(group: Group, study: StudyDesign, name: str, title: str) -> Table:
    """What thresholds for each of the usual goals give on the test images: the mean of the seeds, and the ensemble."""
    shares = ("sensitivity", "specificity", "flagged_f1", "flagged_accuracy")
    rows = [
        {"goal": str(goal), "model": label} | columns(study.estimates_for(models, goal), shares)
        for goal in dict.fromkeys((study.goal, *GOALS))
        for label, models in with_ensemble(group)
    ]
    shown = (
        Column("validation was asked for", "goal"),
        Column("model", "model"),
        estimate("test sensitivity, %", "sensitivity"),
        estimate("test specificity, %", "specificity"),
        estimate(f"{study.target_name} F1, %", "flagged_f1"),
        estimate("accuracy, %", "flagged_accuracy"),
    )
    remarks = notes("evaluation", "goals", target=study.target_name)
    return Table(name, title, pd.DataFrame(rows), shown, remarks)


def screening_table(group: Group, study: StudyDesign, name: str, title: str) -> Table:
    """Per 1,000 people, at each prevalence: the mean of the seeds, and the ensemble."""
    rows = []
    for label, models in with_ensemble(group):
        found = study.estimates(models)
        se, sp = found["sensitivity"], found["specificity"]
        for prevalence in study.prevalences:
            at = per_thousand(se.value, sp.value, prevalence)
            low, high = per_thousand(se.low, sp.high, prevalence), per_thousand(se.high, sp.low, prevalence)
            row = {"model": label, "prevalence": f"{100 * prevalence:g} %", "ill": 1000 * prevalence}
            row |= {"found": at.found, "found_low": low.found, "found_high": high.found}
            row |= {"missed": at.missed, "missed_low": high.missed, "missed_high": low.missed}
            row |= {"false_alarms": at.false_alarms}
            row |= {"false_alarms_low": low.false_alarms, "false_alarms_high": high.false_alarms}
            rows.append(row | {"per_found": at.per_found if np.isfinite(at.per_found) else np.nan})
    shown = (
        Column("model", "model"),
        Column("prevalence", "prevalence"),
        Column("ill", "ill", "count"),
        estimate("found", "found", "seconds"),
        estimate("missed", "missed", "seconds"),
        estimate("false alarms", "false_alarms", "seconds"),
        Column("recalled for each one found", "per_found", "seconds"),
    )
    return Table(name, title, pd.DataFrame(rows), shown, notes("evaluation", "screening", goal=str(study.goal)))


def subgroups_table(group: Group, found: Sequence[Subgroup], study: StudyDesign, name: str, title: str) -> Table:
    """A row for all images and one a subgroup, all by one decision: at the threshold, or where a model has none, by the
    largest probability. Subgroups of few images are marked, and those of fewer have no figures."""
    flagged = all(study.threshold(model).value is not None for model in group.models)
    decision = AT if flagged else BY_LARGEST
    names = {
        "accuracy": "flagged_accuracy" if flagged else "accuracy",
        "f1": "flagged_f1" if flagged else f"f1_{study.target}",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "auc": f"auc_{study.target}",
    }
    everybody = np.ones(len(group.labels_N), bool)
    rows = []
    for label, mask_N in [("all", everybody), *((str(subgroup), subgroup.mask_N) for subgroup in found)]:
        images = int(mask_N.sum())
        row: dict[str, object] = {"subgroup": f"{label} {SMALL}" if images < FEW else label, "images": images}
        row |= {"ill": int((group.labels_N[mask_N] == study.target).sum()), "decision": decision}
        measured = study.estimates(group.models, None if mask_N is everybody else mask_N)
        cells = columns({name: measured[of] for name, of in names.items()})
        rows.append(row | (cells if images >= LEAST else dict.fromkeys(cells, np.nan)))
    shown = [
        Column("subgroup", "subgroup"),
        Column("images", "images", "count"),
        Column(study.target_name, "ill", "count"),
        estimate(f"accuracy {decision}, %", "accuracy"),
    ]
    if flagged:
        shown += [estimate(f"{name} {AT}, %", name) for name in ("sensitivity", "specificity")]
    shown += [estimate(f"F1 {decision}, %", "f1"), estimate("AUC", "auc", "area")]
    remarks = notes(
        "evaluation",
        "subgroups",
        target=study.target_name,
        missing=MISSING,
        mark=SMALL,
        few=FEW,
        least=LEAST,
        count=len(found),
        intervals=intervals(study),
    )
    return Table(name, title, pd.DataFrame(rows), tuple(shown), remarks)
