"""What a sweep consists of, how it is followed, whose random numbers it hashes, and its label regimes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from opened import opened_run
from tiny import TINY, write_tiny

from al_cxr.cli.__main__ import main
from al_cxr.comparison.finished import load as load_finished
from al_cxr.config.files import load, parse_override
from al_cxr.core.seeds import digest, loader_hash, masks_hash, stream
from al_cxr.experiment import seen
from al_cxr.experiment.executor import ThisProcess
from al_cxr.experiment.external_test import find_models, seen_by
from al_cxr.experiment.plan import label_counts, phases, plan, steps
from al_cxr.experiment.pool_scoring import sampling_of, score_shard
from al_cxr.experiment.sweep import perform, run_all
from al_cxr.experiment.workspace import Workspace
from al_cxr.report.regimes import write_regimes
from al_cxr.sampling import masks
from al_cxr.strategies.statistics import PoolStatistics
from al_cxr.training import length, trainer
from al_cxr.training.trainer import fit

pytestmark = pytest.mark.usefixtures("undrawn_module")
SHORT = TINY.replace("rounds: 2", "rounds: 1").replace("seeds: [0, 1]", "seeds: [0]")


def opened(folder: Path, *overrides: str) -> Workspace:
    settings = load(write_tiny(folder, SHORT), overrides=[parse_override(text) for text in overrides])
    return opened_run(settings, folder / "runs" / "tiny")


def play(folder: Path, *more: str) -> int:
    where = ["--runs", str(folder / "runs"), "--results", str(folder / "results")]
    return main(["run", str(folder / "tiny.yaml"), *where, *more])


def noting(keys: list[tuple], function: Callable) -> Callable:
    def noted(*key: int | str) -> object:
        keys.append(key)
        return function(*key)

    return noted


def test_the_hashes_are_of_the_streams_that_training_and_scoring_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = opened(tmp_path)
    keys: list[tuple] = []
    monkeypatch.setattr(trainer, "stream", noting(keys, trainer.stream))
    monkeypatch.setattr(length, "rng", noting(keys, length.rng))
    fitted = fit(workspace.build_model(7), workspace.task("focal", 7, workspace.train_index))
    order = ["order", "augment", "dropout"]
    keys.sort(key=lambda key: (key[2], order.index(key[1])))
    assert len(set(keys)) == len(keys) == 3 * workspace.settings.train.parts
    assert digest(np.array([stream(*key) for key in keys])) == loader_hash(7, workspace.settings.train.parts)

    keys.clear()
    monkeypatch.setattr(masks, "rng", noting(keys, masks.rng))
    how = sampling_of(workspace.settings.scoring, workspace.runtime.score_precision, 7, 4)
    score_shard(workspace, fitted.model, workspace.train_index, frozenset({"mc"}), how)
    assert {key[:-1] for key in keys} == {(7, "mask", 4, 0)} and len(set(keys)) == 7, "one stream a random site"
    passes = workspace.settings.scoring.passes
    assert digest(np.array([stream(*min(keys)), passes])) == masks_hash(7, 4, passes)


def test_hashes_tell_seeds_epochs_rounds_and_passes_apart() -> None:
    hashes = [loader_hash(0, 2), loader_hash(1, 2), loader_hash(0, 3), masks_hash(0, 0, 3), masks_hash(1, 0, 3)]
    assert len({*hashes, masks_hash(0, 1, 3), masks_hash(0, 0, 4)}) == 7


def test_a_plan_is_what_is_missing(tmp_path: Path) -> None:
    workspace = opened(tmp_path)
    shared, arms = phases(workspace)
    assert [str(job) for job in shared] == [
        "baseline seed 0",
        "seed set (focal) seed 0",
        "seed set (cross_entropy) seed 0",
    ]
    assert [job.name for job in arms] == list(workspace.settings.arms)
    n, epochs = len(workspace.train_index), 2
    counts = label_counts(workspace.settings.budget, n)
    whole = plan(workspace)
    # a fully labelled model, two on the seed set, one more an arm; random arms score nothing
    assert (whole.fits, whole.queries) == (1 + 2 + 4, 2)
    assert sum(step.trained for step in whole.steps) == epochs * (n + 2 * counts[0] + 4 * counts[1])
    pool, passes = n - counts[0], workspace.settings.scoring.passes
    assert [step.sampled for step in whole.steps if step.queries] == [passes * pool, 0], "Monte-Carlo passes"
    predicted = [step.scored for step in whole.steps if step.queries]
    assert predicted == [0, pool], "modAL's margin predicts each image once"
    said: list[str] = []
    run_all(workspace, said.append)
    assert not plan(workspace)
    assert len(said) == 1 + 4 * 2 + 1 and said[0].startswith("[1/9] baseline, seed 0: all ")
    assert said[-1].startswith("finished  in ")

    arm = next(job for job in arms if job.name == "focal-mc_entropy")
    for path in (step.path for step in steps(workspace, arm)[1:]):
        path.unlink()
    left = plan(workspace)
    assert (list(left.left), len(left.steps), left.fits, left.queries) == ([arm], 2, 1, 1)
    assert sum(step.trained for step in left.steps) == epochs * counts[1]
    perform(workspace, arm, ThisProcess())
    assert not plan(workspace)


def test_several_regimes_of_the_same_labels_share_their_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny(tmp_path, SHORT + "regimes: {low: {seed: 0.1, query: 4, query_of: number}, high: {}}\n")
    assert play(tmp_path, "--regime", "all") == 0
    said = capsys.readouterr().out
    runs, results = tmp_path / "runs" / "tiny", tmp_path / "results" / "tiny"
    assert sorted(p.name for p in runs.iterdir()) == ["fits", "high", "low"]
    models = {p: p.stat().st_mtime_ns for p in runs.rglob("fit.json")}
    assert len(models) == 1 + 2 * (2 + 4), "one fully labelled model, and those of each regime"
    # what the second regime needs and the first has made is not announced again
    assert [int(n) for n in re.findall(r"to do +(\d+) models", said)] == [7, 6]
    low, high = ((runs / r / "baseline" / "seed-0.json").read_bytes() for r in ("low", "high"))
    assert low == high
    page = (results / "README.md").read_text()
    assert "| low " in page and "| high " in page and "](./low/README.md): 10 % of 63 labelled at the start" in page
    assert "regime low" in (results / "low" / "README.md").read_text()

    # the experiment's own budget is that of the regime `high` here, so there is nothing left to train
    assert play(tmp_path) == 0
    assert {p: p.stat().st_mtime_ns for p in runs.rglob("fit.json")} == models
    assert "label regimes" not in (results / "README.md").read_text()
    # the page of the regimes makes way for that of the experiment's own budget
    page = write_regimes([load_finished(runs / "low"), load_finished(runs / "high")], results)
    assert page == results / "regimes" / "README.md" and "](../low/README.md)" in page.read_text()
    capsys.readouterr()
    # one more regime is no other experiment
    write_tiny(tmp_path, SHORT + "regimes: {low: {seed: 0.1, query: 4, query_of: number}, high: {}, again: {}}\n")
    assert play(tmp_path, "--regime", "low,again", "--plan") == 0
    # its labels are those of `high`, but which the later rounds of `high` asked for is not known beforehand
    assert [int(n) for n in re.findall(r"to do +(\d+) models", capsys.readouterr().out)] == [4]
    write_tiny(tmp_path, SHORT + "regimes: {low: {seed: 0.2}}\n")
    assert play(tmp_path, "--regime", "low") == 2
    assert "budget.seed: 0.1 -> 0.2" in capsys.readouterr().err
    assert play(tmp_path, "--regime", "lwo") == 2
    assert "no such regime; did you mean 'low'?" in capsys.readouterr().err

    workspace = opened(tmp_path)
    (runs / "seen.sha256").unlink()  # as where only regimes were run
    n = sum(len(workspace.dataset.indices(split)) for split in ("train", "val"))
    assert seen.count(workspace.store, seen_by(find_models(runs / "low"))) >= n, (
        "a regime's training was not recognised"
    )


def test_each_loss_needs_an_arm_that_samples_at_random(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(tmp_path, SHORT.replace("  ce-random: {strategy: random, loss: cross_entropy}\n", ""))
    assert play(tmp_path) == 2
    error = capsys.readouterr().err
    assert "no arm samples at random with the loss cross_entropy, so no gain of ce-margin could be told" in error


def test_joined_statistics_are_those_of_all() -> None:
    r = np.random.default_rng(0)
    whole = PoolStatistics(np.arange(9), probs_NC=r.random((9, 3)), features_NK=r.random((9, 4)), passes=3, sites=["a"])
    parts = [whole.take(np.arange(9)[cut]) for cut in (slice(0, 4), slice(4, 5), slice(5, 9))]
    joined = PoolStatistics.join(parts)
    for name, array in whole.per_image().items():
        assert np.array_equal(array, joined.per_image()[name])
    assert (joined.passes, joined.sites, joined.mean_probs_NC) == (3, ["a"], None)
    with pytest.raises(ValueError, match="joined"):
        PoolStatistics.join([])
    with pytest.raises(ValueError, match="joined"):
        PoolStatistics.join([whole, PoolStatistics(np.arange(2))])
