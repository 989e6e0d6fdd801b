"""How good a model is by the audit: images that were asked at random, and that no model has learned from.

What makes these figures true is how the audit was drawn, and no formula repairs it if it was drawn otherwise:

- Before the first question, patients are put into a random order, and the first of them are kept for the audit. What
  the chooser asks comes from the others. An audit drawn later, from what the chooser left over, lacks the hard images.
- No label of the audit trains a model, sets its temperature or threshold, stops its training or picks among models.
- One image a patient counts: images of one person are no independent evidence. Which one is fixed by chance; the
  first that was asked is taken here.
- Images that readers could not answer, or disagree on, are outside these figures, and hard: say how many there are.

Performance is that on patients like those of the archive, and not on the archive, of which the model has seen a part.
The prevalence is the archive's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from al_cxr.evaluation.intervals import LEVEL
from al_cxr.evaluation.operating import decide
from al_cxr.evaluation.performance import auc
from al_cxr.evaluation.sequences import bounded_mean, proportion_sequence

FIGURES = ("prevalence", "accuracy", "sensitivity", "specificity", "auc", "elusion")


@dataclass(frozen=True)
class Figure:
    """A figure and its interval."""

    value: float
    """NaN where nothing was measured, as are the bounds of an interval that is good at one look."""
    low: float
    high: float
    n: int
    """Images it is measured on; one a patient."""
    anytime: bool
    """Whether the interval holds at every look together (a confidence sequence), or at one look that was planned."""
    why: str = ""
    """Why there is no value, or what is to be known with it."""


def one_each(patients: Sequence[str]) -> np.ndarray:
    """Which images (T,) are the first of their patient; each unknown patient ("") is one of its own."""
    seen: set[str] = set()
    first = []
    for name in patients:
        first.append(not name or name not in seen)
        seen.add(name)
    return np.array(first, bool)


def audit_figures(
    labels_T: np.ndarray,
    probs_TC: np.ndarray,
    target: int,
    threshold: float | None = None,
    patients: Sequence[str] | None = None,
    archive: int | None = None,
    level: float = LEVEL,
) -> dict[str, Figure]:
    """Measure a model on the audit, with intervals that hold whenever one looks.

    Each interval holds at all moments together, for this one model and this one figure. A new model is measured on all
    audit labels anew, and has its own; that the intervals of all models and figures hold together is not promised. To
    decide by them use `al_cxr.evaluation.certificate`.

    Parameters
    ----------
    labels_T : array of int, shape (T,)
        Classes of the audit images, in the order of asking.
    probs_TC : array, shape (T, C)
        What the model says of them, 0..1.
    target : int
        The class that is looked for.
    threshold : float, optional
        On the target's probability; the most probable class is answered without one. It must not come from the audit.
    patients : sequence of str, optional
        Whose images they are; each is a patient's own without them.
    archive : int, optional
        How many patients the audit's random order was of. The prevalence is the archive's then, and that of patients
        like these without it.
    level : float
        How often an interval holds its figure at all moments, at least.

    Returns
    -------
    dict of str to Figure
        prevalence, accuracy, sensitivity, specificity, auc, and elusion: the share of ill among those answered with
        another class than the target.

    Raises
    ------
    ValueError
        Labels, probabilities and patients are not as many, or patients more than the archive's.

    References
    ----------
    Waudby-Smith, Ramdas (2020): Confidence sequences for sampling without replacement. NeurIPS. arXiv 2006.04347.

    Examples
    --------
    >>> draw = np.random.default_rng(0)
    >>> labels = (draw.random(200) < 0.3).astype(int)
    >>> score = np.clip(0.25 + 0.5 * labels + 0.2 * draw.normal(size=200), 0, 1)
    >>> found = audit_figures(labels, np.stack([1 - score, score], axis=1), target=1, archive=2000)
    >>> found["sensitivity"].low < found["sensitivity"].value < found["sensitivity"].high
    True
    """
    labels_T, probs_TC = np.asarray(labels_T), np.asarray(probs_TC, np.float64)
    if probs_TC.ndim != 2 or len(labels_T) != len(probs_TC) or (patients and len(patients) != len(labels_T)):
        raise ValueError(f"{len(labels_T)} labels, probabilities {probs_TC.shape} and patients are not of one audit")
    if patients is not None:
        first_T = one_each(patients)
        labels_T, probs_TC = labels_T[first_T], probs_TC[first_T]
    answers_T, ill_T = decide(probs_TC, target, threshold), labels_T == target
    flagged_T = answers_T == target
    shares = {
        "prevalence": ill_T,
        "accuracy": answers_T == labels_T,
        "sensitivity": flagged_T[ill_T],
        "specificity": ~flagged_T[~ill_T],
        "elusion": ill_T[~flagged_T],
    }
    found = {name: share(hits, archive if name == "prevalence" else None, level) for name, hits in shares.items()}
    found["auc"] = area(probs_TC[:, target], ill_T, level)
    return {name: found[name] for name in FIGURES}


def share(hits_T: np.ndarray, size: int | None = None, level: float = LEVEL) -> Figure:
    """A proportion as `sequences.proportion_sequence` bounds it."""
    bounds = proportion_sequence(hits_T, size, level)
    value = float(hits_T.mean()) if len(hits_T) else np.nan
    return Figure(value, bounds.low, bounds.high, len(hits_T), anytime=True, why="" if len(hits_T) else "no such image")


def area(scores_T: np.ndarray, ill_T: np.ndarray, level: float = LEVEL) -> Figure:
    """The area under the ROC curve of all images, bounded by that of blocks of them."""
    low, high = bounded_mean(block_areas(scores_T, ill_T), level)
    if not ill_T.any() or ill_T.all():
        return Figure(np.nan, low, high, len(ill_T), anytime=True, why="the audit lacks images of one of two kinds")
    value = float(auc(np.asarray(scores_T, np.float64), ill_T, np.ones((1, len(ill_T))))[0])
    return Figure(value, min(low, value), max(high, value), len(ill_T), anytime=True)


def block_areas(scores_T: np.ndarray, ill_T: np.ndarray) -> np.ndarray:
    """The area under the ROC curve (B,), 0..1, of each block of images: one that is ill after some that are not, or one
    that is not after some that are.

    Given who is ill, blocks are independent and each has the AUC as its mean, which pairs of images that share one have
    not; so their mean may be bounded at every moment. Where the ill are rare, a block holds one of them and little is
    lost.
    """
    scores_T, areas, start = np.asarray(scores_T, np.float64), [], 0
    for end in range(len(ill_T)):
        if ill_T[end] != ill_T[start]:
            above = np.sign(scores_T[end] - scores_T[start:end]) * (1 if ill_T[end] else -1)
            areas.append(float((1 + above).mean() / 2))
            start = end + 1
    return np.array(areas)
