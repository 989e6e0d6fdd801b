"""Do probabilities mean what they say: temperature, calibration error, Brier score, negative log-likelihood.

A temperature T divides the logits (Guo et al. 2017). The logarithm of a stored probability is its logit up to a
constant that softmax ignores, so stored probabilities are enough: no network is needed.

Few validation images, or hardly any that are answered wrongly, do not say how sure a network may be: the likeliest
temperature of 16 images without an error makes every probability 0 or 1. There Laplace's rule of succession is the
limit: who was right r times of n is right next time with a chance of (r + 1) / (n + 2), and no surer may the answers be
on average. Simulated in tests/evaluation/test_few_images.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax
from scipy.stats import spearmanr

from al_cxr.core import enough
from al_cxr.evaluation.intervals import Statistics
from al_cxr.strategies.statistics import entropy

BINS = 15
COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures are sought in between; outside nothing changes that anybody could see."""


@dataclass(frozen=True)
class Temperature:
    """1 leaves probabilities as they are, above softens them, below sharpens them; `note` says what went wrong."""

    value: float
    note: str = ""

    @property
    def matters(self) -> bool:
        """Whether it is not 1 to three decimals, as it is of probabilities that were calibrated on the same images."""
        return abs(self.value - 1) >= 0.0005


@dataclass(frozen=True, eq=False)
class Bins:
    """A reliability diagram: images by their highest probability. Empty bins have count 0 and NaN elsewhere."""

    edges: np.ndarray
    """(B + 1,), ascending, over 0..1."""
    count_B: np.ndarray
    confidence_B: np.ndarray
    accuracy_B: np.ndarray


def log_probs(probs_NC: np.ndarray) -> np.ndarray:
    """Natural logarithms, float64; a probability of 0 counts as the smallest positive float."""
    return np.log(np.maximum(np.asarray(probs_NC, np.float64), np.finfo(np.float64).tiny))


def apply_temperature(probs_NC: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (..., C) after their logits were divided by a temperature > 0; the predicted class stays."""
    if not temperature > 0:
        raise ValueError(f"a temperature is positive, not {temperature}")
    return softmax(log_probs(probs_NC) / temperature, axis=-1)


def fit_temperature(probs_NC: np.ndarray, labels_N: np.ndarray) -> Temperature:
    """The temperature with the smallest negative log-likelihood on these (validation) images (Guo et al. 2017).

    Where the images are too few for one, or too few of them answered wrongly (core.enough), the answers are no surer
    on average than Laplace's rule allows, and fewer than 20 images never make them surer than they were; the note says
    so. Where nothing can be learned, 1 with a note. Temperatures lie in 0.05..20.
    """
    if len(labels_N) == 0 or len(probs_NC) != len(labels_N):
        raise ValueError(f"{len(probs_NC)} rows of probabilities, {len(labels_N)} labels")
    logits_NC = log_probs(probs_NC)
    if np.ptp(logits_NC, axis=1).max() < 1e-9:
        return Temperature(1.0, "every class is equally probable on every validation image; left at 1")
    n, right = len(labels_N), int((logits_NC.argmax(axis=1) == labels_N).sum())
    alike = len(np.unique(labels_N)) == 1
    why = "validation has images of one class only" if alike else enough.for_temperature(n, n - right)
    if not why:
        return _likeliest(logits_NC, labels_N)
    share = (right + 1) / (n + 2)
    bounds = [_as_sure_as(share, logits_NC)]
    if not alike:
        bounds.append(_likeliest(logits_NC, labels_N).value)
    if alike or n < enough.FEW:
        bounds.append(1.0)
    value = max(bounds)
    done = "left at 1" if value == 1 else f"set to {value:.3g}"
    sure = f"{100 * _sureness(logits_NC, value):.0f} % sure of its answers on average"
    allowed = f"{right} right of {n} allow {100 * share:.0f} % (Laplace's rule)"
    return Temperature(value, f"{why}; {done}, where the model is {sure}, and {allowed}")


def _likeliest(logits_NC: np.ndarray, labels_N: np.ndarray) -> Temperature:
    """The likelihood is convex in 1/T and its slope monotone, so the optimum is a root (Brent's method); where there is
    none in the bounds, the nearer one with a note."""
    true_N = logits_NC[np.arange(len(labels_N)), labels_N]

    def slope(inverse: float) -> float:
        """Derivative of the mean negative log-likelihood by 1/T."""
        return float((softmax(inverse * logits_NC, axis=1) * logits_NC).sum(axis=1).mean() - true_N.mean())

    if slope(1 / COLDEST) <= 0:
        return Temperature(COLDEST, f"the probabilities of validation are almost equal; bounded at {COLDEST:g}")
    if slope(0.0) >= 0:
        what = "on validation the true classes are no more probable than the others"
        return Temperature(HOTTEST, f"{what}; bounded at {HOTTEST:g}")
    if slope(1 / HOTTEST) >= 0:
        what = "the probabilities are far too near to 0 and 1 for the errors on validation"
        return Temperature(HOTTEST, f"{what}; bounded at {HOTTEST:g}, which leaves them too sure")
    return Temperature(1 / float(brentq(slope, 1 / HOTTEST, 1 / COLDEST, xtol=1e-12)))


def _as_sure_as(share: float, logits_NC: np.ndarray) -> float:
    """The temperature, in its bounds, at which the highest probability is `share` (0..1) on average."""

    def excess(temperature: float) -> float:
        return _sureness(logits_NC, temperature) - share

    if excess(COLDEST) <= 0:
        return COLDEST
    return HOTTEST if excess(HOTTEST) >= 0 else float(brentq(excess, COLDEST, HOTTEST, xtol=1e-12))


def _sureness(logits_NC: np.ndarray, temperature: float) -> float:
    """The highest probability, mean over images."""
    return float(softmax(logits_NC / temperature, axis=1).max(axis=1).mean())


def bin_edges(confidence_N: np.ndarray, bins: int = BINS, equal_mass: bool = True) -> np.ndarray:
    """Edges (at most bins + 1,) over 0..1: bins of as many images each, equal confidences together, or of one width."""
    if not equal_mass:
        return np.linspace(0.0, 1.0, bins + 1)
    inner = np.quantile(confidence_N, np.arange(1, bins) / bins, method="inverted_cdf")
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))


def reliability(probs_NC: np.ndarray, labels_N: np.ndarray, bins: int = BINS, equal_mass: bool = True) -> Bins:
    """Confidence (highest probability) and accuracy of the predicted class, bin by bin."""
    confidence_N, right_N = _top(probs_NC, labels_N)
    edges = bin_edges(confidence_N, bins, equal_mass)
    at_N, size = _bin_of(confidence_N, edges), len(edges) - 1
    count_B = np.bincount(at_N, minlength=size)
    with np.errstate(invalid="ignore"):
        confidence_B = np.bincount(at_N, confidence_N, size) / count_B
        accuracy_B = np.bincount(at_N, right_N, size) / count_B
    return Bins(edges, count_B, confidence_B, accuracy_B)


def calibration(probs_NC: np.ndarray, labels_N: np.ndarray, bins: int = BINS) -> Statistics:
    """Statistics for `intervals.bootstrap`:

    `ece_mass`, `ece_width`: expected calibration error of the predicted class (Naeini et al. 2015), 0..1, over bins of
    equal mass (edges of the whole set in every draw) and of equal width. Both are biased upwards by chance: of few
    images, and in a bootstrap sample more than in the set. `brier`: squared error of all classes' probabilities
    (Brier 1950), 0..2. `nll`: mean negative log-likelihood, nats. `gap`: mean confidence - accuracy; overconfident > 0.
    """
    confidence_N, right_N = _top(probs_NC, labels_N)
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


def ranking_change(probs_NC: np.ndarray, temperature: float, share: float = 0.1) -> tuple[float, float]:
    """What a temperature does to a selection by entropy: Spearman's correlation of the two rankings, and which part of
    the `share` with the highest entropy stays (0..1; equal entropies count in the order of the images).

    For two classes the order cannot change; for more it can, because T moves mass between the unlikely classes too.
    """
    # From the logarithms: a heated probability may be too small for its own logarithm.
    before_N = entropy(probs_NC)
    log_NC = log_softmax(log_probs(probs_NC) / temperature, axis=-1)
    after_N = -(np.exp(log_NC) * log_NC).sum(axis=-1)
    n = max(1, round(share * len(before_N)))
    top = [set(np.argsort(-values, kind="stable")[:n].tolist()) for values in (before_N, after_N)]
    same = np.ptp(before_N) == 0 or np.ptp(after_N) == 0
    correlation = np.nan if same else float(spearmanr(before_N, after_N).statistic)
    return correlation, len(top[0] & top[1]) / n


def _top(probs_NC: np.ndarray, labels_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probs = np.asarray(probs_NC, np.float64)
    return probs.max(axis=1), (probs.argmax(axis=1) == labels_N).astype(np.float64)


def _bin_of(confidence_N: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bins hold their upper edge; float error above 1 counts as 1."""
    return np.clip(np.searchsorted(edges, confidence_N, side="left") - 1, 0, len(edges) - 2)
