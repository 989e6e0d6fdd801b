"""Scoring a pool of a user's own: any network, any images, no experiment around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from al_cxr.core.errors import UserError
from al_cxr.core.progress import Progress
from al_cxr.sampling.engine import Batch, Sampling, logits, place_of
from al_cxr.sampling.operators import NoRandomSite
from al_cxr.sampling.own_images import OwnImages, own_images
from al_cxr.sampling.passes import monte_carlo
from al_cxr.sampling.scoring import penultimate, predict
from al_cxr.sampling.stochastic import eval_mode
from al_cxr.strategies.statistics import PoolStatistics


def score_pool(
    model: nn.Module,
    images: Tensor | DataLoader[Any],
    passes: int = 20,
    *,
    votes: bool = False,
    features: bool = False,
    labelled: Tensor | DataLoader[Any] | None = None,
    target: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
) -> PoolStatistics:
    """Compute what strategies need to know of a pool of unlabelled images, with any network.

    The network predicts every image once as it is in eval mode, and `passes` times with its dropout on (Monte-Carlo
    dropout). Each pass draws one mask for all images, so the score of an image does not depend on its batch, its
    neighbours or their order. Dropout of every kind counts: modules, functional dropout, between recurrent layers,
    inside attention, stochastic depth. What the masks do not touch is computed once and not in every pass, where the
    network can be traced.

    The network is left as it was: training flags, batch-norm statistics and torch's random state.

    Parameters
    ----------
    model
        Takes a batch of images and returns logits (images, classes) of two or more classes, before any softmax. The
        images go to its device, those of floating point in its floating-point type.
    images
        The pool: a tensor (N, ...), or a DataLoader whose batches are a tensor of images or a tuple or list that begins
        with one, such as (images, labels). A loader may have workers, a sampler that draws a part of its data set, and
        may shuffle: it is read in the order of its data set. The pool is read two times, and once more with `features`;
        random transforms give the same images each time, but a pool is better scored without them.
    passes
        Monte-Carlo passes T, 2 or more; 0 for none, which is enough for strategies such as entropy and margin.
    votes
        Keep the probabilities of each single pass, for strategies such as batchbald (float32, 2 GiB at most).
    features
        Compute the input of the last linear layer too, for strategies such as coreset and badge.
    labelled
        The images that are labelled already, whose features are computed too (implies `features`).
    target
        Position of the class that strategies such as target_entropy are about.
    seed
        Decides the masks: equal seeds give equal scores.
    batch_size
        Images a batch where the pool is a tensor; a loader has its own.

    Returns
    -------
    PoolStatistics
        `index_N` holds the positions of the images in the tensor, or in the data set of the loader, ascending.

    Raises
    ------
    UserError
        Where there are no images, or batches that hold something else; where the network cannot take
        them or gives no logits; where passes
        are asked of a network in which nothing is random (NoRandomSite), or in which the images of a batch influence
        each other; where a probability is not finite.

    References
    ----------
    Gal and Ghahramani 2016, Dropout as a Bayesian approximation, https://arxiv.org/abs/1506.02142.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from torch import nn
    >>> from al_cxr import strategies
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 2))
    >>> statistics = score_pool(model, torch.rand(100, 1, 8, 8), passes=10)
    >>> statistics.passes, statistics.mean_probs_NC.shape
    (10, (100, 2))
    >>> chosen = strategies.select("mc_entropy", statistics, n=5, rng=np.random.default_rng(0))
    >>> len(chosen.indices)
    5
    """
    if passes < 0 or passes == 1:
        raise UserError(f"passes={passes}: give 2 or more, or 0 for predictions alone")
    pool = own_images(images, batch_size)
    others = None if labelled is None else own_images(labelled, batch_size)
    device, dtype = place_of(model)
    count, with_features = len(pool.index_N), features or others is not None
    work = count * (1 + passes + with_features) + (0 if others is None else len(others.index_N))
    of_model = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(of_model), _Scoring(work, f"scoring {count:,} images") as bar:

        def read(these: OwnImages, times: int = 1) -> Iterator[Batch]:
            return _checked(model, these.batches(device, dtype, bar, times))

        statistics = PoolStatistics(pool.index_N)
        if passes:
            try:
                statistics = monte_carlo(model, read(pool, passes), Sampling(passes, seed, 0, dtype=dtype), votes=votes)
            except NoRandomSite:
                raise NoRandomSite(
                    f"nothing in this {type(model).__name__} is random, so Monte-Carlo passes would all be the same; "
                    "give it a dropout above 0, or set passes=0 and choose a strategy without passes, such as entropy"
                ) from None
        statistics = dataclasses.replace(statistics, probs_NC=predict(model, read(pool)), target=target)
        if with_features:
            statistics = dataclasses.replace(statistics, features_NK=penultimate(model, read(pool)))
        if others is not None:
            statistics = dataclasses.replace(statistics, labelled_features_MK=penultimate(model, read(others)))
    return statistics


class _Scoring(Progress):
    """Is silent where it takes less than a minute: who calls a function of a library knows that it began and ended."""

    def __init__(self, work: int, what: str) -> None:
        super().__init__(work, what, "passes", leave=False)

    def first_line(self) -> str:
        return ""

    def last_line(self) -> str:
        return ""


def _checked(model: nn.Module, batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches; UserError where the network gives no logits of two or more classes for images of the first."""
    for number, (index_B, images_B) in enumerate(batches):
        if number == 0:
            _check_logits(model, images_B[:2])
        yield index_B, images_B


def _check_logits(model: nn.Module, images_B: Tensor) -> None:
    what = f"this {type(model).__name__}"
    with eval_mode(model):
        try:
            output = logits(model(images_B), len(images_B))
        except RuntimeError as error:  # of torch, about shapes or types
            raise UserError(
                f"{what} cannot take a batch {tuple(images_B.shape)} of {images_B.dtype}: {error}; give the images the "
                "shape and the type that it was trained on"
            ) from error
    if output.shape[1] < 2:
        raise UserError(
            f"{what} gives one number an image; logits of two or more classes are expected: of a single logit z for "
            "yes or no, return torch.stack([torch.zeros_like(z), z], dim=1)"
        )
    if bool((output >= 0).all()) and torch.allclose(output.sum(dim=1), torch.ones_like(output[:, 0]), atol=1e-3):
        raise UserError(
            f"{what} gives probabilities (its outputs are at least 0 and sum to 1); logits are expected: leave out its "
            "final softmax, or return the logarithm of what it gives"
        )
