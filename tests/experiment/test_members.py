"""Ensembles and temperatures in whole runs: what is trained once, what is recorded, and that both change the choice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from members_run import opened
from tiny import science_files

from al_cxr import strategies
from al_cxr.comparison.finished import Finished, load
from al_cxr.core.errors import UserError
from al_cxr.core.records import FitRecord, QueryRecord, Timing, read
from al_cxr.core.seeds import member_seed, rng
from al_cxr.evaluation.calibration import apply_temperature, fit_temperature
from al_cxr.experiment import fits
from al_cxr.experiment.arm import seed_labels
from al_cxr.experiment.executor import ThisProcess
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.plan import label_counts, phases, plan
from al_cxr.experiment.pool_scoring import PoolScoring
from al_cxr.experiment.sweep import run_all
from al_cxr.experiment.workspace import Workspace
from al_cxr.report.asking import ensembles, passes
from al_cxr.sampling.scoring import predict
from al_cxr.strategies import select
from al_cxr.strategies.pool import Pool
from al_cxr.strategies.statistics import entropy

OTHERS = 2 + 2 * 2
"""Members beside the rounds' own models: of the seed set, and those of the second query of two arms."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The experiment, run to its end."""
    workspace = opened(tmp_path_factory.mktemp("members"))
    run_all(workspace, lambda text: None)
    return workspace


@pytest.fixture(scope="module")
def finished(workspace: Workspace) -> Finished:
    return load(workspace.folder)


def fit_of(workspace: Workspace, key: str) -> Fit:
    return Fit(workspace.fits / key, read(workspace.fits / key / "fit.json", FitRecord))


def before(finished: Finished, workspace: Workspace, query: QueryRecord) -> Pool:
    """The pool that a query was asked of."""
    train, labels_N = workspace.train_index, workspace.dataset.labels_N
    first = finished.queries[query.arm, 0][: query.round]
    pool = Pool(len(workspace.dataset), train, len(workspace.dataset.classes))
    for index in (seed_labels(workspace.settings.budget, train, 0), *(np.array(q.indices) for q in first)):
        pool.tell(index, labels_N[index])
    return pool


def temperature(workspace: Workspace, fit: Fit) -> float:
    index_M, probs_MC = fit.predictions("val")
    return fit_temperature(probs_MC, workspace.dataset.labels_N[index_M]).value


def calibrated_pool(workspace: Workspace, key: str, index_N: np.ndarray) -> np.ndarray:
    """Calibrated probabilities, the long way round."""
    fit = fit_of(workspace, key)
    model = fit.model(workspace.runtime)
    probs_NC = predict(model, workspace.loader.batches(index_N, workspace.runtime.score_batch))
    return apply_temperature(probs_NC, temperature(workspace, fit))


def test_members_share_their_labels_and_nothing_else(finished: Finished, workspace: Workspace) -> None:
    for arm in ("members", "disagreement"):
        for query, record in zip(finished.queries[arm, 0], finished.rounds[arm, 0], strict=False):
            members = [finished.fit(key) for key in query.members]
            assert len(members) == 3 and query.members[0] == record.fit and query.passes == 0
            assert len({m.labelled_hash for m in members}) == 1
            assert len({m.initial_weights_hash for m in members}) == 3 == len({m.final_weights_hash for m in members})
    first, other = (finished.queries[arm, 0][0].members for arm in ("members", "disagreement"))
    assert first == other, "on the same labels the ensemble is trained once"
    assert finished.queries["entropy", 0][0].members == [] == finished.queries["random", 0][0].members
    assert len(list(workspace.fits.iterdir())) == 1 + 1 + 5 * 2 + OTHERS


@pytest.mark.parametrize("arm", ["members", "disagreement"])
def test_the_choice_is_that_of_the_members_mean(finished: Finished, workspace: Workspace, arm: str) -> None:
    for query in finished.queries[arm, 0]:
        index_N = before(finished, workspace, query).unlabelled
        probs_KNC = np.stack([calibrated_pool(workspace, key, index_N) for key in query.members])
        score_N = entropy(probs_KNC.mean(axis=0))
        if arm == "disagreement":
            score_N = score_N - entropy(probs_KNC).mean(axis=0)
        best = np.sort(score_N)[::-1][: len(query.indices)]
        np.testing.assert_allclose(query.scores or [], best, atol=1e-6)
        np.testing.assert_allclose(score_N[np.searchsorted(index_N, query.indices)], best, atol=1e-6)
        at = np.searchsorted(index_N, query.indices)
        assert query.predicted == probs_KNC.mean(axis=0)[at].argmax(axis=1).tolist()


def test_the_page_says_how_many_networks_were_asked(finished: Finished) -> None:
    assert ensembles(finished)["Ensembles"].startswith("3 networks, trained on the same labels")
    assert passes(finished)["Monte-Carlo passes"].startswith("3 an image"), "of the arm with dropout alone"
    for key in [key for key in finished.queries if key[0] in ("members", "disagreement")]:
        finished = dataclasses.replace(finished, queries={k: q for k, q in finished.queries.items() if k != key})
    assert ensembles(finished) == {} and passes(finished)


def test_the_seconds_of_members_are_the_arms_cost(finished: Finished) -> None:
    def seconds(key: str) -> float:
        return read(finished.fit_folder(key) / "fit.timing.json", Timing).train

    for r in (1, 2):
        own, members = finished.rounds["members", 0][r].fit, finished.queries["members", 0][r - 1].members
        assert finished.timings["members", 0, r].train == pytest.approx(sum(map(seconds, [own, *members[1:]])))
        assert finished.timings["entropy", 0, r].train == seconds(finished.rounds["entropy", 0][r].fit)
    assert finished.timings["members", 0, 0].train == seconds(finished.rounds["members", 0][0].fit)


def test_a_plan_counts_members_and_a_stopped_run_trains_none_again(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = opened(tmp_path)
    shared, _ = phases(workspace)
    assert [str(job) for job in shared][1:] == [
        "seed set (cross_entropy) seed 0",
        "seed set (cross_entropy, member 1) seed 0",
        "seed set (cross_entropy, member 2) seed 0",
    ]
    n, counts, whole = (
        len(workspace.train_index),
        label_counts(workspace.settings.budget, len(workspace.train_index)),
        plan(workspace),
    )
    assert (whole.fits, whole.queries) == (2 + 5 * 2 + OTHERS, 4 * 2)
    assert (
        sum(step.trained for step in whole.steps) == n + 3 * counts[0] + 5 * (counts[1] + counts[2]) + 2 * 2 * counts[1]
    )
    budget = workspace.settings.budget.model_copy(update={"rounds": 0})
    nobody_asks = dataclasses.replace(workspace, settings=workspace.settings.model_copy(update={"budget": budget}))
    assert plan(nobody_asks).fits == 2

    class Killed(BaseException):
        pass

    trained: list[str] = []
    fit = fits.fit

    def counted(*given: object) -> object:
        if len(trained) == 15:  # in the second query of the first ensemble arm
            trained.append("killed")
            raise Killed
        trained.append(str(given[-1]))
        return fit(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(fits, "fit", counted)
    with pytest.raises(Killed):
        run_all(workspace, lambda text: None)
    assert plan(workspace).fits < whole.fits
    run_all(workspace, lambda text: None)
    assert not plan(workspace) and len(trained) == whole.fits + 1
    assert science_files(workspace.folder) == science_files(finished.folder)


def test_seeds_of_members() -> None:
    assert member_seed(7, 0) == 7
    seeds = [member_seed(seed, m) for seed in range(20) for m in range(5)]
    assert len(set(seeds)) == len(seeds) and max(seeds) < 2**63


@pytest.mark.parametrize("text", ["scoring.members=1", "scoring.members=0", "scoring.members=2.5"])
def test_an_ensemble_has_two_members_or_more(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"scoring\.members"):
        opened(tmp_path, text)


def test_temperatures_are_those_of_each_networks_validation_images(finished: Finished, workspace: Workspace) -> None:
    for (arm, _), queries in finished.queries.items():
        for query, record in zip(queries, finished.rounds[arm, 0], strict=False):
            asked = query.members or ([] if arm == "random" else [record.fit])
            assert query.temperatures == [temperature(workspace, fit_of(workspace, key)) for key in asked]
            assert all(t != 1 for t in query.temperatures)


def test_a_query_says_how_much_of_it_the_temperature_changed(finished: Finished, workspace: Workspace) -> None:
    for query, record in zip(finished.queries["entropy", 0], finished.rounds["entropy", 0], strict=False):
        pool = before(finished, workspace, query)
        probs_NC = calibrated_pool(workspace, record.fit, pool.unlabelled)
        at = np.searchsorted(pool.unlabelled, query.indices)
        np.testing.assert_allclose(query.scores or [], entropy(probs_NC)[at], atol=1e-6)
        off = workspace.settings.scoring.model_copy(update={"temperature": "off"})
        settings = workspace.settings.model_copy(update={"scoring": off})
        plain = dataclasses.replace(workspace, settings=settings)
        fit = fit_of(workspace, record.fit)
        scoring = PoolScoring(plain, strategies.get("entropy"), pool, 0, query.round, ThisProcess())
        statistics = scoring.statistics([fit])
        assert statistics.temperatures == [] and scoring.count == 5
        chosen = select("entropy", statistics, 5, rng(0, "select", query.round)).indices
        assert query.same_batch == len(set(chosen) & set(query.indices)) / 5
    assert {q.same_batch for arm in ("random", "passes", "members") for q in finished.queries[arm, 0]} == {None}
