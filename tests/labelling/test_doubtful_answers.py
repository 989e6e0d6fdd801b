"""Labels that models doubt which have not learned from them are read again: blind, once, and never of the audit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from labelling_projects import CLASSES, begun

from al_cxr.api.labelling import LabellingProject
from al_cxr.cli.__main__ import main
from al_cxr.core.checkpoint import save_tensors
from al_cxr.labelling.answers import Answer, Asked
from al_cxr.labelling.audit import audit_of
from al_cxr.labelling.queues import to_adjudicate
from al_cxr.labelling.status_text import lines_of

WRONG = 4


def truth(project: LabellingProject, asked: Asked) -> str:
    image = project.journal.state.question(asked.question).image
    return CLASSES[project.archive.index_of[image] % 3]


@pytest.fixture
def read(tmp_path: Path) -> tuple[LabellingProject, set[str]]:
    """A project whose features tell the classes apart; ann has answered 80 questions, of those to learn from the last
    `WRONG` wrongly. Gives the images with a wrong label too."""
    project = begun(tmp_path, {"streams": {"second": 0, "repeat": 0}}, "phantom:120")
    digests = [image.digest for image in project.archive.images]
    chance = np.random.default_rng(0)
    features_NK = np.eye(3)[np.arange(len(digests)) % 3] + chance.normal(0, 0.2, (len(digests), 3))
    file = project.chooser.features.folder / "made.safetensors"
    save_tensors(file, {"features": torch.from_numpy(features_NK.astype(np.float32))}, digests)
    project = LabellingProject.open(project.folder, clock=project._clock)
    asked = project.ask(80, "ann")
    answers = {one: truth(project, one) for one in asked}
    state, reserved_N = project.journal.state, project.streams.reserved_N
    to_learn = [one for one in asked if state.question(one.question).stream == "seed"]
    wrong = to_learn[-WRONG:]
    assert reserved_N.any() and len(to_learn) > 40
    answers |= {one: CLASSES[(CLASSES.index(answers[one]) + 1) % 3] for one in wrong}
    # A wrong answer in the audit is doubted by no model: it measures the reader as well as the model.
    audited = next(one for one in asked if state.question(one.question).stream == "audit")
    answers[audited] = CLASSES[(CLASSES.index(answers[audited]) + 1) % 3]
    project.tell_all([Answer(one.question, label) for one, label in answers.items()], "ann")
    project.learn()
    return project, {state.question(one.question).image for one in wrong}


def images(project: LabellingProject, asked: list[Asked]) -> list[str]:
    return [project.journal.state.question(one.question).image for one in asked]


def test_wrong_labels_are_read_again_by_another_reader_who_sees_nothing_of_it(
    read: tuple[LabellingProject, set[str]],
) -> None:
    project, wrong = read
    asked = project.ask_doubtful(WRONG, "bob")
    assert set(images(project, asked)) == wrong
    assert all(set(vars(one)) == {"question", "reader", "name", "earlier"} and not one.earlier for one in asked)
    for one in asked:
        question = project.journal.state.question(one.question)
        assert (question.stream, question.q, question.strategy) == ("doubt", None, "self_confidence")
    project.tell_all([Answer(one.question, truth(project, one)) for one in asked], "bob")
    state = project.journal.state
    assert not wrong & state.labels().keys(), "two readers disagree: no label until a third decides"
    assert set(to_adjudicate(state, "cem", project._clock())) == wrong


def test_the_same_reader_corrects_by_reading_again_and_each_image_comes_once(
    read: tuple[LabellingProject, set[str]],
) -> None:
    project, wrong = read
    asked = project.ask_doubtful(99, "ann")
    assert wrong <= set(images(project, asked)) and len(asked) < 12, "few others are doubted"
    assert project.ask_doubtful(99, "ann") == asked, "what is not answered comes again"
    assert project.ask_doubtful(99, "bob") == [], "and nobody else has it in hand"
    assert not set(images(project, project.ask(5, "ann"))) & set(images(project, asked)), "nor in the usual questions"
    project.tell_all([Answer(one.question, truth(project, one)) for one in asked], "ann")
    labels = project.journal.state.labels()
    assert all(labels[one] == CLASSES[project.archive.index_of[one] % 3] for one in wrong)
    assert not set(images(project, project.ask_doubtful(99, "bob"))) & set(images(project, asked))


def test_what_a_reader_skips_is_for_another(read: tuple[LabellingProject, set[str]]) -> None:
    project, _ = read
    (first,) = project.ask_doubtful(1, "bob")
    project.tell(first.question, "skip", "bob")
    assert not set(images(project, [first])) & set(images(project, project.ask_doubtful(9, "bob")))
    assert images(project, project.ask_doubtful(1, "cem")) == images(project, [first])


def test_no_figure_of_the_audit_hangs_on_what_was_read_again(read: tuple[LabellingProject, set[str]]) -> None:
    project, wrong = read

    def audit() -> tuple[list[int], list[int], dict[str, int]]:
        features = project.chooser.features
        found = audit_of(project.journal.state, project.settings, project.archive, project.streams, features)
        return found.index_T.tolist(), found.labels_T.tolist(), found.without

    before, status = audit(), project.status()
    assert status.doubtful is not None and status.doubtful >= len(wrong)
    assert any("has them read again" in line for line in lines_of(status, project.settings))
    asked = project.ask_doubtful(99, "bob")
    at = [project.archive.index_of[one] for one in images(project, asked)]
    assert not project.streams.reserved_N[at].any()
    project.tell_all([Answer(one.question, truth(project, one)) for one in asked], "bob")
    after = project.status()
    assert audit() == before and after.doubtful == 0
    assert [figure.n for figure in after.agreement.values()] == [figure.n for figure in status.agreement.values()]


def test_once_images_have_several_readers_activelab_ranks_them(read: tuple[LabellingProject, set[str]]) -> None:
    project, _ = read
    for one in project.ask_doubtful(1, "bob"):
        label = project.journal.state.labels()[images(project, [one])[0]]
        project.tell(one.question, label, "bob")
    (another,) = project.ask_doubtful(1, "bob")
    assert project.journal.state.question(another.question).strategy == "active_lab"


def test_the_command_writes_a_file_and_says_where_nothing_is_doubted(
    read: tuple[LabellingProject, set[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project, wrong = read
    project.close()
    monkeypatch.chdir(tmp_path)
    assert main(["label", "ask", "project", "--doubtful", "-n", "99", "--reader", "bob"]) == 0
    said = capsys.readouterr().out
    rows = Path("next.csv").read_text().splitlines()
    assert f"asked     {len(rows) - 1} questions of bob in next.csv" in said and len(rows) > len(wrong)
    assert main(["label", "ask", "project", "--doubtful", "--reader", "cem"]) == 0
    assert "no doubtful label is left to ask cem" in capsys.readouterr().out


def test_where_labels_are_too_few_nothing_is_doubted(tmp_path: Path) -> None:
    project = begun(tmp_path)
    assert project.ask_doubtful(5, "ann") == []
