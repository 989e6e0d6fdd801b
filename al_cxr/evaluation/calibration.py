"""Temperature scaling: how sure a network may be of its answers (Guo et al. 2017).

A temperature T divides the logits. The logarithm of a stored probability is its logit up to a constant that softmax
ignores, so stored probabilities are enough: no network is needed.

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
from al_cxr.strategies.statistics import entropy

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


def log_probs(probs_NC: np.ndarray) -> np.ndarray:
    """Natural logarithms, float64; a probability of 0 counts as the smallest positive float."""
    return np.log(np.maximum(np.asarray(probs_NC, np.float64), np.finfo(np.float64).tiny))


def apply_temperature(probs_NC: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits of probabilities by a temperature; the predicted class stays.

    Parameters
    ----------
    probs_NC : array, shape (..., C)
        Probabilities, which sum to 1 along the last axis.
    temperature : float
        Above 0. 1 changes nothing, more makes the answers less sure, less makes them surer.

    Returns
    -------
    array, shape (..., C), float64
        The scaled probabilities.

    Raises
    ------
    ValueError
        The temperature is not positive.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017): On calibration of modern neural networks. ICML.

    Examples
    --------
    >>> apply_temperature(np.array([[0.8, 0.2]]), 2.0).round(3)
    array([[0.667, 0.333]])
    """
    if not temperature > 0:
        raise ValueError(f"a temperature is positive, not {temperature}")
    scaled: np.ndarray = softmax(log_probs(probs_NC) / temperature, axis=-1)
    return scaled


def fit_temperature(probs_NC: np.ndarray, labels_N: np.ndarray) -> Temperature:
    """Find the temperature with the smallest negative log-likelihood on these (validation) images.

    Where the images are too few for one, or too few of them answered wrongly (`al_cxr.core.enough`), the answers become
    no surer on average than Laplace's rule allows, and fewer than 20 images never make them surer than they were; the
    note says so. Where nothing can be learnt, the temperature is 1, with a note.

    Parameters
    ----------
    probs_NC : array, shape (N, C)
        Probabilities of N images.
    labels_N : array of int, shape (N,)
        Their true classes, 0 to C - 1.

    Returns
    -------
    Temperature
        Its value lies in 0.05 to 20.

    Raises
    ------
    ValueError
        There is no image, or not one label an image.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017): On calibration of modern neural networks. ICML.

    Examples
    --------
    Forty answers that are 99 % sure, of which 30 are right, are far too sure:

    >>> probs = np.tile([0.99, 0.01], (40, 1))
    >>> labels = np.repeat([0, 1], [30, 10])
    >>> temperature = fit_temperature(probs, labels)
    >>> apply_temperature(probs[:1], temperature.value).round(2)
    array([[0.75, 0.25]])
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


def ranking_change(probs_NC: np.ndarray, temperature: float, share: float = 0.1) -> tuple[float, float]:
    """What a temperature does to a selection by entropy: Spearman's correlation of the two rankings, and which part of
    the `share` with the highest entropy stays (0..1; equal entropies count in the order of the images).

    For two classes the order cannot change; for more it can, because T moves mass between the unlikely classes too.
    """
    # From the logarithms: a scaled probability may be too small for its own logarithm.
    before_N = entropy(probs_NC)
    log_NC = log_softmax(log_probs(probs_NC) / temperature, axis=-1)
    after_N = -(np.exp(log_NC) * log_NC).sum(axis=-1)
    n = max(1, round(share * len(before_N)))
    top = [set(np.argsort(-values, kind="stable")[:n].tolist()) for values in (before_N, after_N)]
    same = np.ptp(before_N) == 0 or np.ptp(after_N) == 0
    correlation = np.nan if same else float(spearmanr(before_N, after_N).statistic)
    return correlation, len(top[0] & top[1]) / n
