"""The statistics of a pool of an experiment: here at once or, with the engine `ray` and a large pool, in shards.

A shard begins where a batch begins, so each image meets the same neighbours and gets the same bits either way.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from scipy.stats import spearmanr
from torch import nn

from al_cxr.core.seeds import rng
from al_cxr.evaluation.calibration import fit_temperature
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.workspace import Workspace
from al_cxr.sampling.engine import Batch, Sampling, engine
from al_cxr.sampling.passes import monte_carlo, race_over, sampler_of
from al_cxr.sampling.race import Racing
from al_cxr.sampling.scores import SCORES
from al_cxr.sampling.scoring import penultimate, score_images
from al_cxr.strategies import Strategy
from al_cxr.strategies.pool import Pool
from al_cxr.strategies.statistics import PoolStatistics, member_statistics
from al_cxr.training.runtime import DTYPES

COMPARED = 256
"""Images on which head and full scope are compared."""

T = TypeVar("T")
Work = Callable[[Workspace, nn.Module, np.ndarray], T]
"""What is done with one shard, given the workspace, the network and the shard's indices; it has to be picklable."""


def shards(index_N: np.ndarray, size: int, batch: int = 1) -> list[np.ndarray]:
    """Consecutive parts of `size` images, rounded up to whole batches; the last has what is left."""
    if size < 1 or batch < 1:
        raise ValueError(f"shards of {size} images in batches of {batch} make no sense")
    size = -(-size // batch) * batch
    return [index_N[start : start + size] for start in range(0, len(index_N), size)]


def score_part(
    workspace: Workspace, model: nn.Module, index_N: np.ndarray, needs: frozenset[str], how: Sampling
) -> PoolStatistics:
    """What a strategy needs of these images, by themselves."""
    return score_images(model, index_N, _batches(workspace), needs, how)


def sample_part(
    workspace: Workspace, model: nn.Module, index_N: np.ndarray, how: Sampling, passes: range
) -> tuple[np.ndarray, np.ndarray]:
    """Some passes over these images: (indices (B,), probabilities (B, S, C))."""
    batches = _batches(workspace)
    with engine(model, next(iter(batches(index_N[:2])))[1], how) as sampled:
        groups = list(sampler_of(sampled, batches, how.temperature)(index_N, passes))
    return np.concatenate([index_B for index_B, _ in groups]), np.concatenate([probs for _, probs in groups])


def score_unlabelled(
    workspace: Workspace, fits: Sequence[Fit], pool: Pool, strategy: Strategy, n: int, seed: int, round: int
) -> PoolStatistics:
    """What a strategy needs of the unlabelled images to choose n; the features of the labelled images beside.

    `fits` are the round's own model and, where the strategy needs an ensemble, the other members. Idle workers of Ray
    help where the pool is larger than `machine.ray.shard`. Errors as of `scoring.score_images`.
    """
    calibrated = workspace.settings.scoring.temperature == "validation" and bool(strategy.needs - {"features"})
    temperatures = [temperature_of(workspace, fit) for fit in fits] if calibrated else []
    plain = sampling_of(workspace, seed, round)
    hows = [dataclasses.replace(plain, temperature=t) for t in temperatures or [1.0] * len(fits)]
    if "ensemble" in strategy.needs:
        statistics = _of_ensemble(workspace, fits, pool, hows)
    else:
        (fit,), (how,), index_N = fits, hows, pool.unlabelled
        model, agreement = fit.part_for(workspace.loader, workspace.runtime), None
        if how.head and strategy.needs & {"mc", "votes"}:
            some = rng(seed, "agreement", round).permutation(index_N)[:COMPARED]
            agreement = head_agreement(model, some, _batches(workspace), how)
        statistics = _scored(workspace, fit, model, pool, strategy.needs, how, racing_of(workspace, strategy, n))
        statistics = dataclasses.replace(statistics, head_agreement=agreement)
    return dataclasses.replace(statistics, temperatures=temperatures)


def temperature_of(workspace: Workspace, fit: Fit) -> float:
    """What calibrates a model on its own validation predictions: those of the network without dropout."""
    index_M, probs_MC = fit.predictions("val")
    return fit_temperature(probs_MC, workspace.dataset.labels_N[index_M]).value


def _of_ensemble(workspace: Workspace, fits: Sequence[Fit], pool: Pool, hows: Sequence[Sampling]) -> PoolStatistics:
    """What the members say of the pool, each network by itself and then together."""
    probs_KNC = []
    for fit, how in zip(fits, hows, strict=True):
        model = fit.part_for(workspace.loader, workspace.runtime)
        alone = _scored(workspace, fit, model, pool, frozenset({"probs"}), how)
        assert alone.probs_NC is not None
        probs_KNC.append(alone.probs_NC)
    return dataclasses.replace(member_statistics(pool.unlabelled, probs_KNC), passes=0)


def _scored(
    workspace: Workspace,
    fit: Fit,
    model: nn.Module,
    pool: Pool,
    needs: frozenset[str],
    how: Sampling,
    racing: Racing | None = None,
) -> PoolStatistics:
    index_N, batches = pool.unlabelled, _batches(workspace)
    size = workspace.settings.machine.ray.shard if workspace.settings.machine.engine == "ray" else len(index_N)
    if len(index_N) <= size:
        return score_images(model, index_N, batches, needs, how, racing=racing, labelled_M=pool.labelled)

    from al_cxr.experiment.engines import ray as ray_engine  # an optional extra

    def spread(work: Work[T], index: np.ndarray) -> list[T]:
        parts = shards(index, size, workspace.runtime.score_batch)
        return ray_engine.over_shards(workspace, fit, model, parts, work)

    if racing is None:
        work = functools.partial(score_part, needs=needs, how=how)
        statistics = PoolStatistics.join(spread(work, index_N))
    else:

        def sample(index: np.ndarray, passes: range) -> list[tuple[np.ndarray, np.ndarray]]:
            return spread(functools.partial(sample_part, how=how, passes=passes), index)

        statistics = race_over(model, index_N, batches, how, racing, sample)
    if "features" in needs and len(pool.labelled):
        features_MK = penultimate(model, batches(pool.labelled))
        statistics = dataclasses.replace(statistics, labelled_features_MK=features_MK)
    return statistics


def head_agreement(
    model: nn.Module, index_N: np.ndarray, batches: Callable[[np.ndarray], Iterator[Batch]], how: Sampling
) -> float:
    """Spearman's rank correlation of the entropies with the head sampled and with all random sites sampled."""
    entropies = [
        monte_carlo(model, batches(index_N), dataclasses.replace(how, head=head)).predictive_entropy_N
        for head in (True, False)
    ]
    return float(spearmanr(*entropies).statistic)


def sampling_of(workspace: Workspace, seed: int, round: int) -> Sampling:
    """The sampled networks of a round, as the settings want them."""
    s = workspace.settings.scoring
    dtype = DTYPES[workspace.runtime.score_precision]
    return Sampling(s.passes, seed, round, head=s.scope == "head", stratified=s.masks == "stratified", dtype=dtype)


def racing_of(workspace: Workspace, strategy: Strategy, n: int) -> Racing | None:
    """The race for the n best of a strategy; None where it has to see all passes of all images."""
    s = workspace.settings.scoring
    if s.race == "off" or strategy.race is None:
        return None
    target = workspace.dataset.class_index(workspace.settings.data.target)
    limit = s.race_limit if s.race == "budget" else None
    return Racing(n, SCORES[strategy.race](target), s.race_error, limit)


def _batches(workspace: Workspace) -> Callable[[np.ndarray], Iterator[Batch]]:
    return lambda index: workspace.loader.batches(index, workspace.runtime.score_batch)
