"""Ask and tell: nothing is lost, nothing is asked twice, and a mistake is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from labelling_projects import CLASSES, Clock, begun, prepared, truth

from al_cxr.api.labelling import LabellingProject
from al_cxr.core.errors import UserError
from al_cxr.labelling.answers import Answer
from al_cxr.labelling.settings import read_settings, write_settings
from al_cxr.labelling.streams import TO_LEARN

QUICK = {"acquisition": {"first": 10}}


def _answer(project: LabellingProject, n: int, reader: str = "ann") -> None:
    for _ in range(n):
        (asked,) = project.ask(1, reader)
        project.tell(asked.question, truth(asked), reader)


def test_questions_come_before_features_and_a_model_chooses_after_them(tmp_path: Path) -> None:
    project = begun(tmp_path, QUICK)
    project.ask(4, "ann")
    early = list(project.journal.state.questions.values())
    assert {q.strategy for q in early} == {"random"} and not project.journal.state.models
    prepared(project)
    _answer(project, 40)
    later = [q for q in project.journal.state.questions.values() if q.stream == "acquisition"]
    assert later and {q.strategy for q in later} == {"entropy"}
    assert {q.model for q in later} <= {event.model for event in project.journal.state.models}
    assert {q.strategy for q in project.journal.state.questions.values() if q.stream == "seed"} >= {"typiclust"}


def test_what_was_handed_out_stays_in_its_order_whatever_is_learned_meanwhile(tmp_path: Path) -> None:
    project = prepared(begun(tmp_path, QUICK))
    ahead = project.ask(6, "ann")
    for _ in range(20):
        project.tell(ahead[0].question, truth(ahead[0]), "ann")
        now = project.ask(6, "ann")
        assert now[:5] == ahead[1:]
        ahead = now
    assert project.journal.state.models


def test_a_project_goes_on_where_it_was(tmp_path: Path) -> None:
    project = prepared(begun(tmp_path, QUICK))
    _answer(project, 25)
    ahead, model = project.ask(5, "ann"), project.chooser.model
    project.close()
    again = LabellingProject.open(tmp_path / "project", clock=project._clock)
    assert again.ask(5, "ann") == ahead and model is not None
    assert again.chooser.model is not None and again.chooser.model.key == model.key
    assert again.prepare() == 0, "no feature is computed twice"


def test_an_answer_is_corrected_said_again_and_taken_back(tmp_path: Path) -> None:
    project = begun(tmp_path)
    first, second = project.ask(2, "ann")
    image = project.journal.state.question(first.question).image
    project.tell(first.question, "normal", "ann", 900, "a pacemaker")
    number = project.journal.state.number
    project.tell(first.question, "Normal", "ann", 900, "a pacemaker")
    assert project.journal.state.number == number, "the same again changes nothing"
    project.tell(first.question, "pneumonia", "ann")
    assert project.journal.state.labels() == {image: "pneumonia"}
    assert project.undo("ann") == first and project.journal.state.labels() == {image: "normal"}
    assert project.undo("ann") == first and not project.journal.state.labels()
    assert project.ask(2, "ann") == [first, second]
    with pytest.raises(UserError, match="reader ann has no answer to take back"):
        project.undo("ann")


@pytest.mark.parametrize(
    ("answer", "reader", "says"),
    [
        ("tuberculsis", "ann", "no class 'tuberculsis'; did you mean 'tuberculosis'?"),
        ("unshure", "ann", "no class 'unshure'; did you mean 'unsure'?"),
        ("normal", "bob", "was asked of another reader than bob"),
        ("normal", "a/b", "reader 'a/b': a name begins with a letter"),
    ],
)
def test_a_wrong_answer_is_one_line_and_nothing_is_written(tmp_path: Path, answer: str, reader: str, says: str) -> None:
    project = begun(tmp_path)
    first, second = project.ask(2, "ann")
    number = project.journal.state.number
    with pytest.raises(UserError) as error:
        project.tell_all([Answer(first.question, "normal"), Answer(second.question, answer)], reader)
    assert says in str(error.value) and project.journal.state.number == number


def test_images_whose_lease_ended_are_given_to_others_and_else_come_back(tmp_path: Path) -> None:
    project = begun(tmp_path, {"readers": {"lease_minutes": 5}})
    clock = project._clock
    assert isinstance(clock, Clock)
    mine = project.ask(3, "ann")
    clock.now = clock.now.replace(hour=1)
    assert project.ask(3, "ann") == mine, "nobody else took them"
    clock.now = clock.now.replace(hour=2)
    everything = {one.name for one in project.ask(90, "bob")}
    assert {one.name for one in mine} <= everything
    clock.now = clock.now.replace(minute=1)
    assert not {one.name for one in project.ask(3, "ann")} & everything


def test_a_worker_computes_and_learns_while_a_reader_answers(tmp_path: Path) -> None:
    project = begun(tmp_path, QUICK)
    with project.working() as worker:
        _answer(project, 30)
        while len(project.chooser.features.missing()) or not project.journal.state.models:
            worker.check()
            worker.wake()
    learned = [q for q in project.journal.state.questions.values() if q.stream in TO_LEARN]
    assert learned and project.chooser.model is not None


def test_a_project_is_never_begun_over_another(tmp_path: Path) -> None:
    begun(tmp_path).close()
    before = {path: path.read_bytes() for path in (tmp_path / "project").iterdir()}
    with pytest.raises(UserError, match="is there already"):
        begun(tmp_path)
    assert {path: path.read_bytes() for path in (tmp_path / "project").iterdir()} == before
    (tmp_path / "project" / "project.yaml").unlink()  # as where it was killed before it was done
    with pytest.raises(UserError, match="delete it, as its start was broken off"):
        begun(tmp_path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"acquisition": {"strategy": "entrpy"}},
            "acquisition.strategy: no strategy 'entrpy'; did you mean 'entropy'?",
        ),
        ({"acquisition": {"explore": 0}}, "acquisition.explore: must be above 0"),
        ({"streams": {"audit": 0.4, "second": 0.5}}, "leave less than a fifth"),
        ({"start": "models/none"}, "models/none: no such folder"),
        ({"network": {"options": {"name": "resnet1"}}}, "network.options.name: "),
        (
            {"network": {"options": {"nme": "x"}}},
            "network.options.nme: backbone has no such option; did you mean 'name'?",
        ),
        ({"colour": 1}, "colour: unknown key"),
    ],
)
def test_a_wrong_setting_begins_no_project(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as error:
        begun(tmp_path, changes)
    assert says in str(error.value) and not (tmp_path / "project").exists()


def test_settings_that_answers_hang_on_cannot_be_changed_and_others_can(tmp_path: Path) -> None:
    begun(tmp_path).close()
    folder = tmp_path / "project"
    settings = read_settings(folder)
    changed = settings.acquisition.model_copy(update={"strategy": "margin"})
    write_settings(folder, settings.model_copy(update={"acquisition": changed}))
    assert LabellingProject.open(folder).journal.state.settings["acquisition"]["strategy"] == "margin"
    write_settings(folder, settings.model_copy(update={"classes": [*CLASSES, "effusion"]}))
    with pytest.raises(UserError, match="classes was changed"):
        LabellingProject.open(folder)


def test_a_project_knows_only_the_readers_that_it_names(tmp_path: Path) -> None:
    project = begun(tmp_path, {"readers": {"names": ["ann", "bob"]}})
    assert project.ask(1, "Ann")[0].reader == "ann"
    with pytest.raises(UserError, match=r"reader 'anna' is none of readers.names .*; did you mean 'ann'\?"):
        project.ask(1, "anna")
