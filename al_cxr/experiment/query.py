"""One query of an arm: which of the unlabelled images its strategy chooses, and what is written down of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from al_cxr import strategies
from al_cxr.core.records import QueryRecord
from al_cxr.core.seeds import rng
from al_cxr.evaluation.calibration import apply_temperature
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.pool_scoring import PoolScoring
from al_cxr.strategies import Strategy, stopping
from al_cxr.strategies.statistics import PoolStatistics


def choose(scoring: PoolScoring, arm: str, fits: Sequence[Fit]) -> QueryRecord:
    """What the strategy of an arm wants to have labelled next, by what the networks say of the pool."""
    workspace, strategy, pool, number = scoring.workspace, scoring.strategy, scoring.pool, scoring.round
    settings, dataset = workspace.settings, workspace.dataset
    statistics = dataclasses.replace(
        scoring.statistics(fits),
        labelled_labels_M=dataset.labels_N[pool.labelled],
        target=dataset.class_index(settings.data.target),
        round=number,
        rounds=settings.budget.rounds,
    )
    selection = strategies.select(strategy, statistics, scoring.count, rng(scoring.seed, "select", number))
    chosen = selection.indices
    probs_NC = statistics.mean_probs_NC if statistics.probs_NC is None else statistics.probs_NC
    at = np.searchsorted(statistics.index_N, chosen)
    return QueryRecord(
        arm=arm,
        seed=scoring.seed,
        round=number,
        strategy=settings.arms[arm].acquisition,
        pool=len(pool.unlabelled),
        passes=statistics.passes,
        mean_passes=None if statistics.passes_N is None else float(statistics.passes_N.mean()),
        sampling=statistics.sampling,
        head_agreement=statistics.head_agreement,
        temperatures=list(statistics.temperatures),
        same_batch=_same_batch(strategy, statistics, chosen, rng(scoring.seed, "select", number)),
        members=[member.record.key for member in fits] if len(fits) > 1 else [],
        random_sites=list(statistics.sites),
        indices=chosen.tolist(),
        names=[dataset.images.name(int(i)) for i in chosen],
        scores=None if selection.scores is None else [float(s) for s in selection.scores],
        unit=selection.unit,
        uncertainty=stopping.pool_uncertainty(statistics),
        predicted=None if probs_NC is None else probs_NC[at].argmax(axis=1).tolist(),
    )


def _same_batch(
    strategy: Strategy, statistics: PoolStatistics, chosen: np.ndarray, generator: np.random.Generator
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
