"""The registry of strategies, and the one place where positions in a pool become absolute indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint, nearest
from al_cxr.strategies.statistics import PoolStatistics

OF_SEVERAL = (
    "mean_probs_NC",
    "predictive_entropy_N",
    "expected_entropy_N",
    "mutual_information_N",
    "variation_ratio_N",
    "mean_std_N",
)
"""Statistics over several networks: those of Monte-Carlo passes, or the members of an ensemble."""

NEEDS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "probs": ("probs_NC",),
    "mc": OF_SEVERAL,
    "ensemble": OF_SEVERAL,
    "features": ("features_NK",),
    "votes": ("pass_probs_NTC",),
}
"""What a strategy may need -> the fields of PoolStatistics that hold it."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What a strategy returns: positions (n,) in the statistics it was given, best first."""

    positions: np.ndarray
    scores: np.ndarray | None
    """Of the chosen ones, higher = chosen sooner; None where a strategy has none."""
    unit: str


@dataclass(frozen=True, eq=False)
class Selection:
    """What to label next: absolute indices (n,), int64, best first, and their scores in a unit."""

    indices: np.ndarray
    scores: np.ndarray | None
    unit: str


Function = Callable[["PoolStatistics", int, np.random.Generator], Choice]


@dataclass(frozen=True)
class Strategy:
    """`choose` is called with statistics sorted by absolute index and 1 <= n <= N; all chance comes from its rng."""

    name: str
    choose: Function
    needs: frozenset[str]
    """Of "probs", "mc", "ensemble", "votes", "features"; empty where no pixel has to be read."""
    race: str | None = None
    """The statistic of which it takes the n largest, of al_cxr.sampling.scores: passes go to those that need them."""


_REGISTRY: dict[str, Strategy] = {}


def strategy(
    name: str, needs: str | Iterable[str] = "nothing", race: str | None = None
) -> Callable[[Function], Function]:
    """Registers a function `(statistics, n, rng) -> Choice` under a name."""
    wanted = frozenset({needs} if isinstance(needs, str) else needs) - {"nothing"}
    if not wanted <= NEEDS.keys():
        raise ValueError(f"strategy {name} needs {sorted(wanted - NEEDS.keys())}; known are {sorted(NEEDS)}")
    if "ensemble" in wanted and len(wanted) > 1:
        raise ValueError(f"strategy {name} needs an ensemble and {sorted(wanted - {'ensemble'})}; an ensemble is all")
    if name in _REGISTRY:
        raise ValueError(f"strategy {name} is registered already")

    def register(function: Function) -> Function:
        _REGISTRY[name] = Strategy(name, function, wanted, race)
        return function

    return register


def names() -> list[str]:
    """All registered names, sorted; functions of modAL can be named as well."""
    return sorted(_REGISTRY)


def get(name: str) -> Strategy:
    """The strategy of a name, or of a dotted modAL function; UserError with the nearest name otherwise."""
    if name.startswith("modAL."):
        from al_cxr.strategies import modal

        return modal.adapt(name)
    if name not in _REGISTRY:
        others = "" if nearest(name, names()) else ", and functions of modAL such as modAL.uncertainty.margin_sampling"
        raise UserError(f"no strategy {name!r}{hint(name, names())}{others}")
    return _REGISTRY[name]


def top_n(scores_N: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Positions (min(n, N),) of the largest scores, descending, ties in an order drawn from rng. O(N + n log n).

    Raises ValueError where a score is NaN.
    """
    scores_N = np.asarray(scores_N)
    if np.isnan(scores_N).any():
        raise ValueError(f"{int(np.isnan(scores_N).sum())} of {len(scores_N)} scores are NaN")
    n = min(n, len(scores_N))
    key_N = rng.random(len(scores_N))
    if n == 0:
        return np.empty(0, np.int64)
    last = np.partition(scores_N, -n)[-n]
    sure, tied = np.flatnonzero(scores_N > last), np.flatnonzero(scores_N == last)
    room = n - len(sure)
    if room < len(tied):
        tied = tied[np.argpartition(key_N[tied], room - 1)[:room]]
    chosen = np.concatenate([sure, tied])
    return chosen[np.lexsort((key_N[chosen], -scores_N[chosen]))]


def select(chosen: Strategy | str, statistics: PoolStatistics, n: int, rng: np.random.Generator) -> Selection:
    """Absolute indices of the min(n, N) images that a strategy wants; the order of the pool does not matter.

    Raises UserError where the statistics hold NaN or infinity, ValueError where something that the strategy needs is
    missing or where it breaks its contract (wrong count, duplicates, outside the pool, scores that are not finite).
    """
    chosen = get(chosen) if isinstance(chosen, str) else chosen
    if n < 0:
        raise ValueError(f"cannot select {n} images")
    order = np.argsort(statistics.index_N, kind="stable")
    statistics = statistics.take(order)
    pool = statistics.index_N
    if (np.diff(pool) == 0).any():
        raise ValueError("an index stands twice in the pool")
    arrays = statistics.per_image()
    for field in (f for need in sorted(chosen.needs) for f in NEEDS[need]):
        if field not in arrays:
            raise ValueError(f"strategy {chosen.name} needs {field}, which was not computed")
        bad = len(pool) - int(np.isfinite(arrays[field].reshape(len(pool), -1)).all(axis=1).sum())
        if bad:
            raise UserError(
                f"strategy {chosen.name}: {bad} of {len(pool)} images have a {field} that is no finite number, so the "
                "network has diverged; lower train.lr"
            )
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
