"""Simulated projects: the same code with an oracle, on phantoms."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from labelling_projects import CLASSES, settings

import al_cxr
from al_cxr.cli.__main__ import main
from al_cxr.labelling.settings import ProjectSettings, project_settings
from al_cxr.labelling.simulate import Simulated, oracle_of, simulate, true_figures
from al_cxr.labelling.simulated import look_table, summary_lines


def of(folder: Path) -> ProjectSettings:
    given = {"archive": {"source": "phantom:120"}, "classes": CLASSES, "target": "tuberculosis"}
    goal = {"figure": "accuracy", "at_least": 0.35}
    changes = {"acquisition": {"first": 10}, "goal": goal, "streams": {"audit": 0.3}}
    return project_settings(given | settings(folder, changes), "test")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    oracle = oracle_of(al_cxr.load_data("phantom:120"), CLASSES)
    return simulate(of(tmp_path_factory.mktemp("one")), oracle, seed=3, answers=50)[0]


def test_a_simulation_is_the_same_whenever_it_runs(run: Simulated, tmp_path: Path) -> None:
    oracle = oracle_of(al_cxr.load_data("phantom:120"), CLASSES)
    again, _ = simulate(of(tmp_path), oracle, seed=3, answers=50)
    assert look_table([again]).equals(look_table([run]))


def test_what_is_true_is_measured_on_patients_that_the_project_never_saw(run: Simulated) -> None:
    last = run.looks[-1]
    assert last.labelled + last.audited <= 50 and last.said["accuracy"].n == last.audited
    assert 0 <= last.truth["accuracy"] <= 1 and last.truth["accuracy"] != last.said["accuracy"].value


def test_true_figures_are_the_textbooks() -> None:
    labels_N = np.array([0, 0, 0, 1, 1])
    probs_NC = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.2, 0.8], [0.8, 0.2]])
    found = true_figures(labels_N, probs_NC, target=1)
    assert found["accuracy"] == 0.6 and found["sensitivity"] == 0.5 and found["specificity"] == pytest.approx(2 / 3)
    assert (
        found["prevalence"] == 0.4 and found["elusion"] == pytest.approx(1 / 3) and found["auc"] == pytest.approx(4 / 6)
    )


def test_true_figures_count_each_patient_alike_as_an_audit_does() -> None:
    labels_N, probs_NC = np.array([0, 1, 1, 1]), np.array([[0.7, 0.3], [0.2, 0.8], [0.8, 0.2], [0.8, 0.2]])
    found = true_figures(labels_N, probs_NC, 1, np.array([1, 1, 0.5, 0.5]))  # the last two are of one patient
    assert found["accuracy"] == pytest.approx(2 / 3) and found["sensitivity"] == 0.5 and found["elusion"] == 0.5
    assert found["auc"] == 0.5, "and 1 / 3 by images"


def test_wrong_answers_of_a_reader_lower_what_the_audit_says(tmp_path: Path, run: Simulated) -> None:
    oracle = oracle_of(al_cxr.load_data("phantom:120"), CLASSES)
    noisy, _ = simulate(of(tmp_path), oracle, seed=3, answers=50, error=0.9)
    assert noisy.looks[-1].truth["accuracy"] < run.looks[-1].truth["accuracy"]


def test_a_summary_tells_arms_apart_and_every_look_is_a_row(run: Simulated) -> None:
    text = "\n".join(summary_lines([run, Simulated("random", 3, run.looks)], of(Path("x")).goal))
    assert "strategy  entropy: 1 projects" in text and "strategy  random: 1 projects" in text
    assert len(look_table([run])) == 6 * len(run.looks)


def test_the_command_compares_with_random_and_writes_every_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(of(tmp_path).model_dump_json())
    command = ["label", "simulate", "p.yaml", "--oracle", "phantom:120", "--seeds", "1", "-n", "30", "--out", "l.csv"]
    assert main(command) == 0
    assert "strategy  random: 1 projects" in capsys.readouterr().out
    with open("l.csv") as f:
        rows = list(csv.DictReader(f))
    assert {row["strategy"] for row in rows} == {"entropy", "random"}
    assert main([*command[:5], "--error", "2"]) == 2
    assert "--error is a share below 1" in capsys.readouterr().err
