"""From a pool of radiographs to a few numbers an image: predictions, and the statistics of Monte-Carlo passes.

Everything is streamed: of T passes over N images only sums are kept, in float64, never an array of N x T x C
(unless a strategy asks for the votes themselves). Entropies are in nats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Set

import numpy as np
import torch
from torch import Tensor, nn

from al_cxr.core.errors import UserError
from al_cxr.sampling.engine import Batch, Sampling, logits, probabilities
from al_cxr.sampling.passes import monte_carlo, race_over, require_finite
from al_cxr.sampling.race import Racing
from al_cxr.sampling.stochastic import eval_mode, refusing_randomness
from al_cxr.strategies.statistics import PoolStatistics


def predict(model: nn.Module, batches: Iterable[Batch], temperature: float = 1.0) -> np.ndarray:
    """Softmax probabilities (N, C), float64, of the network in eval mode, in the order of the batches; its logits are
    divided by the temperature.

    Raises UserError where the network is random even in eval mode or where a probability is NaN or infinite.
    """
    with eval_mode(model):
        parts = [
            probabilities(logits(model(images), len(images)), temperature).cpu().numpy()
            for images in _watched(model, batches)
        ]
    probs_NC = _joined(parts)
    require_finite(probs_NC)
    return probs_NC


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
        with eval_mode(model):
            for images in _watched(model, batches):
                seen.clear()
                model(images)
                if not seen or seen[-1].shape[:-1] != (len(images),):
                    raise UserError(
                        "this strategy compares images by what the network's last linear layer gets to see, and this "
                        "network "
                        f"({type(model).__name__}) does not end in one; choose a strategy of probabilities, e.g. "
                        "entropy"
                    )
                parts.append(seen[-1].to(torch.float32).cpu().numpy())
    finally:
        for hook in hooks:
            hook.remove()
    features_NK = _joined(parts)
    require_finite(features_NK, "features")
    return features_NK


def score_images(
    model: nn.Module,
    index_N: np.ndarray,
    batches: Callable[[np.ndarray], Iterable[Batch]],
    needs: Set[str],
    how: Sampling,
    *,
    racing: Racing | None = None,
    labelled_M: np.ndarray | None = None,
) -> PoolStatistics:
    """Just what a strategy needs ("probs", "mc", "votes", "features") of the images `index_N`, in that order.

    `batches(indices)` gives batches of those images in their order; it is not called where nothing is needed, so
    a cheap arm touches no pixel. `labelled_M` are the labelled images whose features are wanted beside.
    """
    index_N = np.asarray(index_N, np.int64)
    statistics = PoolStatistics(index_N=index_N)
    if racing is not None:
        statistics = race_over(model, index_N, batches, how, racing)
    elif needs & {"mc", "votes"}:
        statistics = monte_carlo(model, batches(index_N), how, votes="votes" in needs)
        if not np.array_equal(statistics.index_N, index_N):
            raise ValueError("the batches do not hold the images of the pool in their order")
    if "probs" in needs:
        statistics = dataclasses.replace(statistics, probs_NC=predict(model, batches(index_N), how.temperature))
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


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    if not parts:
        raise ValueError("no images to score")
    return np.concatenate(parts)
