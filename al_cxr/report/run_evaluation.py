"""How good a run's models are at their last round, beside the truth of their test images: sections of its page."""

from __future__ import annotations

import numpy as np

from al_cxr.comparison.finished import Finished
from al_cxr.core.errors import UserError
from al_cxr.core.records import BaselineRecord, RoundRecord
from al_cxr.evaluation.intervals import clusters
from al_cxr.evaluation.predicted import Group, Predicted
from al_cxr.evaluation.study import StudyDesign
from al_cxr.evaluation.truth import labels_of, load_predicted
from al_cxr.report.calibration_tables import rounds_table
from al_cxr.report.evaluation_sections import add_sections
from al_cxr.report.evaluation_tables import performance_table
from al_cxr.report.kit.page import Page
from al_cxr.report.kit.prose import paragraph
from al_cxr.report.kit.text import file_name
from al_cxr.report.last_models import BASELINE, last_models, main_arm

Models = dict[tuple[str, int], Predicted]
"""(fit, seed) -> model."""


def add_run_evaluation(page: Page, finished: Finished) -> None:
    """Calibration, operating points, screening, subgroups and ensembles of a run's models at their last round; the
    first arm that is not random and the fully labelled models are shown, the others linked.

    The truth is images.csv of the run; without it the page says what is missing. UserError where labels and records
    contradict each other.
    """
    classes, images = finished.experiment.data.classes, finished.images
    if images is None:
        page.add("## Calibration, operating points and subgroups", paragraph("evaluation", "unlabelled"))
        return
    models, index_N = _models(finished, labels_of(images, classes))
    groups = [
        Group(file_name(name), last.label, [models[record.fit, record.seed] for record in last.records])
        for name, last in last_models(finished).items()
    ]
    table = images.iloc[index_N].reset_index(drop=True)
    study = StudyDesign(classes, classes.index(finished.target), clusters_N=clusters(table["patient_id"].tolist()))
    add_sections(page, groups, study, table, {BASELINE, file_name(main_arm(finished))})
    _add_rounds(page, finished, models)
    page.add("## Ensemble of seeds")
    page.table(performance_table(groups, study, "ensembles", "Single models and their ensembles"))
    page.add(paragraph("evaluation", "ensembles"))


def _models(finished: Finished, labels_N: np.ndarray) -> tuple[Models, np.ndarray]:
    """All finished models, and the absolute indices of the test images that they share."""
    models: Models = {}
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


def _add_rounds(page: Page, finished: Finished, models: Models) -> None:
    """Calibration of every arm and round, and what it had to do with the choice of images."""
    rounds: dict[tuple[str, int], list[Predicted]] = {}
    for (arm, _), records in finished.rounds.items():
        for record in records:
            rounds.setdefault((arm, record.round), []).append(models[record.fit, record.seed])
    queries = [query for of_run in finished.queries.values() for query in of_run]
    same: dict[tuple[str, int], list[float]] = {}
    for query in queries:
        if query.same_batch is not None:
            same.setdefault((query.arm, query.round), []).append(query.same_batch)
    found = [temperature for query in queries for temperature in query.temperatures]
    remarks = paragraph("evaluation", "pool", temperature=finished.settings.scoring.temperature, found=found)
    page.add("## Calibration, round by round", remarks)
    page.table(rounds_table(rounds, same))
