"""The statistics of a pool of an experiment: of each unlabelled image what a strategy needs to know of it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.stats import spearmanr
from torch import nn

from al_cxr.config import Scoring
from al_cxr.core.seeds import rng
from al_cxr.evaluation.calibration import fit_temperature
from al_cxr.experiment.executor import Executor, Network
from al_cxr.experiment.fits import Fit
from al_cxr.experiment.workspace import Workspace
from al_cxr.sampling.engine import Batch, Sampling, engine
from al_cxr.sampling.passes import monte_carlo, race_over, sampler_of
from al_cxr.sampling.race import Racing
from al_cxr.sampling.scores import SCORES
from al_cxr.sampling.scoring import penultimate, score_images
from al_cxr.strategies import Strategy
from al_cxr.strategies.budget import query_size
from al_cxr.strategies.pool import Pool
from al_cxr.strategies.statistics import PoolStatistics, member_statistics
from al_cxr.training.runtime import DTYPES

COMPARED = 256
"""Images on which head and full scope are compared."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class PoolScoring:
    """One scoring of the unlabelled images of a pool, for a strategy that will choose `count` of them."""

    workspace: Workspace
    strategy: Strategy
    pool: Pool
    seed: int
    round: int
    executor: Executor

    @property
    def count(self) -> int:
        """How many images the strategy will choose."""
        budget, train = self.workspace.settings.budget, self.workspace.train_index
        return query_size(budget, len(train), len(self.pool.unlabelled))

    def statistics(self, fits: Sequence[Fit]) -> PoolStatistics:
        """What the strategy needs of the unlabelled images; the features of the labelled images beside.

        `fits` are the round's own model and, where the strategy needs an ensemble, the other members. Nothing is
        computed for a strategy that looks at nothing. Errors as of `al_cxr.sampling.scoring.score_images`.
        """
        needs, index_N = self.strategy.needs, self.pool.unlabelled
        if not needs:
            return PoolStatistics(index_N)
        workspace = self.workspace
        calibrated = workspace.settings.scoring.temperature == "validation" and bool(needs - {"features"})
        temperatures = [temperature_of(fit, workspace.dataset.labels_N) for fit in fits] if calibrated else []
        plain = sampling_of(workspace.settings.scoring, workspace.runtime.score_precision, self.seed, self.round)
        hows = [dataclasses.replace(plain, temperature=t) for t in temperatures or [1.0] * len(fits)]
        if "ensemble" in needs:
            statistics = self._of_ensemble(fits, hows)
        else:
            (fit,), (how,) = fits, hows
            network = Network(fit, fit.part_for(workspace.loader, workspace.runtime))
            agreement = self._head_agreement(network.part, how) if how.head and needs & {"mc", "votes"} else None
            statistics = self._of_network(network, needs, how, self._racing())
            statistics = dataclasses.replace(statistics, head_agreement=agreement)
        return dataclasses.replace(statistics, temperatures=temperatures)

    def _of_ensemble(self, members: Sequence[Fit], hows: Sequence[Sampling]) -> PoolStatistics:
        """What the members say of the pool, each network by itself and then together."""
        probs_KNC = []
        for fit, how in zip(members, hows, strict=True):
            member = Network(fit, fit.part_for(self.workspace.loader, self.workspace.runtime))
            alone = self._of_network(member, frozenset({"probs"}), how)
            assert alone.probs_NC is not None
            probs_KNC.append(alone.probs_NC)
        return dataclasses.replace(member_statistics(self.pool.unlabelled, probs_KNC), passes=0)

    def _of_network(
        self, network: Network, needs: frozenset[str], how: Sampling, racing: Racing | None = None
    ) -> PoolStatistics:
        """What one network says of the pool; where the executor cuts it into several shards, joined."""
        pool, batches = self.pool, functools.partial(batches_of, self.workspace)
        shards = self.executor.shards(pool.unlabelled, self.workspace.runtime.score_batch)
        if len(shards) <= 1:
            return score_images(
                network.part, pool.unlabelled, batches, needs, how, racing=racing, labelled_M=pool.labelled
            )
        if racing is None:
            work = functools.partial(score_shard, needs=needs, how=how)
            statistics = PoolStatistics.join(self.executor.map_shards(self.workspace, network, shards, work))
        else:

            def sample(index_M: np.ndarray, passes: range) -> list[tuple[np.ndarray, np.ndarray]]:
                parts = self.executor.shards(index_M, self.workspace.runtime.score_batch)
                work = functools.partial(sample_shard, how=how, passes=passes)
                return self.executor.map_shards(self.workspace, network, parts, work)

            statistics = race_over(network.part, pool.unlabelled, batches, how, racing, sample)
        if "features" in needs and len(pool.labelled):
            features_MK = penultimate(network.part, batches(pool.labelled))
            statistics = dataclasses.replace(statistics, labelled_features_MK=features_MK)
        return statistics

    def _racing(self) -> Racing | None:
        """The race for the images that will be chosen; None where the strategy has to see all passes of all images."""
        scoring, target = self.workspace.settings.scoring, self.workspace.settings.data.target
        if scoring.race == "off" or self.strategy.race is None:
            return None
        score = SCORES[self.strategy.race](self.workspace.dataset.class_index(target))
        limit = scoring.race_limit if scoring.race == "budget" else None
        return Racing(self.count, score, scoring.race_error, limit)

    def _head_agreement(self, model: nn.Module, how: Sampling) -> float:
        """Spearman's rank correlation, over some of the images, of the entropies with the head sampled and with all
        random sites sampled."""
        some = rng(self.seed, "agreement", self.round).permutation(self.pool.unlabelled)[:COMPARED]
        entropies = [
            monte_carlo(model, batches_of(self.workspace, some), dataclasses.replace(how, head=head))
            for head in (True, False)
        ]
        return float(spearmanr(*(one.predictive_entropy_N for one in entropies)).statistic)


def sampling_of(scoring: Scoring, precision: str, seed: int, round: int) -> Sampling:
    """The sampled networks of a round, as the settings want them, in the precision of a runtime."""
    head, stratified = scoring.scope == "head", scoring.masks == "stratified"
    return Sampling(scoring.passes, seed, round, head=head, stratified=stratified, dtype=DTYPES[precision])


def temperature_of(fit: Fit, labels_N: np.ndarray) -> float:
    """What calibrates a model on its own validation predictions: those of the network without dropout."""
    index_M, probs_MC = fit.predictions("val")
    return fit_temperature(probs_MC, labels_N[index_M]).value


def score_shard(
    workspace: Workspace, model: nn.Module, index_N: np.ndarray, needs: frozenset[str], how: Sampling
) -> PoolStatistics:
    """What a strategy needs of these images, by themselves."""
    return score_images(model, index_N, functools.partial(batches_of, workspace), needs, how)


def sample_shard(
    workspace: Workspace, model: nn.Module, index_N: np.ndarray, how: Sampling, passes: range
) -> tuple[np.ndarray, np.ndarray]:
    """Some passes over these images: (indices (B,), probabilities (B, S, C))."""
    batches = functools.partial(batches_of, workspace)
    with engine(model, next(batches(index_N[:2]))[1], how) as sampled:
        groups = list(sampler_of(sampled, batches, how.temperature)(index_N, passes))
    return np.concatenate([index_B for index_B, _ in groups]), np.concatenate([probs for _, probs in groups])


def batches_of(workspace: Workspace, index_N: np.ndarray) -> Iterator[Batch]:
    """The batches in which some images are scored."""
    return workspace.loader.batches(index_N, workspace.runtime.score_batch)
