"""One arm, one seed: train, record, ask for labels, be told, again. Goes on wherever it was stopped."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from al_cxr import strategies
from al_cxr.core.errors import UserError
from al_cxr.core.records import QueryRecord, RoundRecord, StopRecord, Timing, read, write
from al_cxr.core.seeds import digest, loader_hash, masks_hash, rng
from al_cxr.evaluation.calibration import apply_temperature
from al_cxr.experiment.fits import Fit, obtain, obtain_members
from al_cxr.experiment.query import score_unlabelled
from al_cxr.experiment.workspace import Workspace
from al_cxr.strategies import stopping
from al_cxr.strategies.pool import Pool, query_size, seed_set, seed_size
from al_cxr.strategies.statistics import PoolStatistics

STOPPED = "stopped.json"
"""File in the folder of a run that stopped before its budget was spent."""

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
    new = pool.ask(len(seed_indices), _given(seed_indices.tolist()))
    pool.tell(new, oracle(new))
    seed_hash = digest(np.sort(new))
    fits: list[Fit] = []
    uncertainties: list[float | None] = []
    for number in range(budget.rounds + 1):
        fit, record = _round(workspace, arm, seed, number, pool, new, seed_hash, folder)
        fits.append(fit)
        on_round(record)
        if number == budget.rounds or len(pool.unlabelled) == 0:
            return
        if _stops(workspace, folder, fits, [*uncertainties, None]):
            return
        query = _query(workspace, arm, seed, number, pool, fit, folder)
        uncertainties.append(query.uncertainty)
        if _stops(workspace, folder, fits, uncertainties):
            return
        # ask() checks that what was chosen may be chosen; a strategy cannot get around it.
        new = pool.ask(len(query.indices), _given(query.indices))
        pool.tell(new, oracle(new))


def _given(indices: list[int]) -> Callable[[np.ndarray, int], np.ndarray]:
    return lambda candidates, count: np.array(indices, np.int64)


def _stops(workspace: Workspace, folder: Path, fits: list[Fit], uncertainties: list[float | None]) -> bool:
    """Whether the stopping rule says so after the last round; it is written down then."""
    stop, target = workspace.settings.stop, workspace.settings.data.target
    if stop.rule == "budget":
        return False
    history = stopping.History(
        f1=tuple(fit.record.val.of(target).f1 for fit in fits),
        uncertainty=tuple(uncertainties),
        predictions=tuple(fit.predictions("val")[1].argmax(axis=1) for fit in fits),
    )
    reason = stopping.decide(stop.rule, history, **stop.options)
    if reason is not None:
        write(folder / STOPPED, StopRecord(round=len(fits) - 1, reason=reason))
    return reason is not None


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
        strategy=settings.acquisition,
        loss=settings.loss,
        seed=seed,
        round=number,
        n_labelled=len(pool.labelled),
        labelled_classes=workspace.labels_by_class(pool.labelled),
        acquired=workspace.labels_by_class(new),
        hashes={
            "seed_set": seed_hash,
            "initial_weights": fit.record.initial_weights_hash,
            "loader": loader_hash(seed, workspace.settings.train.parts),
            "masks": masks_hash(seed, number, workspace.settings.scoring.passes),
            "test_set": digest(workspace.dataset.indices("test")),
            "data": workspace.card.fingerprint,
        },
        fit=fit.record.key,
        steps=fit.record.steps,
        val=fit.record.val,
        test=fit.record.test,
    )
    path = folder / f"round-{number}.json"
    if not path.exists():
        write(path, record)
    elif read(path, RoundRecord) != record:
        raise UserError(
            f"{path}: these settings, data and code now give another result, so the run cannot go on from it; delete "
            f"{folder} to compute it again, or give this run another --name"
        )
    return fit, record


def _query(workspace: Workspace, arm: str, seed: int, number: int, pool: Pool, fit: Fit, folder: Path) -> QueryRecord:
    """Choose what to label next."""
    path = folder / f"query-{number}.json"
    if path.exists():
        return read(path, QueryRecord)
    settings = workspace.settings
    strategy = strategies.get(settings.arms[arm].strategy, settings.arms[arm].options, f"arms.{arm}")
    fits = [fit]
    if "ensemble" in strategy.needs:
        title = f"{arm} seed {seed} round {number}"
        fits = obtain_members(workspace, settings.arms[arm].loss, seed, pool.labelled, title)
    started = time.perf_counter()
    n = query_size(settings.budget, len(workspace.train_index), len(pool.unlabelled))
    if strategy.needs:
        statistics = score_unlabelled(workspace, fits, pool, strategy, n, seed, number)
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
    chosen = selection.indices
    write(folder / f"query-{number}.timing.json", Timing(score=time.perf_counter() - started))
    probs_NC = statistics.mean_probs_NC if statistics.probs_NC is None else statistics.probs_NC
    at = np.searchsorted(statistics.index_N, chosen)
    record = QueryRecord(
        arm=arm,
        seed=seed,
        round=number,
        strategy=settings.arms[arm].acquisition,
        pool=len(pool.unlabelled),
        passes=statistics.passes,
        mean_passes=None if statistics.passes_N is None else float(statistics.passes_N.mean()),
        sampling=statistics.sampling,
        head_agreement=statistics.head_agreement,
        temperatures=list(statistics.temperatures),
        same_batch=_same_batch(strategy, statistics, chosen, rng(seed, "select", number)),
        members=[member.record.key for member in fits] if len(fits) > 1 else [],
        random_sites=list(statistics.sites),
        indices=chosen.tolist(),
        names=[workspace.dataset.images.name(int(i)) for i in chosen],
        scores=None if selection.scores is None else [float(s) for s in selection.scores],
        unit=selection.unit,
        uncertainty=stopping.pool_uncertainty(statistics),
        predicted=None if probs_NC is None else probs_NC[at].argmax(axis=1).tolist(),
    )
    write(path, record)
    return record


def _same_batch(
    strategy: strategies.Strategy, statistics: PoolStatistics, chosen: np.ndarray, generator: np.random.Generator
) -> float | None:
    """Share (0..1) of a batch that would have been chosen without the temperature too, by the same chance.

    None where there is no temperature or no batch, and where the score is computed from several networks: their mean
    does not tell what each of them said.
    """
    probs_NC = statistics.probs_NC
    if not statistics.temperatures or probs_NC is None or strategy.needs - {"probs", "features"} or not len(chosen):
        return None
    as_trained = apply_temperature(probs_NC, 1 / statistics.temperatures[0])
    other = strategies.select(strategy, dataclasses.replace(statistics, probs_NC=as_trained), len(chosen), generator)
    return len(np.intersect1d(chosen, other.indices)) / len(chosen)
