"""One arm, one seed: train, record, ask for labels, be told, again. Goes on wherever it was stopped."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from al_cxr import strategies
from al_cxr.errors import UserError
from al_cxr.fits import Fit, obtain
from al_cxr.pool import Pool, query_size, seed_set, seed_size
from al_cxr.records import QueryRecord, RoundRecord, Timing, read, write
from al_cxr.scoring import score_pool
from al_cxr.seeds import digest, rng
from al_cxr.statistics import PoolStatistics
from al_cxr.workspace import Workspace

Oracle = Callable[[np.ndarray], np.ndarray]
"""Absolute indices (n,) -> their labels (n,). In a simulation the data set knows them; a person may answer as well."""


def run_arm(workspace: Workspace, arm: str, seed: int, oracle: Oracle, on_round: Callable[[RoundRecord], None]) -> None:
    """Play one arm with one seed to its end and write a record a round.

    What is on disk already is replayed, not computed: rounds and queries are written atomically and in order, so a
    folder that was left at any moment is a prefix of the finished one.
    """
    budget = workspace.settings.budget
    folder = arm_folder(workspace, arm, seed)
    train = workspace.train_index
    pool = Pool(len(workspace.dataset), train, len(workspace.dataset.classes))
    seed_indices = seed_labels(workspace, seed)
    new = pool.ask(len(seed_indices), lambda candidates, count: seed_indices)
    pool.tell(new, oracle(new))
    seed_hash = digest(np.sort(new))
    for number in range(budget.rounds + 1):
        fit, record = _round(workspace, arm, seed, number, pool, new, seed_hash, folder)
        on_round(record)
        if number == budget.rounds or len(pool.unlabelled) == 0:
            return
        new = _query(workspace, arm, seed, number, pool, fit, folder)
        pool.tell(new, oracle(new))


def seed_labels(workspace: Workspace, seed: int) -> np.ndarray:
    """The images that are labelled at the start of a seed, the same for all arms."""
    train = workspace.train_index
    return seed_set(train, seed_size(workspace.settings.budget, len(train)), rng(seed, "seed_set"))


def arm_folder(workspace: Workspace, arm: str, seed: int) -> Path:
    return workspace.folder / "arms" / arm / f"seed-{seed}"


def _round(
    workspace: Workspace, arm: str, seed: int, number: int, pool: Pool, new: np.ndarray, seed_hash: str, folder: Path
) -> tuple[Fit, RoundRecord]:
    """Train on what is labelled and record how the model does."""
    settings = workspace.settings.arms[arm]
    fit = obtain(workspace, settings.loss, seed, pool.labelled, f"{arm} seed {seed} round {number}")
    record = RoundRecord(
        arm=arm,
        strategy=settings.strategy,
        loss=settings.loss,
        seed=seed,
        round=number,
        n_labelled=len(pool.labelled),
        labelled_classes=workspace.labels_by_class(pool.labelled),
        acquired=workspace.labels_by_class(new),
        hashes={
            "seed_set": seed_hash,
            "initial_weights": fit.record.initial_weights_hash,
            "test_set": digest(workspace.dataset.indices("test")),
            "data": workspace.card.fingerprint,
        },
        fit=fit.record.key,
        val=fit.record.val,
        test=fit.record.test,
    )
    path = folder / f"round-{number}.json"
    if not path.exists():
        write(path, record)
    elif read(path, RoundRecord) != record:
        raise UserError(f"{path} is not what these settings, data and code give; delete {folder} to compute it again")
    return fit, record


def _query(workspace: Workspace, arm: str, seed: int, number: int, pool: Pool, fit: Fit, folder: Path) -> np.ndarray:
    """Ask for the next labels: absolute indices in the order chosen."""
    path = folder / f"query-{number}.json"
    if path.exists():
        return np.array(read(path, QueryRecord).indices, dtype=np.int64)
    settings, started = workspace.settings, time.perf_counter()
    strategy = strategies.get(settings.arms[arm].strategy)
    n = query_size(settings.budget, len(workspace.train_index), len(pool.unlabelled))
    if strategy.needs:
        statistics = score_pool(
            fit.model(workspace.runtime),
            pool.unlabelled,
            lambda index: workspace.loader.batches(index, workspace.runtime.score_batch),
            strategy.needs,
            passes=settings.scoring.passes,
            seed=seed,
            round=number,
            labelled_M=pool.labelled,
        )
    else:  # a strategy that looks at nothing costs nothing
        statistics = PoolStatistics(pool.unlabelled)
    statistics = dataclasses.replace(
        statistics,
        labelled_labels_M=workspace.dataset.labels_N[pool.labelled],
        target=workspace.dataset.class_index(settings.data.target),
        round=number,
        rounds=settings.budget.rounds,
    )
    selection = strategies.select(strategy, statistics, n, rng(seed, "select", number))
    # ask() checks that what was chosen may be chosen; a strategy cannot get around it.
    chosen = pool.ask(n, lambda candidates, count: selection.indices)
    write(folder / f"query-{number}.timing.json", Timing(score=time.perf_counter() - started))
    record = QueryRecord(
        arm=arm,
        seed=seed,
        round=number,
        strategy=settings.arms[arm].strategy,
        pool=len(pool.unlabelled),
        passes=statistics.passes,
        random_sites=list(statistics.sites),
        indices=chosen.tolist(),
        names=[workspace.dataset.images.name(int(i)) for i in chosen],
        scores=None if selection.scores is None else [float(s) for s in selection.scores],
        unit=selection.unit,
    )
    write(path, record)
    return chosen
