"""Whole experiments: what is recorded, that arms of a seed are comparable, and that a killed run ends the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import TINY, do_not_report, science_files, write_tiny

from al_cxr.cli.__main__ import main
from al_cxr.comparison.finished import load

HERE = Path(__file__).parents[1]
pytestmark = pytest.mark.usefixtures("undrawn_module")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the tiny experiment was run to its end."""
    folder = tmp_path_factory.mktemp("run")
    write_tiny(folder)
    assert play(folder) == 0
    return folder


def play(folder: Path, *more: str, command: str = "run") -> int:
    where = ["--runs", str(folder / "runs"), "--results", str(folder / "results")]
    return main([command, str(folder / "tiny.yaml"), *where, *more])


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_labelled_counts_and_pools_follow_the_budget(finished: Path) -> None:
    run = load(finished / "runs" / "tiny")
    train = run.train_size
    for (arm, seed), rounds in run.rounds.items():
        labels, seen = [r.n_labelled for r in rounds], set[int]()
        assert labels[0] == int(0.3 * train)
        assert np.diff(labels).tolist() == [int(0.1 * (train - n)) for n in labels[:-1]]
        for query in run.queries[arm, seed]:
            assert not seen & set(query.indices), "an image was asked for twice"
            seen |= set(query.indices)
        assert [sum(r.acquired.values()) for r in rounds] == [labels[0], *np.diff(labels)]


def test_arms_of_a_seed_share_their_start_and_seeds_do_not(finished: Path) -> None:
    run = load(finished / "runs" / "tiny")
    for key in ("seed_set", "initial_weights", "loader"):
        by_seed = {s: {r.hashes[key] for (_, seed), rs in run.rounds.items() if seed == s for r in rs} for s in (0, 1)}
        assert all(len(values) == 1 for values in by_seed.values()) and by_seed[0] != by_seed[1]
    masks = {(seed, r.round): r.hashes["masks"] for (_, seed), rs in run.rounds.items() for r in rs}
    assert all(r.hashes["masks"] == masks[seed, r.round] for (_, seed), rs in run.rounds.items() for r in rs)
    assert len(set(masks.values())) == len(masks) == 6, "masks are new for every seed and round"
    for seed, baseline in run.baselines.items():
        hashes = run.rounds["focal-random", seed][0].hashes
        assert baseline.hashes == {k: hashes[k] for k in ("initial_weights", "loader", "test_set", "data")}
    assert len({r.hashes["test_set"] for rs in run.rounds.values() for r in rs}) == 1
    # the model on the seed set is trained once a loss and shared
    first = {(arm, seed): rs[0].fit for (arm, seed), rs in run.rounds.items()}
    assert first["focal-mc_entropy", 0] == first["focal-random", 0] != first["ce-margin", 0]


def test_a_monte_carlo_query_lists_its_random_sites_and_random_has_none(finished: Path) -> None:
    run = load(finished / "runs" / "tiny")
    monte_carlo = run.queries["focal-mc_entropy", 0][0]
    assert monte_carlo.passes == 3 and len(monte_carlo.random_sites) == 7  # five blocks, two in the head
    assert monte_carlo.scores == sorted(monte_carlo.scores or [], reverse=True) and monte_carlo.unit == "nats"
    assert all(name.startswith("phantom-") for name in monte_carlo.names)
    random = run.queries["focal-random", 0][0]
    assert random.random_sites == [] and random.scores is None


def test_a_finished_run_says_so_and_computes_nothing(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = science_files(finished / "runs" / "tiny")
    stamps = {p: p.stat().st_mtime_ns for p in (finished / "runs").rglob("fit.json")}
    monkeypatch.setattr("al_cxr.core.provenance.commit", lambda: "another")
    assert play(finished, "--plan") == 0
    assert play(finished) == 0
    assert science_files(finished / "runs" / "tiny")["experiment.json"] == before["experiment.json"]
    assert "every run was there already" in capsys.readouterr().out
    after = science_files(finished / "runs" / "tiny")
    assert {p: p.stat().st_mtime_ns for p in (finished / "runs").rglob("fit.json")} == stamps
    assert before.keys() == after.keys()


def test_the_same_command_elsewhere_gives_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    write_tiny(tmp_path)
    assert play(tmp_path) == 0
    one, other = (science_files(f / "runs" / "tiny") for f in (finished, tmp_path))
    for files in (one, other):
        files.pop("experiment.json")  # holds the command, which names the folder
    assert one == other


def test_killed_at_many_places_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    short = TINY.replace("rounds: 2", "rounds: 1").replace("seeds: [0, 1]", "seeds: [0]")
    whole = tmp_path / "whole"
    whole.mkdir()
    for folder in (whole, tmp_path):
        write_tiny(folder, short)
    assert play(whole) == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]), "OMP_NUM_THREADS": "1"}
    where = ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    command = [sys.executable, str(HERE / "killed_run.py"), "run", str(tmp_path / "tiny.yaml"), *where]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) >= 15, "it was hardly killed at all"
    one, other = (science_files(f / "runs" / "tiny") for f in (whole, tmp_path))
    for files in (one, other):
        files.pop("experiment.json")
    assert one == other


def test_several_processes_write_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    write_tiny(tmp_path)
    assert play(tmp_path, "--set", "machine.engine=processes", "--set", "machine.processes=2") == 0
    one, other = (science_files(f / "runs" / "tiny") for f in (finished, tmp_path))
    for files in (one, other):
        files.pop("experiment.json")
    assert one == other


def test_more_seeds_and_arms_only_add_runs(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do_not_report(monkeypatch)
    write_tiny(tmp_path, TINY.replace("seeds: [0, 1]", "seeds: [0]"))
    assert play(tmp_path) == 0
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("fit.json")}
    write_tiny(tmp_path, TINY.replace("arms:\n", "arms:\n  ce-entropy: {strategy: entropy, loss: cross_entropy}\n"))
    monkeypatch.setattr("al_cxr.core.provenance.commit", lambda: "another")
    assert play(tmp_path) == 0
    assert all(p.stat().st_mtime_ns == t for p, t in stamps.items())
    assert read(tmp_path / "runs" / "tiny" / "experiment.json")["commit"].endswith(", another")
    run = load(tmp_path / "runs" / "tiny")
    assert len(run.rounds) == 10 and not run.gaps
    same = load(finished / "runs" / "tiny")
    assert run.rounds["ce-margin", 1] == same.rounds["ce-margin", 1]


def test_other_settings_in_the_same_folder_are_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = science_files(finished / "runs" / "tiny")
    assert play(finished, "--set", "train.epochs=3") == 2
    error = capsys.readouterr().err
    assert "train.epochs: 2 -> 3" in error and "--name" in error
    assert play(finished, "--data", "phantom:60", "--name", "tiny") == 2
    assert "holds results on phantom" in capsys.readouterr().err
    assert science_files(finished / "runs" / "tiny") == before, "a refused command changed the run"


def test_an_edited_record_is_noticed(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "runs" / "tiny" / "arms" / "focal-random" / "seed-0" / "round-1.json"
    record = read(path)
    record["test"]["accuracy"] = 1.0
    path.write_text(json.dumps(record))
    (path.parent / "round-2.json").unlink()
    assert play(tmp_path) == 2
    assert "round-1.json: these settings, data and code now give another result" in capsys.readouterr().err


def test_the_head_scope_is_named_and_its_agreement_reported(tmp_path: Path) -> None:
    write_tiny(tmp_path, TINY.replace("rounds: 2", "rounds: 1").replace("seeds: [0, 1]", "seeds: [0]"))
    assert play(tmp_path, "--set", "scoring.scope=head") == 0
    query = read(tmp_path / "runs" / "tiny" / "arms" / "focal-mc_entropy" / "seed-0" / "query-0.json")
    assert -1 <= query["head_agreement"] <= 1 and 0 < len(query["random_sites"]) < 7
    page = (tmp_path / "results" / "tiny" / "README.md").read_text()
    assert f"Rank correlation of the entropies with those of all sites: mean {query['head_agreement']:.2f}" in page


def test_a_stopping_rule_ends_an_arm_and_the_page_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(tmp_path, TINY.replace("seeds: [0, 1]", "seeds: [0]"))
    stop = ("--set", "stop.rule=low_uncertainty", "--set", "stop.options={below: 5.0}")
    assert play(tmp_path, *stop) == 0
    arm = tmp_path / "runs" / "tiny" / "arms" / "focal-mc_entropy" / "seed-0"
    assert read(arm / "stopped.json")["round"] == 0 and not (arm / "round-1.json").exists()
    assert (arm.parent.parent / "focal-random" / "seed-0" / "round-2.json").exists(), "random does not look at the pool"
    page = (tmp_path / "results" / "tiny" / "README.md").read_text()
    assert "focal-mc_entropy stopped asking after round 0 (seed 0)" in page.replace("\\", "")
    capsys.readouterr()
    assert play(tmp_path, *stop) == 0
    assert "every run was there already" in capsys.readouterr().out, "a stopped arm is a finished one"
    assert play(tmp_path, "--name", "other", "--set", "stop.rule=never") == 2
    assert "no rule 'never'" in capsys.readouterr().err
