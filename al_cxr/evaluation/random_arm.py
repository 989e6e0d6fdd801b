"""What random labelling alone would have given: the audit's labels are a random sample, so they can be trained on too.

The model of n chosen labels is compared with models of n audit labels each. The first n audit labels train one random
model, the next n another, and so on; each is measured on the audit images that it was *not* trained on, beside the
model of chosen labels on the same images. So no model is ever measured on what it learned, and each random model
differs from the others as another project's would.

What the interval holds: other random labels and other patients. What it does not: other *chosen* labels, of which a
project has one set. With one random model (fewer than 2 n audit labels) it holds other patients alone, and says so.
Models of n audit labels are made for this comparison and thrown away; nothing that predicts or is certified may come
from them.

It is wide. With T audit images, of which the two models answer a share d differently, images alone make it about
plus or minus 2 sqrt(d / T): of 200 images and d = 15 %, 5 points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from al_cxr.core.enough import FEW
from al_cxr.evaluation.audit import Figure
from al_cxr.evaluation.intervals import LEVEL, Statistics, clusters, combine, draw


@dataclass(frozen=True, eq=False)
class RandomSet:
    """Positions among the audit images, in the order of asking."""

    train: np.ndarray
    test: np.ndarray


def random_sets(patients: Sequence[str], labels: int) -> list[RandomSet]:
    """Split the audit for random models of so many labels.

    Parameters
    ----------
    patients : sequence of str
        Whose the T audit images are, in the order of asking; "" is a patient of its own.
    labels : int
        How many each random model is trained on: as many as the model of chosen labels was.

    Returns
    -------
    list of RandomSet
        As many as fit, each with at least 20 images to be measured on, none of a patient it was trained on.

    Examples
    --------
    >>> [(found.train[[0, -1]].tolist(), len(found.test)) for found in random_sets([""] * 100, labels=40)]
    [([0, 39], 60), ([40, 79], 60)]
    """
    whose = [name or f"\n{i}" for i, name in enumerate(patients)]
    found = []
    for start in range(0, len(whose) - labels + 1, labels):
        known = set(whose[start : start + labels])
        test = np.array([i for i, name in enumerate(whose) if name not in known], np.int64)
        if len(test) >= FEW:
            found.append(RandomSet(np.arange(start, start + labels), test))
    return found


def gain(
    chosen_T: np.ndarray,
    random_ST: np.ndarray,
    patients: Sequence[str] | None = None,
    level: float = LEVEL,
) -> Figure:
    """Compare the model of chosen labels with random ones on the audit.

    Parameters
    ----------
    chosen_T : array, shape (T,)
        Of the model of chosen labels on each audit image: 1 where it is right, 0 where not (or another figure that is
        averaged over images).
    random_ST : array, shape (S, T)
        The same of S random models; NaN where the image, or another of its patient, was trained on.
    patients : sequence of str, optional
        Whose images they are.
    level : float
        The coverage to aim at, 0..1.

    Returns
    -------
    Figure
        The mean of chosen less random, above 0 where choosing helped. For one look; not a test of active learning, of
        which a project is one case.

    Raises
    ------
    ValueError
        The arrays are not of the same audit.

    References
    ----------
    Satterthwaite (1946): An approximate distribution of estimates of variance components. Biometrics Bulletin 2.

    Examples
    --------
    >>> right = np.arange(100) % 10 > 0
    >>> random = np.where(np.arange(100) < 40, np.nan, np.arange(100) % 5 > 0)[None]
    >>> round(gain(right, random).value, 2)
    0.1
    """
    chosen_T, random_ST = np.asarray(chosen_T, np.float64), np.asarray(random_ST, np.float64)
    if random_ST.ndim != 2 or random_ST.shape[1] != len(chosen_T):
        raise ValueError(f"answers {chosen_T.shape} and {random_ST.shape} are not of one audit")
    if not len(random_ST):
        why = "there are too few audit labels to train a random model of that size and to measure it"
        return Figure(np.nan, np.nan, np.nan, 0, anytime=False, why=why)
    groups = clusters(patients) if patients else None
    drawn = [draw(_difference(chosen_T, random_T), len(chosen_T), groups) for random_T in random_ST]
    found = combine(drawn, level, unbounded=("gain",))["gain"]
    measured = int(np.isfinite(random_ST).any(axis=0).sum())
    why = "" if len(random_ST) > 1 else "one random model: the interval is that of other patients, not of other labels"
    return Figure(found.value, found.low, found.high, measured, anytime=False, why=why)


def _difference(chosen_T: np.ndarray, random_T: np.ndarray) -> Statistics:
    known_T = np.isfinite(random_T)
    apart_T = np.where(known_T, chosen_T - random_T, 0.0)

    def statistics(counts_BT: np.ndarray) -> dict[str, np.ndarray]:
        whole_B = counts_BT @ known_T.astype(np.float64)
        part_B = counts_BT @ apart_T
        return {"gain": np.divide(part_B, whole_B, out=np.full(len(whole_B), np.nan), where=whole_B > 0)}

    return statistics
