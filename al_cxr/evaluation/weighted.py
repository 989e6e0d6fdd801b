"""Estimates that use chosen labels too, by the probability q with which each was chosen.

Chosen images are harder than others, so a plain average over them is wrong. Divided by how likely each was to be chosen
they stand for all images again. That takes a q above 0 for every image that might have been chosen (a chooser that
takes the highest scores has none), and a model that has learned nothing from the labels it is measured on:

- a model of elsewhere, on all chosen labels, with the archive's size as it was before the first of them;
- a model of this project, on the labels chosen *after* it was trained, with the number of images left then;
- models of a cross-validation on the labels they were not trained on: nearly right and not exactly, for what was chosen
  later depends on the earlier answers.

A trained model measured on its own training labels flatters itself, with any weights.

All intervals here are for **one look that was planned**. They rest on large samples and on no rare image with a huge
weight, do not survive looking after every answer as those of `al_cxr.evaluation.audit` do, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from al_cxr.core.enough import LEAST
from al_cxr.evaluation.audit import Figure
from al_cxr.evaluation.intervals import LEVEL, Statistics, clusters, combine, draw


def lure_weights(q_M: np.ndarray, size: int) -> np.ndarray:
    """Weights (M,) that make a mean over chosen images one over all: of LURE, 1 on average.

    Parameters
    ----------
    q_M : array, shape (M,)
        The probability of each image at its draw, among those left then, in the order of the draws; above 0, at most 1.
    size : int
        Images there were before the first draw.

    Returns
    -------
    array, shape (M,)
        All 1 where each draw was uniform.

    Raises
    ------
    ValueError
        A q is no probability, or there are more draws than images.

    References
    ----------
    Farquhar, Gal, Rainforth (2021): On statistical bias in active learning: how and when to fix it. ICLR.
    arXiv 2101.11665.

    Examples
    --------
    >>> lure_weights(1 / np.array([10.0, 9.0, 8.0]), size=10)
    array([1., 1., 1.])
    """
    q_M = np.asarray(q_M, np.float64)
    draws = len(q_M)
    if not ((q_M > 0) & (q_M <= 1)).all():
        raise ValueError("every q is a probability above 0: an image that cannot be chosen stands for none")
    if draws > size:
        raise ValueError(f"{draws} draws from {size} images")
    if draws == size:
        return np.ones(draws)
    m_M = np.arange(1, draws + 1)
    weights_M: np.ndarray = 1 + (size - draws) / (size - m_M) * (1 / ((size - m_M + 1) * q_M) - 1)
    return weights_M


def pooled_weights(*streams: np.ndarray) -> np.ndarray:
    """One row of weights for several streams of the same archive, one after the other (the audit's are ones): each
    stream counts by its effective number of images, (sum w)^2 / sum w^2 (Kish 1965)."""
    parts = [weights * weights.sum() / (weights**2).sum() for weights in streams if len(weights)]
    return np.concatenate(parts) if parts else np.empty(0)


def effective(weights_M: np.ndarray) -> float:
    """How many images of equal weight are worth as much (Kish 1965)."""
    return float(weights_M.sum() ** 2 / (weights_M**2).sum()) if len(weights_M) else 0.0


def lure(
    losses_M: np.ndarray, q_M: np.ndarray, size: int, patients: Sequence[str] | None = None, level: float = LEVEL
) -> Figure:
    """Estimate the mean loss over all images from chosen ones.

    Parameters
    ----------
    losses_M : array, shape (M,)
        Of a model on the chosen images, which it has not learned from: 1 where it is wrong, or nats.
    q_M, size
        As `lure_weights` takes them.
    patients : sequence of str, optional
        Whose images they are.
    level : float
        The coverage to aim at, 0..1.

    Returns
    -------
    Figure
        Unbiased for a model that was fixed before the first draw. The interval, at one look, is a bootstrap's over
        patients with the weights as they are.

    References
    ----------
    Farquhar, Gal, Rainforth (2021): On statistical bias in active learning: how and when to fix it. ICLR.

    Examples
    --------
    >>> lure(np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.2, 0.25, 0.25, 0.5]), size=6).value
    0.4
    """
    terms_M = lure_weights(q_M, size) * np.asarray(losses_M, np.float64)
    mean = _ratio(terms_M, np.ones(len(terms_M)))
    return _bootstrapped(mean, len(terms_M), patients, level, len(terms_M), share=False)


def weighted_rates(
    answers_M: np.ndarray,
    ill_M: np.ndarray,
    weights_M: np.ndarray,
    patients: Sequence[str] | None = None,
    level: float = LEVEL,
) -> dict[str, Figure]:
    """Estimate sensitivity, specificity and accuracy of yes and no from weighted images, as ratios of weighted sums.

    Parameters
    ----------
    answers_M, ill_M : array of bool, shape (M,)
        What the model says of each image, which it has not learned from, and what the reader said.
    weights_M : array, shape (M,)
        `lure_weights` of chosen images, or `pooled_weights` of these and the audit's.
    patients : sequence of str, optional
        Whose images they are.
    level : float
        The coverage to aim at, 0..1.

    Returns
    -------
    dict of str to Figure
        Each without a value where its images are worth fewer than five of equal weight.

    References
    ----------
    Hajek (1971): Comment on an essay by D. Basu. Foundations of Statistical Inference.

    Examples
    --------
    >>> ill = np.arange(40) < 20
    >>> weighted_rates(np.arange(40) % 4 > 0, ill, np.ones(40))["sensitivity"].value
    0.75
    """
    answers_M, ill_M, weights_M = np.asarray(answers_M, bool), np.asarray(ill_M, bool), np.asarray(weights_M, float)
    right_M, found = answers_M == ill_M, {}
    for name, of_M in (("sensitivity", ill_M), ("specificity", ~ill_M), ("accuracy", np.ones(len(ill_M), bool))):
        n, worth = int(of_M.sum()), effective(weights_M[of_M])
        if worth < LEAST:
            found[name] = Figure(np.nan, np.nan, np.nan, n, False, f"they are worth {worth:.1f} images of equal weight")
        else:
            ratio = _ratio(weights_M * (of_M & right_M), weights_M * of_M)
            found[name] = _bootstrapped(ratio, n, patients, level, len(ill_M), share=True)
    return found


def _ratio(part_M: np.ndarray, whole_M: np.ndarray) -> Statistics:
    """The statistic "value": a sum by another, NaN where that is 0."""

    def ratio(counts_BM: np.ndarray) -> dict[str, np.ndarray]:
        part_B, whole_B = counts_BM @ part_M, counts_BM @ whole_M
        return {"value": np.divide(part_B, whole_B, out=np.full(len(whole_B), np.nan), where=whole_B > 0)}

    return ratio


def _bootstrapped(
    statistic: Statistics, n: int, patients: Sequence[str] | None, level: float, images: int, share: bool
) -> Figure:
    """A statistic of n of some images, with its interval over patients."""
    drawn = draw(statistic, images, clusters(patients) if patients else None)
    found = combine([drawn], level, unbounded=() if share else ("value",))["value"]
    why = "" if np.isfinite(found.low) else "all these images are alike: an interval cannot be learned from them"
    return Figure(found.value, found.low, found.high, n, anytime=False, why=why)
