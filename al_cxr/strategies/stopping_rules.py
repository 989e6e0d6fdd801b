"""The stopping rules: one function each."""

from __future__ import annotations

import itertools
from typing import Annotated

from pydantic import Field

from al_cxr.strategies.base import Count, Share
from al_cxr.strategies.stopping import History, agreement, rule

Nats = Annotated[float, Field(ge=0)]


@rule("budget")
def budget(history: History) -> str | None:
    """Never early: all rounds of the budget are played.

    Examples
    --------
    >>> from al_cxr.strategies.stopping import decide
    >>> decide("budget", History((0.5,), (None,), ([0, 1],))) is None
    True
    """
    return None


@rule("no_gain")
def no_gain(history: History, *, rounds: Count = 3, delta: Share = 0.0) -> str | None:
    """The best F1 of the last `rounds` rounds is not more than `delta` above the best before them.

    Parameters
    ----------
    rounds : int
        1 or more.
    delta : float
        0..1, of F1.

    References
    ----------
    This project's own; patience, as in early stopping of a training.

    Examples
    --------
    >>> from al_cxr.strategies.stopping import decide
    >>> seen = History((0.6, 0.7, 0.69), (None,) * 3, ([0, 1],) * 3)
    >>> decide("no_gain", seen, rounds=1)
    'best validation F1 of the last 1 rounds 0.6900, 0.7000 before: no gain above 0'
    """
    if len(history.f1) <= rounds:
        return None
    before, since = max(history.f1[:-rounds]), max(history.f1[-rounds:])
    if since - before > delta:
        return None
    return f"best validation F1 of the last {rounds} rounds {since:.4f}, {before:.4f} before: no gain above {delta:g}"


@rule("low_uncertainty")
def low_uncertainty(history: History, *, below: Nats) -> str | None:
    """The pool's mean entropy is under `below`: overall uncertainty.

    Arms that do not predict the pool, such as random and coreset, never stop early by it.

    Parameters
    ----------
    below : float
        Nats, 0 or more; it must be given.

    References
    ----------
    Zhu, Wang, Hovy and Ma, "Confidence-based stopping criteria for active learning for data annotation" (2010).

    Examples
    --------
    >>> from al_cxr.strategies.stopping import decide
    >>> decide("low_uncertainty", History((0.6,), (0.1,), ([0, 1],)), below=0.2)
    'mean entropy of the pool 0.1 nats, below 0.2'
    """
    last = history.uncertainty[-1] if history.uncertainty else None
    if last is None or last >= below:
        return None
    return f"mean entropy of the pool {last:.4g} nats, below {below:g}"


@rule("stable_predictions")
def stable_predictions(history: History, *, rounds: Count = 3, kappa: Share = 0.99) -> str | None:
    """Successive models agree on the validation images: kappa at least `kappa`, `rounds` times in a row.

    The paper uses a larger set without labels and the mean of the three comparisons; the defaults are the paper's.

    Parameters
    ----------
    rounds : int
        Comparisons, 1 or more.
    kappa : float
        0..1; least agreement of each.

    References
    ----------
    Bloodgood and Vijay-Shanker, "A Method for Stopping Active Learning Based on Stabilizing Predictions" (2009),
    https://aclanthology.org/W09-1107.

    Examples
    --------
    >>> from al_cxr.strategies.stopping import decide
    >>> decide("stable_predictions", History((0.6, 0.7), (None, None), ([0, 1], [0, 1])), rounds=1)
    'kappa of successive predictions at least 1.0000 for 1 rounds, 0.99 is asked for'
    """
    if len(history.predictions) <= rounds:
        return None
    last = history.predictions[-rounds - 1 :]
    agreements = [agreement(a, b) for a, b in itertools.pairwise(last)]
    if min(agreements) < kappa:
        return None
    return f"kappa of successive predictions at least {min(agreements):.4f} for {rounds} rounds, {kappa:g} is asked for"
