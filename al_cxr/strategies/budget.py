"""How many labels a budget asks for: at the start, in each round, and what a training set cannot give."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from al_cxr.config import Budget
from al_cxr.core.errors import UserError


def seed_set(train_indices: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """The images labelled at the start: n (at most all) uniformly at random, ascending; no label is looked at."""
    train = np.sort(np.asarray(train_indices, np.int64))
    return np.sort(rng.permutation(train)[:n])


def seed_size(budget: Budget, train: int) -> int:
    """Labels at the start for a training set of `train` images: at least 1, at most all."""
    if budget.seed > 1 and budget.seed != int(budget.seed):
        raise UserError(
            f"budget.seed: must be a share of the images (1 or less) or a whole number of them (got {budget.seed:g})"
        )
    return _bounded(int(budget.seed) if budget.seed > 1 else _share(budget.seed, train), train)


def query_size(budget: Budget, train: int, remaining: int) -> int:
    """Labels to ask for in a round: at least 1, at most the `remaining` unlabelled of `train` images."""
    if budget.query_of == "number":
        return _bounded(int(budget.query), remaining)
    return _bounded(_share(budget.query, remaining if budget.query_of == "remaining" else train), remaining)


def shortfalls(budget: Budget, train: int) -> list[str]:
    """What of a budget a training set of `train` images cannot give, or is rounded up to one image; a sentence each.

    UserError where the start takes every image, so that nothing is left to ask for.
    """
    labelled, found = seed_size(budget, train), []
    if budget.rounds and labelled == train:
        raise UserError(
            f"budget.seed {budget.seed:g}: the start takes all {train:,} training images, and nothing is left to ask "
            "for; choose a smaller one, or rounds: 0"
        )
    if budget.seed > labelled:
        found.append(f"budget.seed asks for {budget.seed:g} labels, and there are {train:,} training images")
    if budget.query_of != "number" and _share(budget.query, train) < 1:
        found.append(f"budget.query {budget.query:g} is less than one image: rounds ask for one")
    for number in range(1, budget.rounds + 1):
        wanted = int(budget.query) if budget.query_of == "number" else _share(budget.query, train)
        given = query_size(budget, train, train - labelled)
        labelled += given
        if labelled == train:
            if number < budget.rounds or (budget.query_of != "remaining" and given < wanted):
                found.append(
                    f"the budget is larger than the training set of {train:,} images: round {number} of "
                    f"{budget.rounds} asks for the last {given:,}, and the arms end there"
                )
            break
    return found


def _share(fraction: float, n: int) -> int:
    """Floor of the fraction as it was written: in binary, 0.29 of 100 would be 28."""
    return math.floor(Fraction(repr(fraction)) * n)


def _bounded(n: int, most: int) -> int:
    return min(max(n, 1), most)
