"""Which radiographs are labelled and which are not: ask which to label next, tell their labels.

Images keep their absolute indices in the data set; nothing is renumbered. The pool knows only the labels it was told.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from al_cxr.config import Budget
from al_cxr.core.errors import UserError


class Pool:
    """Which images of a data set are labelled: ask which to label next, tell their labels.

    Images keep their positions in the data set. The pool knows only the labels that it was told.

    Parameters
    ----------
    size : int
        Images of the data set.
    train_indices : array of int
        Positions of those that may be labelled, each once.
    classes : int, optional
        Number of classes; labels are then 0 to classes - 1.

    Raises
    ------
    ValueError
        Where an index is outside the data set or given twice.

    Examples
    --------
    >>> import numpy as np
    >>> from al_cxr import Pool
    >>> pool = Pool(6, np.array([0, 1, 2, 3]), classes=2)
    >>> asked = pool.ask(2, lambda candidates, n: candidates[-n:])
    >>> asked.tolist()
    [2, 3]
    >>> pool.tell(asked, np.array([0, 1]))
    >>> pool.labelled.tolist(), pool.labels.tolist(), pool.unlabelled.tolist()
    ([2, 3], [0, 1], [0, 1])
    """

    def __init__(self, size: int, train_indices: np.ndarray, classes: int | None = None) -> None:
        train = _indices(train_indices, size)
        self._train = np.zeros(size, bool)
        self._train[train] = True
        self._labelled = np.zeros(size, bool)
        self._asked = np.zeros(size, bool)
        self._labels = np.full(size, -1, np.int64)
        self._classes = classes

    @property
    def labelled(self) -> np.ndarray:
        """Absolute indices, ascending, int64."""
        return np.flatnonzero(self._labelled)

    @property
    def unlabelled(self) -> np.ndarray:
        """Absolute indices, ascending, int64; with `labelled` the training set."""
        return np.flatnonzero(self._train & ~self._labelled)

    @property
    def labels(self) -> np.ndarray:
        """Labels of `labelled`, in that order, as they were told, int64."""
        return self._labels[self._labelled]

    def ask(self, n: int, chooser: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
        """Choose the next images to label; no image is asked for twice.

        Parameters
        ----------
        n : int
            How many; fewer where fewer are left.
        chooser : function
            `chooser(candidates, count)` gets the unlabelled indices that were not asked for yet, ascending, and
            returns so many of them.

        Returns
        -------
        array of int64
            Their positions in the data set, in the chooser's order.

        Raises
        ------
        ValueError
            Where the chooser returns another count, an image twice or one that is no candidate.
        """
        if n < 0:
            raise ValueError(f"cannot ask for {n} images")
        candidates = np.flatnonzero(self._train & ~self._labelled & ~self._asked)
        count = min(n, len(candidates))
        chosen = _indices(chooser(candidates.copy(), count), len(self._train))
        if len(chosen) != count:
            raise ValueError(f"{len(chosen)} images were chosen, {count} were asked for")
        if not np.isin(chosen, candidates).all():
            raise ValueError("an image was chosen that is not in the pool or was asked for before")
        self._asked[chosen] = True
        return chosen

    def tell(self, indices: np.ndarray, labels: np.ndarray) -> None:
        """Take the labels of some images: all of them or, with an error, none.

        Parameters
        ----------
        indices : array of int
            Positions of unlabelled images of the training set, each once.
        labels : array of int
            Their classes, in the same order.

        Raises
        ------
        ValueError
            Where an image is labelled already or not in the training set, or a label is no class.
        """
        indices = _indices(indices, len(self._train))
        labels = np.asarray(labels)
        if labels.shape != indices.shape:
            raise ValueError(f"{labels.shape} labels for {indices.shape} images")
        if len(labels) and not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels are {labels.dtype}, not integers")
        if not self._train[indices].all():
            raise ValueError(f"image {indices[~self._train[indices]][0]} is not in the training set")
        if self._labelled[indices].any():
            raise ValueError(f"image {indices[self._labelled[indices]][0]} is labelled already")
        if (labels < 0).any() or (self._classes is not None and (labels >= self._classes).any()):
            raise ValueError(f"a label is outside 0..{'' if self._classes is None else self._classes - 1}")
        self._labelled[indices] = True
        self._labels[indices] = labels


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


def _indices(values: np.ndarray, size: int) -> np.ndarray:
    indices = np.asarray(values)
    if indices.ndim != 1 or (len(indices) and not np.issubdtype(indices.dtype, np.integer)):
        raise ValueError(f"indices are {indices.dtype} {indices.shape}, not a row of integers")
    indices = indices.astype(np.int64)
    if len(indices) and (indices.min() < 0 or indices.max() >= size):
        raise ValueError(f"an index is outside the data set of {size} images")
    if len(np.unique(indices)) != len(indices):
        raise ValueError("an index stands there twice")
    return indices
