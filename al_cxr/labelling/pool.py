"""The pool of a labelling project: the same masks that a simulation keeps, filled from what readers did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from al_cxr.labelling.queues import holders
from al_cxr.labelling.state import State
from al_cxr.strategies.pool import Pool


def pool_of(state: State, index_of: Mapping[str, int], classes: Sequence[str], now: datetime) -> Pool:
    """Which images are labelled, asked for, dropped or free at a time, by their indices.

    `index_of` gives images their indices, 0 to N - 1; others of the state are passed over. Asked for is what a reader
    holds, and what was answered without a label that holds: unsure, or readers disagree.
    """
    pool = Pool(len(index_of), np.arange(len(index_of)), len(classes))
    labels = {image: label for image, label in state.labels().items() if image in index_of}
    pool.tell(_indices(labels, index_of), np.array([classes.index(label) for label in labels.values()], np.int64))
    for reason, images in _by_reason(state.dropped()).items():
        pool.drop(_indices(images, index_of), reason)
    without_label = [name for name in state.served() if state.verdict(name).status in ("unsure", "disagreed")]
    taken = _indices([*holders(state, now), *without_label], index_of)
    taken = np.unique(taken[np.isin(taken, pool.unlabelled)])
    pool.ask(len(taken), lambda candidates, count: taken)
    return pool


def _indices(images: Mapping[str, str] | Sequence[str], index_of: Mapping[str, int]) -> np.ndarray:
    return np.array([index_of[image] for image in images if image in index_of], np.int64)


def _by_reason(dropped: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for image, reason in dropped.items():
        found.setdefault(reason, []).append(image)
    return found
