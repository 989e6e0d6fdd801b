"""The report of trained models on another data set: tables, confusion matrices, every prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from al_cxr.evaluation.intervals import clusters
from al_cxr.evaluation.operating import Goal
from al_cxr.evaluation.predicted import EvaluatedModel, Group
from al_cxr.evaluation.study import PREVALENCES, StudyDesign
from al_cxr.report.classes import per_class
from al_cxr.report.evaluation_sections import add_sections
from al_cxr.report.evaluation_tables import BY_LARGEST, performance_table
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.text import escape, file_name
from al_cxr.report.model_figures import confusion
from al_cxr.report.origin import LIMITS, warning_list


def write_evaluation(
    folder: Path,
    evaluated: Sequence[EvaluatedModel],
    names: Sequence[str],
    data: str,
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
    *,
    target: str | None = None,
    goal: Goal | None = None,
    prevalences: Sequence[float] = PREVALENCES,
    table: pd.DataFrame | None = None,
) -> Path:
    """README.md, tables/, figures/ and predictions/MODEL.csv in `folder`; the path of the page.

    `names` are the images' (N), `data` says which they are (`Dataset.stamp`), `facts` are printed as
    they are (command, commit, fingerprint, ...), `notes` are the data set's warnings. Thresholds for `goal` and
    screening are of the class `target`; without one there are neither. `table` has a row an image (patient_id, source,
    age, ...).
    """
    for one in evaluated:
        if not len(names) == len(one.predicted.labels_N) == one.metrics.n:
            raise ValueError(f"{len(names)} names, but {len(one.predicted.labels_N)} images of {one.name}")
    groups: dict[str, list[EvaluatedModel]] = {}
    for one in evaluated:
        groups.setdefault(one.group, []).append(one)
    page = Page(folder, f"Tested on {escape(data)}", f"{data} · {len(names):,} images")
    page.add(warning_list(notes), "## Where the numbers come from")
    page.facts(facts)
    page.add(LIMITS, "## Results")
    classes = [c.name for c in evaluated[0].metrics.classes]
    patients = None if table is None else clusters(table["patient_id"].tolist())
    number = None if target is None else classes.index(target)
    study = StudyDesign(classes, number, goal or Goal(), prevalences, patients)
    tested = [Group(file_name(name), name, [m.predicted for m in models]) for name, models in groups.items()]
    page.table(performance_table(tested, study, "models", "All models"))
    if number is None:
        page.add("No class was named as the target, so there are no thresholds, subgroups and calibration here.")
    else:
        shown = {tested[0].name, file_name("baseline"), *(file_name(one.group) for one in evaluated if one.shown)}
        add_sections(page, tested, study, table, shown)
    for group, models in groups.items():
        page.add(f"## {escape(group)}")
        title = f"Class by class, {BY_LARGEST}"
        page.table(per_class(f"per-class-{file_name(group)}", title, [m.metrics for m in models]))
        figure = confusion(models[0].metrics, models[0].name)
        page.figure(figure, f"confusion-{file_name(group)}", f"Confusion matrix {BY_LARGEST}: {models[0].name}")
        for model in models:
            path = Path("predictions") / f"{file_name(model.name)}.csv"
            page.file(path, _predictions(model, names).encode())
            page.add(f"Every prediction of {escape(model.name)}: [{path.as_posix()}]({path.as_posix()})")
    return page.write()


def _predictions(model: EvaluatedModel, names: Sequence[str]) -> str:
    """As CSV."""
    classes, predicted = [c.name for c in model.metrics.classes], model.predicted
    frame = pd.DataFrame({"name": list(names)})
    frame["true"] = [classes[i] for i in predicted.labels_N]
    frame["most_probable"] = [classes[i] for i in predicted.probs_NC.argmax(axis=1)]
    for c, name in enumerate(classes):
        frame[f"p_{name}"] = predicted.probs_NC[:, c]
    return str(frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
