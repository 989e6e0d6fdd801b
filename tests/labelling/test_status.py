"""What a project says of itself, checked against what is computed by other means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from labelling_projects import CLASSES, begun, prepared

import al_cxr
from al_cxr.api.labelling import LabellingProject
from al_cxr.evaluation.audit import audit_figures
from al_cxr.evaluation.certificate import exams
from al_cxr.labelling.audit import plan_of
from al_cxr.labelling.status_text import lines_of

CHANGES = {
    "acquisition": {"first": 10},
    "goal": {"figure": "accuracy", "at_least": 0.3},
    "streams": {"audit": 0.3, "second": 0.1, "repeat": 0.05, "gap": 5},
}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> LabellingProject:
    """150 phantoms that two readers have answered rightly."""
    data = al_cxr.load_data("phantom:150")
    truth = {data.images.name(i): data.classes[data.labels_N[i]] for i in range(len(data))}
    project = prepared(begun(tmp_path_factory.mktemp("read"), CHANGES, "phantom:150"))
    for number in range(130):
        reader = "ann" if number % 2 else "bob"
        for asked in project.ask(1, reader):
            project.tell(asked.question, truth[asked.name], reader, 1000 + number)
    return project


def test_figures_are_those_of_the_audited_images_in_the_order_of_asking(read: LabellingProject) -> None:
    state, model, archive = read.journal.state, read.chooser.model, read.archive
    assert model is not None
    asked, seen = [], set()
    for q in state.questions.values():
        patient = archive.patients[archive.index_of[q.image]]
        if q.stream == "audit" and patient not in seen:
            seen.add(patient)
            asked.append((archive.index_of[q.image], CLASSES.index(state.labels()[q.image])))
    index_T, labels_T = np.array(asked).T
    probs_TC = model.probs(read.chooser.features.features_NK[index_T])
    patients = len(set(archive.patients))
    assert read.status().figures == audit_figures(labels_T, probs_TC, CLASSES.index("tuberculosis"), archive=patients)
    assert len(index_T) > 10


def test_readers_who_answer_alike_agree_and_their_times_are_known(read: LabellingProject) -> None:
    status = read.status()
    assert status.agreement["observed"].n >= 5 and status.agreement["observed"].value == 1
    assert status.repeats["observed"].value == 1 or status.repeats["observed"].n < 5
    assert 1.0 < status.readers["ann"]["median_seconds"] < 1.2
    assert status.ceiling is not None and status.ceiling.value == 1


def test_a_model_is_examined_once_at_each_size_that_was_laid_down(read: LabellingProject) -> None:
    sat = [int(event.detail["size"]) for event in read.journal.state.exams]
    plan = plan_of(read.settings.goal)
    assert plan == exams(0.3, read.settings.goal.audit_up_to) and read.settings.goal.audit_up_to > 10
    assert sat and sat == sorted(set(sat)) and set(sat) <= set(plan.sizes)
    passed = [event for event in read.journal.state.exams if event.detail["passed"]]
    status = read.status()
    assert (status.certified is None) == (not passed)
    assert all(event.detail["low"] >= 0.3 for event in passed)
    assert not set(status.exams) & set(sat)


def test_the_status_is_plain_text_and_json(read: LabellingProject) -> None:
    status = read.status()
    text = "\n".join(lines_of(status, read.settings))
    assert "whenever and however often one looks" in text and "none of them of the audit" in text
    assert f"{sum(status.labelled.values()):,} images: " in text and "goal      accuracy of 0.3 or more" in text
    data = json.loads(json.dumps(status.as_json(), allow_nan=False))
    assert data["labelled"] == status.labelled and data["figures"]["accuracy"]["n"] == status.audited


def test_a_project_without_answers_says_so(tmp_path: Path) -> None:
    project = begun(tmp_path)
    status = project.status()
    assert not status.figures and status.certified is None and status.model == ""
    text = "\n".join(lines_of(status, project.settings))
    assert "0 images: 0 normal" in text and "none yet" in text and "nan" not in text


def test_earlier_models_are_measured_on_the_audit_as_it_is_now(read: LabellingProject) -> None:
    status = read.status()
    labels = [one.labels for one in status.curve]
    assert len(labels) > 1 and labels == sorted(labels) and labels[-1] <= status.trained_on
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in status.curve)
    if labels[-1] == status.trained_on:
        assert status.curve[-1].value == status.figures["accuracy"].value
    assert status.sittings["ann"][0].first == 0 and 1.0 < status.sittings["ann"][0].median < 1.2
