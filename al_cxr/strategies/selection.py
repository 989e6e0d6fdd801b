"""From a strategy and the statistics of a pool to what is labelled next, in absolute indices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint, nearest
from al_cxr.strategies import modal
from al_cxr.strategies.base import NEEDS, OF_SEVERAL, STRATEGIES, Strategy, names
from al_cxr.strategies.statistics import PoolStatistics


@dataclass(frozen=True, eq=False)
class Selection:
    """What to label next."""

    indices: np.ndarray
    """Absolute indices (n,), int64, best first."""
    scores: np.ndarray | None
    """Of each of them, float64 (n,); None where a strategy has none."""
    unit: str
    """Of the scores, such as "nats"."""


def get(name: str, options: Mapping[str, Any] | None = None, where: str = "") -> Strategy:
    """The strategy of a name, with options.

    Parameters
    ----------
    name : str
        One of `names()`, a function of modAL by its dotted name, or a product of modAL's utilities such as
        "modAL.uncertainty.classifier_entropy * modAL.density.information_density".
    options : mapping, optional
        Values of its options, by name; all others have their defaults.
    where : str, optional
        Where the name was written, such as "arms.a", for errors.

    Returns
    -------
    Strategy
        Its `needs` say what `select` wants of the statistics.

    Raises
    ------
    UserError
        If there is no such strategy, or an option has a wrong name or value; the nearest name is offered.

    Examples
    --------
    >>> sorted(get("badge").needs)
    ['features', 'probs']
    >>> get("power_entropy").defaults
    {'beta': 1.0}
    >>> get("power_entropy", {"bta": 2}, "arms.a")
    Traceback (most recent call last):
    al_cxr.core.errors.UserError: arms.a.bta: power_entropy has no such option; did you mean 'beta'?
    """
    try:
        found = _named(name)
    except UserError as error:
        raise UserError(f"{where}.strategy: {error}" if where else str(error)) from error
    return found.with_options(options or {}, where or name)


def select(
    strategy: Strategy | str, statistics: PoolStatistics, n: int, rng: np.random.Generator, **options: Any
) -> Selection:
    """The images that a strategy wants labelled next; the order of the pool does not matter.

    Parameters
    ----------
    strategy : str or Strategy
        A name, as `get` takes it, or a strategy.
    statistics : PoolStatistics
        What is known of each unlabelled image. `Strategy.needs` says which fields have to be there.
    n : int
        How many; a smaller pool is chosen whole.
    rng : numpy.random.Generator
        All chance comes from it: the same one gives the same images.
    **options
        Options of the strategy, such as `beta=2` of "power_entropy".

    Returns
    -------
    Selection
        Absolute indices, best first, and their scores.

    Raises
    ------
    UserError
        If there is no such strategy or option, or if the statistics hold NaN or infinity.
    TypeError
        If `statistics` are no PoolStatistics, or `rng` is no Generator of numpy.
    ValueError
        If `n` is negative or no whole number, if something that the strategy needs is missing, or if the strategy
        breaks its contract: a wrong number of images, an image twice, one outside the pool, or scores that are not
        finite.

    Examples
    --------
    >>> import numpy as np
    >>> probs_NC = np.array([[0.9, 0.1], [0.5, 0.5], [0.4, 0.6]])
    >>> pool = PoolStatistics(index_N=np.array([10, 11, 12]), probs_NC=probs_NC)
    >>> select("entropy", pool, n=2, rng=np.random.default_rng(0)).indices
    array([11, 12])
    """
    chosen = get(strategy, options) if isinstance(strategy, str) else strategy.with_options(options, strategy.name)
    if not isinstance(statistics, PoolStatistics):
        raise TypeError(f"statistics are a {type(statistics).__name__}; give the PoolStatistics of score_pool")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is a {type(rng).__name__}; give numpy.random.default_rng(0), or of another seed")
    if n < 0 or n != int(n):
        raise ValueError(f"cannot select {n} images; give a whole number, 0 or more")
    if (np.diff(statistics.index_N) < 0).any():  # a sorted pool, as score_pool makes it, is not copied
        statistics = statistics.take(np.argsort(statistics.index_N, kind="stable"))
    pool = statistics.index_N
    if (np.diff(pool) == 0).any():
        raise ValueError("the pool holds an index twice")
    _require_needs(chosen, statistics)
    n = min(n, len(pool))
    if n == 0:
        return Selection(np.empty(0, np.int64), None, "")
    choice = chosen.choose(statistics, n, rng)
    positions = np.asarray(choice.positions)
    if positions.shape != (n,) or not np.issubdtype(positions.dtype, np.integer):
        raise ValueError(f"strategy {chosen.name} returned {positions.dtype} {positions.shape}, not {n} positions")
    if positions.min() < 0 or positions.max() >= len(pool):
        raise ValueError(f"strategy {chosen.name} returned a position outside the pool of {len(pool)}")
    if len(np.unique(positions)) != n:
        raise ValueError(f"strategy {chosen.name} returned an image twice")
    scores = None if choice.scores is None else np.asarray(choice.scores, np.float64)
    if scores is not None and (scores.shape != (n,) or not np.isfinite(scores).all()):
        raise ValueError(f"strategy {chosen.name} returned scores that are not {n} finite numbers")
    return Selection(pool[positions], scores, choice.unit)


_HOW = dict.fromkeys(OF_SEVERAL, "; give score_pool some passes, or see member_statistics") | {
    "probs_NC": "; score_pool computes it",
    "features_NK": "; score_pool computes it with features=True",
    "pass_probs_NTC": "; score_pool computes it with votes=True",
}
"""What a user who made the statistics is told of a field that is missing."""


def _named(name: str) -> Strategy:
    if name.startswith("modAL."):
        return modal.strategy_of(name)
    if name in STRATEGIES or nearest(name, names()):
        return STRATEGIES.get(name)
    others = "and functions of modAL such as modAL.uncertainty.margin_sampling"
    raise UserError(f"no strategy {name!r}{hint(name, names())}, {others}")


def _require_needs(strategy: Strategy, statistics: PoolStatistics) -> None:
    """ValueError where something that a strategy needs is missing, UserError where it is not finite."""
    arrays = statistics.per_image()
    for field in (f for need in sorted(strategy.needs) for f in NEEDS[need]):
        if field not in arrays:
            raise ValueError(f"strategy {strategy.name} needs {field}, which was not computed{_HOW[field]}")
        finite_N = np.isfinite(arrays[field].reshape(len(statistics), -1)).all(axis=1)
        if bad := len(statistics) - int(finite_N.sum()):
            raise UserError(
                f"strategy {strategy.name}: {bad} of {len(statistics)} images have a {field} that is no finite number, "
                "so the network has diverged; lower train.lr"
            )
