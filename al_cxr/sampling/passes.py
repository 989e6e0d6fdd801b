"""Monte-Carlo passes over a pool of radiographs, as statistics an image. Streamed: see al_cxr.sampling.moments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import numpy as np
import torch
from torch import nn

from al_cxr.core.errors import UserError
from al_cxr.sampling.engine import Batch, Engine, Sampling, engine, probabilities
from al_cxr.sampling.moments import PassMoments
from al_cxr.sampling.race import Race, Racing
from al_cxr.strategies.statistics import PoolStatistics

PEEKED = 2
"""Images that a network is looked at with before a race."""
VOTES_BYTES = 2 * 2**30
"""Largest array of single-pass probabilities that is kept for the strategies that need them."""


def monte_carlo(model: nn.Module, batches: Iterable[Batch], how: Sampling, *, votes: bool = False) -> PoolStatistics:
    """Statistics over the sampled networks, in the order of the batches.

    One mask a pass for all images (al_cxr.sampling.masks), so an image's numbers do not depend on the batches. `votes`
    keeps each pass's probabilities too (float32, at most 2 GiB).

    Raises NoRandomSite or SamplingError where passes would not be what they are said to be, and UserError for NaN.
    """
    first, batches = peeked(batches, how.passes)
    parts: list[PoolStatistics] = []
    bytes_of_votes = 0
    with engine(model, first[1], how) as sampled:
        described = {"passes": how.passes, "sites": [str(site) for site in sampled.sites], "sampling": sampled.note}
        for index_B, logits in sampled.run(batches, range(how.passes)):
            rows_B, moments, single = torch.arange(len(index_B)), None, []
            for logits_BC in logits:
                moments = moments or PassMoments(len(index_B), logits_BC.shape[1], logits_BC.device)
                probs_BC = probabilities(logits_BC, how.temperature)
                moments.add(rows_B.to(logits_BC.device), probs_BC[:, None])
                if votes:
                    single.append(probs_BC.to(torch.float32).cpu().numpy())
                    bytes_of_votes += single[-1].nbytes
                    _require_room(bytes_of_votes)
            assert moments is not None
            kept = np.stack(single, axis=1) if votes else None
            index_B = np.asarray(index_B, np.int64)
            parts.append(
                PoolStatistics(index_N=index_B, pass_probs_NTC=kept, **described, **moments.statistics())  # type: ignore[arg-type]
            )
    joined = PoolStatistics.join(parts)
    assert joined.mean_probs_NC is not None
    require_finite(joined.mean_probs_NC)
    return joined


Sample = Callable[[np.ndarray, range], Iterable[tuple[np.ndarray, np.ndarray]]]
"""Absolute indices and passes -> (indices (B,), probabilities (B, S, C) float64), group by group."""


def raced(sample: Sample, index_N: np.ndarray, classes: int, how: Sampling, racing: Racing) -> PoolStatistics:
    """Statistics of which each image has as many passes as the choice of the top k needs (`passes_N`).

    `sample` computes the passes; who does, and in which groups, does not matter. Raises UserError for NaN.
    """
    position = {index: at for at, index in enumerate(index_N.tolist())}
    race = Race(len(index_N), classes, how.passes, racing)
    while len(race.contested):
        for index_B, probs_BSC in sample(index_N[race.contested], race.stage):
            require_finite(probs_BSC.reshape(len(index_B), -1))
            race.add(np.array([position[i] for i in index_B.tolist()]), probs_BSC)
        race.decide()
    return PoolStatistics(index_N=index_N, passes=how.passes, passes_N=race.passes_N, **race.moments.statistics())


def unraced(sample: Sample, index_N: np.ndarray, classes: int, how: Sampling, racing: Racing) -> PoolStatistics:
    """The same with all T passes for every image."""
    position = {index: at for at, index in enumerate(index_N.tolist())}
    moments = PassMoments(len(index_N), classes)
    for index_B, probs_BSC in sample(index_N, range(how.passes)):
        require_finite(probs_BSC.reshape(len(index_B), -1))
        rows_B = torch.tensor([position[i] for i in index_B.tolist()])
        moments.add(rows_B, torch.from_numpy(np.array(probs_BSC)))  # a copy: another process's is read-only
    return PoolStatistics(index_N=index_N, passes=how.passes, **moments.statistics())


def race_over(
    model: nn.Module,
    index_N: np.ndarray,
    batches: Callable[[np.ndarray], Iterable[Batch]],
    how: Sampling,
    racing: Racing,
    sample: Sample | None = None,
) -> PoolStatistics:
    """`raced`, with the passes computed here or, where given, by `sample`; errors as of `monte_carlo`.

    Where passes are nearly free beside the network's deterministic part there is no race, and all images get T.
    """
    first, _ = peeked(batches(index_N[:PEEKED]), how.passes)
    with engine(model, first[1], how) as sampled:
        run = raced if sampled.worth_racing(first[1], how.passes) else unraced
        statistics = run(sample or sampler_of(sampled, batches, how.temperature), index_N, sampled.classes, how, racing)
    return dataclasses.replace(statistics, sites=[str(site) for site in sampled.sites], sampling=sampled.note)


def sampler_of(sampled: Engine, batches: Callable[[np.ndarray], Iterable[Batch]], temperature: float = 1.0) -> Sample:
    """The passes of an engine, computed here."""

    def sample(index_N: np.ndarray, passes: range) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for index_B, logits in sampled.run(batches(index_N), passes):
            probs_BSC = torch.stack([probabilities(one, temperature) for one in logits], dim=1)
            yield index_B, probs_BSC.cpu().numpy()

    return sample


def _require_room(size: int) -> None:
    if size > VOTES_BYTES:
        raise UserError(
            f"the single-pass probabilities of this pool do not fit {VOTES_BYTES / 2**30:g} GiB; "
            "lower scoring.passes, or choose a strategy that needs only their statistics, such as bald"
        )


def peeked(batches: Iterable[Batch], passes: int) -> tuple[Batch, Iterator[Batch]]:
    """The first batch, and all of them; ValueError where there is none, or too few passes to have statistics."""
    if passes < 2:
        raise ValueError(f"{passes} passes have no statistics; at least 2")
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise ValueError("no images to score")
    return first, chain([first], iterator)


def require_finite(array_NC: np.ndarray, what: str = "probabilities") -> None:
    """UserError where a row holds NaN or infinity."""
    bad = int((~np.isfinite(array_NC).all(axis=1)).sum())
    if bad:
        raise UserError(
            f"the {what} of {bad} of {len(array_NC)} images are NaN or infinite; the training has probably diverged: "
            "lower train.lr, set train.clip_norm, or use machine.precision fp32"
        )
