"""Which radiographs are labelled and which are not: ask which to label next, tell their labels.

Images keep their absolute indices in the data set; nothing is renumbered. A simulation asks and tells. A person also
lets a question lie, takes an answer back, or says that an image is no use: `unask`, `untell` and `drop`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


class Pool:
    """Which images of a data set are labelled: ask which to label next, tell their labels.

    Images keep their positions. The pool knows only what it was told. Each image is labelled, unlabelled or dropped.

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

    >>> pool.untell(np.array([3]))
    >>> pool.tell(np.array([3]), np.array([0]))
    >>> pool.drop(np.array([1]), "unreadable")
    >>> pool.labels.tolist(), pool.unlabelled.tolist(), pool.dropped
    ([0, 0], [0], {1: 'unreadable'})
    """

    def __init__(self, size: int, train_indices: np.ndarray, classes: int | None = None) -> None:
        self._train = np.zeros(size, bool)
        self._train[_indices(train_indices, size)] = True
        self._labelled = np.zeros(size, bool)
        self._asked = np.zeros(size, bool)
        self._dropped = np.zeros(size, bool)
        self._labels = np.full(size, -1, np.int64)
        self._classes = classes
        self._reasons: dict[int, str] = {}

    @property
    def labelled(self) -> np.ndarray:
        """Absolute indices, ascending, int64."""
        return np.flatnonzero(self._labelled)

    @property
    def unlabelled(self) -> np.ndarray:
        """Absolute indices, ascending, int64; with `labelled` and `dropped` the training set."""
        return np.flatnonzero(self._train & ~self._labelled & ~self._dropped)

    @property
    def asked(self) -> np.ndarray:
        """Those that were asked for and are not labelled yet, absolute indices, ascending, int64."""
        return np.flatnonzero(self._asked & ~self._labelled & ~self._dropped)

    @property
    def free(self) -> np.ndarray:
        """Those that may be asked for next, absolute indices, ascending, int64."""
        return np.flatnonzero(self._train & ~self._labelled & ~self._asked & ~self._dropped)

    @property
    def dropped(self) -> dict[int, str]:
        """Absolute index -> why the image left the pool, ascending."""
        return dict(sorted(self._reasons.items()))

    @property
    def labels(self) -> np.ndarray:
        """Labels of `labelled`, in that order, as they were told, int64."""
        return self._labels[self._labelled]

    def ask(self, n: int, chooser: Callable[[np.ndarray, int], np.ndarray], again: bool = False) -> np.ndarray:
        """Choose the next images to label; no image is asked for twice, unless the caller says so.

        Parameters
        ----------
        n : int
            How many; fewer where fewer are left.
        chooser : function
            `chooser(candidates, count)` gets the unlabelled indices that were not asked for yet, ascending, and
            returns so many of them.
        again : bool, optional
            Choose among the labelled images instead: for a second reader, or to repeat a question. Their labels stay.

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
        candidates = self.labelled if again else self.free
        count = min(n, len(candidates))
        chosen = _indices(chooser(candidates.copy(), count), len(self._train))
        if len(chosen) != count:
            raise ValueError(f"{len(chosen)} images were chosen, {count} were asked for")
        if not np.isin(chosen, candidates).all():
            raise ValueError("an image was chosen that is not in the pool or was asked for before")
        if not again:
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
            Where an image is labelled already, dropped or not in the training set, or a label is no class.
        """
        indices, labels = _indices(indices, len(self._train)), np.asarray(labels)
        if labels.shape != indices.shape:
            raise ValueError(f"{labels.shape} labels for {indices.shape} images")
        if len(labels) and not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels are {labels.dtype}, not integers")
        self._refuse(indices, ~self._train, "is not in the training set")
        self._refuse(indices, self._labelled, "is labelled already")
        self._refuse(indices, self._dropped, "is dropped; undrop it first")
        if (labels < 0).any() or (self._classes is not None and (labels >= self._classes).any()):
            raise ValueError(f"a label is outside 0..{'' if self._classes is None else self._classes - 1}")
        self._labelled[indices] = True
        self._labels[indices] = labels

    def unask(self, indices: np.ndarray) -> None:
        """Put images back that were asked for and got no answer: the reader skipped them, or the lease ended.

        Parameters
        ----------
        indices : array of int
            Positions of images that were asked for and are not labelled, each once.

        Raises
        ------
        ValueError
            Where an image was not asked for, or was answered; nothing is put back then.
        """
        indices = _indices(indices, len(self._train))
        self._refuse(indices, ~self._asked, "was not asked for")
        self._refuse(indices, self._labelled, "is labelled; untell it first")
        self._asked[indices] = False

    def untell(self, indices: np.ndarray) -> None:
        """Take labels back, so that the images are as before they were told: undone, corrected, or disagreed on.

        Parameters
        ----------
        indices : array of int
            Positions of labelled images, each once.

        Raises
        ------
        ValueError
            Where an image is not labelled; no label is taken back then.
        """
        indices = _indices(indices, len(self._train))
        self._refuse(indices, ~self._labelled, "is not labelled")
        self._labelled[indices] = False
        self._labels[indices] = -1

    def drop(self, indices: np.ndarray, reason: str) -> None:
        """Take images out of the pool: they are no use, or their files are gone.

        Parameters
        ----------
        indices : array of int
            Positions of images of the training set that are not labelled, each once.
        reason : str
            Why, such as "unreadable".

        Raises
        ------
        ValueError
            Where an image is labelled, dropped already or not in the training set, or no reason is given.
        """
        indices = _indices(indices, len(self._train))
        if not reason:
            raise ValueError("an image is dropped for a reason; give it")
        self._refuse(indices, ~self._train, "is not in the training set")
        self._refuse(indices, self._labelled, "is labelled; untell it first")
        self._refuse(indices, self._dropped, "is dropped already")
        self._dropped[indices] = True
        self._reasons.update(dict.fromkeys(indices.tolist(), reason))

    def undrop(self, indices: np.ndarray) -> None:
        """Take dropped images back into the pool, as they were before.

        Parameters
        ----------
        indices : array of int
            Positions of dropped images, each once.

        Raises
        ------
        ValueError
            Where an image is not dropped; none is taken back then.
        """
        indices = _indices(indices, len(self._train))
        self._refuse(indices, ~self._dropped, "is not dropped")
        self._dropped[indices] = False
        self._reasons = {index: why for index, why in self._reasons.items() if self._dropped[index]}

    @staticmethod
    def _refuse(indices: np.ndarray, refused: np.ndarray, why: str) -> None:
        """ValueError that names the first of the indices for which the mask `refused` holds, and why."""
        if refused[indices].any():
            raise ValueError(f"image {indices[refused[indices]][0]} {why}")


def _indices(values: np.ndarray, size: int) -> np.ndarray:
    indices = np.asarray(values)
    if indices.ndim != 1 or (len(indices) and not np.issubdtype(indices.dtype, np.integer)):
        raise ValueError(f"indices are {indices.dtype} {indices.shape}, not a row of integers")
    indices = indices.astype(np.int64)
    if len(indices) and (indices.min() < 0 or indices.max() >= size):
        raise ValueError(f"an index is outside the data set of {size} images")
    once = np.zeros(size, bool)
    once[indices] = True
    if np.count_nonzero(once) != len(indices):
        raise ValueError("an index stands there twice")
    return indices
