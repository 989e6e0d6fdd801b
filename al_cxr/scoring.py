"""From a pool of radiographs to a few numbers an image: predictions, and the statistics of Monte-Carlo passes.

Everything is streamed: of T passes over N images only sums are kept, in float64, never an array of N x T x C
(unless a strategy asks for the votes themselves). Entropies are in nats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from al_cxr.errors import UserError
from al_cxr.statistics import PoolStatistics, entropy
from al_cxr.stochastic import evaluation, find_sites, refusing_randomness, sampling

Batch = tuple[np.ndarray, Tensor]
"""Absolute indices (B,) and their normalised images (B, channels, S, S) on the device of the model."""

VOTES_BYTES = 2 * 2**30
"""Largest array of single-pass probabilities that is kept for the strategies that need them."""


class PassAccumulator:
    """Statistics over passes of one batch: feed the logits of each pass, in any precision; only sums are kept."""

    def __init__(self) -> None:
        self.passes = 0
        self._mean_BC: Tensor = torch.zeros(())
        self._squares_BC: Tensor = torch.zeros(())
        self._votes_BC: Tensor = torch.zeros(())
        self._entropy_B: Tensor = torch.zeros(())

    def add(self, logits_BC: Tensor) -> Tensor:
        """One pass more; returns its probabilities (B, C) in float64."""
        p = torch.softmax(logits_BC.to(torch.float64), dim=-1)
        if self.passes == 0:
            self._mean_BC, self._squares_BC, self._votes_BC = (torch.zeros_like(p) for _ in range(3))
            self._entropy_B = torch.zeros_like(p[:, 0])
        self.passes += 1
        # Welford's update: no difference of two large sums.
        delta = p - self._mean_BC
        self._mean_BC += delta / self.passes
        self._squares_BC += delta * (p - self._mean_BC)
        self._votes_BC.scatter_add_(1, p.argmax(dim=1, keepdim=True), torch.ones_like(p[:, :1]))
        self._entropy_B += torch.special.entr(p).sum(dim=1)
        return p

    def statistics(self) -> dict[str, np.ndarray]:
        """Fields of PoolStatistics for this batch, float64; NaN where a logit was not finite."""
        mean_BC = self._mean_BC.cpu().numpy()
        predictive_B, expected_B = entropy(mean_BC), self._entropy_B.cpu().numpy() / self.passes
        return {
            "mean_probs_NC": mean_BC,
            "predictive_entropy_N": predictive_B,
            "expected_entropy_N": expected_B,
            "mutual_information_N": np.maximum(predictive_B - expected_B, 0.0),
            "variation_ratio_N": 1 - self._votes_BC.cpu().numpy().max(axis=1) / self.passes,
            "mean_std_N": (self._squares_BC / self.passes).sqrt().mean(dim=1).cpu().numpy(),
        }


def predict(model: nn.Module, batches: Iterable[Batch]) -> np.ndarray:
    """Softmax probabilities (N, C), float64, of the network in eval mode, in the order of the batches.

    Raises UserError where the network is random even in eval mode or where a probability is NaN or infinite.
    """
    with evaluation(model):
        parts = [
            torch.softmax(_logits(model(images), images).to(torch.float64), dim=-1).cpu().numpy()
            for images in _watched(model, batches)
        ]
    probs_NC = _joined(parts)
    _require_finite(probs_NC)
    return probs_NC


def monte_carlo(
    model: nn.Module, batches: Iterable[Batch], passes: int, seed: int, round: int, *, votes: bool = False
) -> PoolStatistics:
    """Statistics over T = `passes` sampled networks, in the order of the batches.

    All sites of the network are sampled, one mask a pass for all images (al_cxr.stochastic), so an image's numbers do
    not depend on the batches. `votes` keeps each pass's probabilities too (float32, at most 2 GiB).

    Raises NoRandomSite or SamplingError where passes would not be what they are said to be, and UserError for NaN.
    """
    if passes < 2:
        raise ValueError(f"{passes} passes have no statistics; at least 2")
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise ValueError("no images to score")
    sites = find_sites(model, first[1])
    index: list[np.ndarray] = []
    parts: list[dict[str, np.ndarray]] = []
    kept: list[np.ndarray] = []
    with sampling(model, sites, seed=seed, round=round) as sampler:
        _logits(sampler.run(first[1], 0), first[1])
        sampler.verify(first[1], passes)
        for index_B, images in chain([first], iterator):
            accumulator = PassAccumulator()
            single = []
            for t in range(passes):
                probs_BC = accumulator.add(_logits(sampler.run(images, t), images))
                if votes:
                    single.append(probs_BC.to(torch.float32).cpu().numpy())
            if votes:
                kept.append(np.stack(single, axis=1))
                if sum(k.nbytes for k in kept) > VOTES_BYTES:
                    raise UserError(
                        f"the single-pass probabilities of this pool do not fit {VOTES_BYTES / 2**30:g} GiB; "
                        "lower scoring.passes, or choose a strategy that needs only their statistics, such as bald"
                    )
            index.append(np.asarray(index_B, np.int64))
            parts.append(accumulator.statistics())
    joined = {name: _joined([part[name] for part in parts]) for name in parts[0]}
    _require_finite(joined["mean_probs_NC"])
    return PoolStatistics(
        index_N=_joined(index),
        pass_probs_NTC=_joined(kept) if votes else None,
        passes=passes,
        sites=[str(site) for site in sites],
        **joined,
    )


def penultimate(model: nn.Module, batches: Iterable[Batch]) -> np.ndarray:
    """Features (N, K), float32: the input of the last nn.Linear that the network executes, in eval mode."""
    seen: list[Tensor] = []
    hooks = [
        module.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
        for module in model.modules()
        if isinstance(module, nn.Linear)
    ]
    parts: list[np.ndarray] = []
    try:
        with evaluation(model):
            for images in _watched(model, batches):
                seen.clear()
                model(images)
                if not seen or seen[-1].shape[:-1] != (len(images),):
                    raise UserError(
                        f"{type(model).__name__} does not end in an nn.Linear with one row of features an image, so it "
                        "has no penultimate features; choose a strategy without features"
                    )
                parts.append(seen[-1].to(torch.float32).cpu().numpy())
    finally:
        for hook in hooks:
            hook.remove()
    features_NK = _joined(parts)
    _require_finite(features_NK, "features")
    return features_NK


def score_pool(
    model: nn.Module,
    index_N: np.ndarray,
    batches: Callable[[np.ndarray], Iterable[Batch]],
    needs: Collection[str],
    *,
    passes: int,
    seed: int,
    round: int,
    labelled_M: np.ndarray | None = None,
) -> PoolStatistics:
    """Just what a strategy needs ("probs", "mc", "votes", "features") of the images `index_N`, in that order.

    `batches(indices)` gives batches of those images in their order; it is not called where nothing is needed, so
    a cheap arm touches no pixel. `labelled_M` are the labelled images whose features are wanted beside.
    """
    index_N = np.asarray(index_N, np.int64)
    statistics = PoolStatistics(index_N=index_N)
    if "mc" in needs or "votes" in needs:
        statistics = monte_carlo(model, batches(index_N), passes, seed, round, votes="votes" in needs)
        if not np.array_equal(statistics.index_N, index_N):
            raise ValueError("the batches do not hold the images of the pool in their order")
    if "probs" in needs:
        statistics = dataclasses.replace(statistics, probs_NC=predict(model, batches(index_N)))
    if "features" in needs:
        statistics = dataclasses.replace(statistics, features_NK=penultimate(model, batches(index_N)))
        if labelled_M is not None and len(labelled_M):
            labelled = penultimate(model, batches(np.asarray(labelled_M, np.int64)))
            statistics = dataclasses.replace(statistics, labelled_features_MK=labelled)
    return statistics


def _watched(model: nn.Module, batches: Iterable[Batch]) -> Iterator[Tensor]:
    """The images of each batch; before the first goes on, one of its images shows that eval mode is not random."""
    for i, (_, images) in enumerate(batches):
        images = images.clone() if images.is_inference() else images
        if i == 0:
            with refusing_randomness(model):
                model(images[:1])
        yield images


def _logits(output: object, images: Tensor) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(images):
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(f"the network gave {shape} for {len(images)} images; logits (images, classes) are expected")
    return output


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    if not parts:
        raise ValueError("no images to score")
    return np.concatenate(parts)


def _require_finite(array_NC: np.ndarray, what: str = "probabilities") -> None:
    bad = int((~np.isfinite(array_NC).all(axis=1)).sum())
    if bad:
        raise UserError(
            f"the {what} of {bad} of {len(array_NC)} images are NaN or infinite; the training has probably diverged: "
            "lower train.lr, set train.clip_norm, or use machine.precision fp32"
        )
