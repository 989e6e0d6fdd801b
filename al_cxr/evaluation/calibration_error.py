"""Do probabilities mean what they say: reliability, calibration error, Brier score, negative log-likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from al_cxr.evaluation.calibration import log_probs
from al_cxr.evaluation.intervals import Estimate, Statistics, combine, draw, means_of_samples

BINS = 15


@dataclass(frozen=True, eq=False)
class ReliabilityBins:
    """A reliability diagram: images by their highest probability. Empty bins have count 0 and NaN elsewhere."""

    edges: np.ndarray
    """(B + 1,), ascending, over 0..1."""
    count_B: np.ndarray
    confidence_B: np.ndarray
    accuracy_B: np.ndarray


def bin_edges(confidence_N: np.ndarray, bins: int = BINS, equal_mass: bool = True) -> np.ndarray:
    """Edges (at most bins + 1,) over 0..1: bins of as many images each, equal confidences together, or of one width."""
    if not equal_mass:
        return np.linspace(0.0, 1.0, bins + 1)
    inner = np.quantile(confidence_N, np.arange(1, bins) / bins, method="inverted_cdf")
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))


def reliability(
    probs_NC: np.ndarray, labels_N: np.ndarray, bins: int = BINS, equal_mass: bool = True
) -> ReliabilityBins:
    """Mean confidence (highest probability) and accuracy of the predicted class, bin by bin.

    Parameters
    ----------
    probs_NC : array, shape (N, C)
        Probabilities of N images.
    labels_N : array of int, shape (N,)
        Their true classes.
    bins : int
        How many bins there are at most.
    equal_mass : bool
        Bins hold equally many images each; otherwise they are equally wide.

    Returns
    -------
    ReliabilityBins
        Counts, confidences and accuracies, 0..1.

    References
    ----------
    Naeini, Cooper, Hauskrecht (2015): Obtaining well calibrated probabilities using Bayesian binning. AAAI.

    Examples
    --------
    >>> probs = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.9, 0.1]])
    >>> reliability(probs, np.array([0, 1, 1, 0]), bins=2).accuracy_B
    array([0.5, 1. ])
    """
    confidence_N, right_N = _confidence_and_right(probs_NC, labels_N)
    edges = bin_edges(confidence_N, bins, equal_mass)
    at_N, size = _bin_of(confidence_N, edges), len(edges) - 1
    count_B = np.bincount(at_N, minlength=size)
    with np.errstate(invalid="ignore"):
        confidence_B = np.bincount(at_N, confidence_N, size) / count_B
        accuracy_B = np.bincount(at_N, right_N, size) / count_B
    return ReliabilityBins(edges, count_B, confidence_B, accuracy_B)


def calibration(probs_NC: np.ndarray, labels_N: np.ndarray, bins: int = BINS) -> Statistics:
    """Calibration error, Brier score and log-likelihood of images, each of which may count several times.

    Parameters
    ----------
    probs_NC : array, shape (N, C)
        Probabilities of N images.
    labels_N : array of int, shape (N,)
        Their true classes.
    bins : int
        Of the calibration error.

    Returns
    -------
    Statistics
        From counts (B, N) to values (B,): `ece_mass` and `ece_width`, the expected calibration error of the predicted
        class, 0..1, over bins of equal mass (edges of the whole set in every sample) and of equal width, both of which
        chance makes larger, of few images and in a bootstrap sample more than in the set; `brier`, the squared error of
        all classes' probabilities, 0..2; `nll`, the mean negative log-likelihood, nats; `gap`, mean confidence minus
        accuracy, above 0 for a model that is too sure.

    References
    ----------
    Naeini, Cooper, Hauskrecht (2015): Obtaining well calibrated probabilities using Bayesian binning. AAAI.
    Brier (1950): Verification of forecasts expressed in terms of probability. Monthly Weather Review 78.

    Examples
    --------
    >>> probs = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.9, 0.1]])
    >>> found = calibration(probs, np.array([0, 1, 1, 0]))(np.ones((1, 4)))
    >>> float(found["ece_mass"][0].round(3)), float(found["brier"][0].round(3))
    (0.1, 0.27)
    """
    confidence_N, right_N = _confidence_and_right(probs_NC, labels_N)
    probs = np.asarray(probs_NC, np.float64)
    brier_N = ((probs - np.eye(probs.shape[1])[labels_N]) ** 2).sum(axis=1)
    nll_N = -log_probs(probs)[np.arange(len(labels_N)), labels_N]
    means = np.stack([brier_N, nll_N, confidence_N - right_N], axis=1)
    gaps = {}
    for name, equal_mass in (("ece_mass", True), ("ece_width", False)):
        edges = bin_edges(confidence_N, bins, equal_mass)
        inside_NB = np.eye(len(edges) - 1)[_bin_of(confidence_N, edges)]
        gaps[name] = inside_NB * (confidence_N - right_N)[:, None]

    def statistics(counts_BN: np.ndarray) -> dict[str, np.ndarray]:
        total_B = counts_BN.sum(axis=1)
        errors = {name: np.abs(counts_BN @ gap_NB).sum(axis=1) / total_B for name, gap_NB in gaps.items()}
        brier_B, nll_B, gap_B = (counts_BN @ means / total_B[:, None]).T
        return errors | {"brier": brier_B, "nll": nll_B, "gap": gap_B}

    return statistics


def calibration_estimates(
    probs_KNC: Sequence[np.ndarray], labels_N: np.ndarray, clusters_N: np.ndarray | None = None
) -> dict[str, Estimate]:
    """What `calibration` measures, mean over K models of the same N images, with intervals that chance does not lift.

    A calibration error can only grow by chance, so what resampling adds on average is taken off its interval; no
    interval but that of `gap` goes below 0. `clusters_N` numbers the patients, as in `intervals.draw`.
    """
    drawn = [draw(calibration(probs_NC, labels_N), len(labels_N), clusters_N) for probs_NC in probs_KNC]
    found = combine(drawn, unbounded=("gap", "brier", "nll"))
    for name in ("ece_mass", "ece_width"):
        added = float(np.mean(means_of_samples(drawn, name))) - found[name].value
        found[name] = replace(found[name], low=found[name].low - added, high=found[name].high - added)
    for name in ("ece_mass", "ece_width", "brier", "nll"):
        found[name] = replace(found[name], low=float(np.maximum(0, found[name].low)))
    return found


def _confidence_and_right(probs_NC: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probs = np.asarray(probs_NC, np.float64)
    return probs.max(axis=1), (probs.argmax(axis=1) == labels_N).astype(np.float64)


def _bin_of(confidence_N: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bins hold their upper edge; float error above 1 counts as 1."""
    return np.clip(np.searchsorted(edges, confidence_N, side="left") - 1, 0, len(edges) - 2)
