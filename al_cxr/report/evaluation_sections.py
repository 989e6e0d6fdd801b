"""The sections on calibration, operating points, screening and subgroups, of a run and of an external test."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pandas as pd

from al_cxr.comparison.finished import Finished
from al_cxr.core.enough import FEW
from al_cxr.core.errors import UserError
from al_cxr.core.records import BaselineRecord, RoundRecord
from al_cxr.evaluation.intervals import clusters
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign
from al_cxr.evaluation.subgroups import Subgroup, subgroups
from al_cxr.evaluation.truth import labels_of, load_predicted
from al_cxr.report import calibration_tables, evaluation_figures, evaluation_tables
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.text import escape, file_name

BASELINE = "fully-labelled"


def add_run_evaluation(page: Page, finished: Finished, labels_N: np.ndarray | None = None) -> None:
    """Calibration, operating points, screening, subgroups and ensembles of a run's models at their last round; the
    first arm that is not random and the fully labelled models are shown, the others linked.

    The truth is images.csv of the run, or `labels_N` (of the whole data set, by absolute index); without either the
    page says what is missing. UserError where labels and records contradict each other.
    """
    classes, images = finished.experiment.data.classes, finished.images
    if images is not None:
        labels_N = labels_of(images, classes)
    if labels_N is None:
        page.add(
            "## Calibration, operating points and subgroups",
            "These need the label of each image, and this run was made before runs kept them in images.csv. The same "
            "`al-cxr run` command adds it and trains nothing again.",
        )
        return
    models, index_N = _models(finished, labels_N)
    groups = []
    if finished.baselines:
        done = [models[b.fit, b.seed] for b in finished.baselines.values()]
        groups.append(Group(BASELINE, "fully labelled", done))
    for arm in finished.settings.arms:
        if last := finished.last(arm):
            label = f"{arm}, round {max(r.round for r in last)}"
            groups.append(Group(file_name(arm), label, [models[r.fit, r.seed] for r in last]))
    table = None if images is None else images.iloc[index_N].reset_index(drop=True)
    patients = None if table is None else clusters(table["patient_id"].tolist())
    study = StudyDesign(classes, classes.index(finished.target), clusters_N=patients)
    main = next((n for n, a in finished.settings.arms.items() if a.strategy != "random"), "")
    add_sections(page, groups, study, table, {BASELINE, file_name(main)})
    _add_rounds(page, finished, models)
    page.add("## Ensemble of seeds")
    page.table(evaluation_tables.performance_table(groups, study, "ensembles", "Single models and their ensembles"))
    page.add(
        "Each seed of an arm has labels of its own, so an ensemble of them has seen more labels than any of its "
        "members: it is no fair rival of one model at the same number of labels. Fully labelled members share theirs."
    )


def _add_rounds(page: Page, finished: Finished, models: dict[tuple[str, int], Predicted]) -> None:
    """Calibration of every arm and round, and what it had to do with the choice of images."""
    rounds: dict[tuple[str, int], list[Predicted]] = {}
    for (arm, _), records in finished.rounds.items():
        for r in records:
            rounds.setdefault((arm, r.round), []).append(models[r.fit, r.seed])
    queries = [query for of_run in finished.queries.values() for query in of_run]
    same: dict[tuple[str, int], list[float]] = {}
    for query in queries:
        if query.same_batch is not None:
            same.setdefault((query.arm, query.round), []).append(query.same_batch)
    found, said = [t for query in queries for t in query.temperatures], ""
    if finished.settings.scoring.temperature == "off":
        said = "Pools were scored with the probabilities as trained (scoring.temperature: off)."
    elif found:
        said = (
            "Pools were scored with logits divided by the temperature that the round's own validation images give "
            f"(scoring.temperature: validation): {np.mean(found):.2f} on average, {min(found):.2f} to {max(found):.2f}."
        )
    page.add("## Calibration, round by round", said)
    page.table(calibration_tables.rounds_table(rounds, same))


def _models(finished: Finished, labels_N: np.ndarray) -> tuple[dict[tuple[str, int], Predicted], np.ndarray]:
    """(fit, seed) -> model, of all finished models, and the absolute indices of the test images that they share."""
    models: dict[tuple[str, int], Predicted] = {}
    shared_N: np.ndarray | None = None
    finished_fits: list[BaselineRecord | RoundRecord] = [*finished.baselines.values()]
    finished_fits += [record for records in finished.rounds.values() for record in records]
    for done in finished_fits:
        if (done.fit, done.seed) not in models:
            folder = finished.fit_folder(done.fit)
            index_N, model = load_predicted(folder, f"seed {done.seed}", labels_N, done.val, done.test)
            shared_N = index_N if shared_N is None else shared_N
            if not np.array_equal(index_N, shared_N):
                raise UserError(
                    f"{folder}: tested on other images than the other models of the run, so it is not compared; "
                    "delete the folder and run again"
                )
            models[done.fit, done.seed] = model
    return models, np.empty(0, np.int64) if shared_N is None else shared_N


def add_sections(
    page: Page, groups: Sequence[Group], study: StudyDesign, table: pd.DataFrame | None, shown: Collection[str]
) -> None:
    """The sections on calibration, operating points, screening and subgroups. `table` has a row a tested image (None:
    nothing is known of them); the tables of groups whose name is not in `shown` are linked."""
    first = [g for g in groups if g.name in shown] or list(groups[:1])
    others = [g for g in groups if g not in first]
    _add_calibration(page, first, others, study)
    for heading, make, kind, title in (
        (
            "Operating points",
            evaluation_tables.operating_table,
            "operating",
            f"{escape(study.target_name)} at {study.goal}",
        ),
        ("Other thresholds", evaluation_tables.goals_table, "thresholds", f"{escape(study.target_name)}, yes or no"),
        ("Screening", evaluation_tables.screening_table, "screening", "1,000 people"),
    ):
        page.add(f"## {heading}")
        for group in (*first, *others):
            made = make(group, study, f"{kind}-{group.name}", f"{title}: {escape(group.label)}")
            page.table(made, inline=group in first, notes=group is first[0])
        if kind == "operating":
            page.add(_remarks(first, study.doubts))
    _add_subgroups(page, first, others, study, table)


def _add_calibration(page: Page, first: Sequence[Group], others: Sequence[Group], study: StudyDesign) -> None:
    page.add("## Calibration")
    page.table(calibration_tables.calibration_table(first, study, "calibration", "Do the probabilities hold?"))
    page.add(_remarks(first, lambda model: model.temperature.note))
    for group in first:
        title = f"Reliability: {group.label}" + f", {len(group.models)} seeds together" * (len(group.models) > 1)
        drawn = evaluation_figures.reliability_diagram(group.models, title)
        page.figure(drawn, f"reliability-{group.name}", title)
    if others:
        title = "Do the probabilities of the other models hold?"
        page.table(calibration_tables.calibration_table(others, study, "calibration-others", title), inline=False)
    page.table(calibration_tables.ranking_table((*first, *others), study))


def _add_subgroups(
    page: Page, first: Sequence[Group], others: Sequence[Group], study: StudyDesign, table: pd.DataFrame | None
) -> None:
    page.add("## Subgroups")
    found = [] if table is None else subgroups(table)
    if not found:
        page.add(
            "There are no subgroups: in source, sex, age and view no difference between the tested images is known."
        )
        return
    for group in (*first, *others):
        title = f"Subgroups: {group.label}"
        made = evaluation_tables.subgroups_table(group, found, study, f"subgroups-{group.name}", escape(title))
        page.table(made, inline=group in first, notes=group is first[0])
        if group in first:
            page.add(worst(made.frame, found, study))
            drawn = evaluation_figures.subgroups_figure(made.frame, study.target_name, title)
            page.figure(drawn, f"subgroups-{group.name}", title)


def worst(frame: pd.DataFrame, found: Sequence[Subgroup], study: StudyDesign) -> str:
    """One sentence on the worst subgroup by accuracy, and one by the target's sensitivity, among the subgroups of a
    `subgroups_table` that have enough images (of the target) and a known value."""
    sentences = []
    for metric, what, size in (("accuracy", "accuracy", "images"), ("sensitivity", "sensitivity", "ill")):
        rows = frame.iloc[1:][[s.nameable for s in found]]
        rows = rows[(rows[size] >= FEW) & rows[metric].notna()]
        if len(rows) < 2:
            continue
        row, everybody = rows.loc[rows[metric].idxmin()], frame[metric].iloc[0]
        of = f"{row[size]:,} {'images' if size == 'images' else escape(study.target_name)}"
        value, low, high = (100 * row[metric + part] for part in ("", "_low", "_high"))
        sentences.append(
            f"Worst by {what}: **{escape(row['subgroup'])}** ({of}) with {value:.1f} % ({low:.1f} to {high:.1f}), "
            f"against {100 * everybody:.1f} % of all."
        )
    return " ".join(sentences) or "No subgroup is large enough to be called the worst."


def _remarks(groups: Sequence[Group], note: Callable[[Predicted], str]) -> str:
    """What went wrong with some models' temperature or threshold, as a list; models of which the same is to be said
    share a line."""
    said: dict[str, list[str]] = {}
    for group in groups:
        named = {f"{group.label}, {m.name}": m for m in group.models}
        named |= {group.ensemble.name: group.ensemble} if group.ensemble else {}
        for name, m in named.items():
            if text := note(m):
                said.setdefault(text, []).append(name)
    return "\n".join(f"- {escape('; '.join(names))}: {escape(text)}." for text, names in said.items())
